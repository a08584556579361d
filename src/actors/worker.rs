//! Runs one job, a batch per message, and reports to the supervisor.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::history_writer::HistoryWriter;
use crate::actors::delayed::Delayed;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::actors::run_state::{Committed, RunState};
use crate::actors::timeout::within;
use crate::config::JobConfig;
use crate::job::{Batch, BatchRequest, Cursor, Job, JobError, RunBounds};
use crate::metrics::recorder::{self, Step};
use crate::model::{Outcome, Report, RunId, RunRecord};
use crate::policy::Pacer;

pub(crate) struct Worker;

pub(crate) enum WorkerMsg {
    /// Begin a run. The supervisor sends no second one before the first is reported.
    Run(Box<RunState>),
    /// Do the next batch of the run, if it is still this one.
    Batch(RunId),
    /// End the run here, if it is still this one.
    End(RunId, Outcome),
    /// Write these into the history, and stop.
    Leave(Vec<RunRecord>),
}

#[derive(Clone)]
pub(crate) struct WorkerArguments {
    pub(crate) job: Arc<dyn Job>,
    pub(crate) config: JobConfig,
    pub(crate) history: Option<HistoryWriter>,
    pub(crate) supervisor: ActorRef<HousekeeperMsg>,
}

pub(crate) struct State {
    arguments: WorkerArguments,
    checked: bool,
    pacer: Pacer,
    run: Option<Run>,
}

struct Run {
    sheet: Box<RunState>,
    window: RunBounds,
    after: Option<Cursor>,
    began: Instant,
    span: Span,
    pause: Option<Delayed<WorkerMsg>>,
}

#[ractor::actor(message = WorkerMsg, state = State, arguments = WorkerArguments)]
impl Worker {
    async fn pre_start(
        &self,
        _: ActorRef<WorkerMsg>,
        arguments: WorkerArguments,
    ) -> Result<State, ActorProcessingErr> {
        // No look at the database here: starting succeeds while it is away.
        Ok(State {
            pacer: Pacer::new(arguments.config.pace.clone()),
            arguments,
            checked: false,
            run: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<WorkerMsg>,
        message: WorkerMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkerMsg::Run(sheet) => state.begin(&myself, sheet).await,
            WorkerMsg::Batch(run) => state.batch(&myself, run).await,
            WorkerMsg::End(run, outcome) => state.end(run, outcome).await,
            WorkerMsg::Leave(mut records) => {
                state.write_down(&mut records).await;
                myself.stop(None);
                Ok(())
            }
        }
    }
}

impl State {
    async fn begin(
        &mut self,
        myself: &ActorRef<WorkerMsg>,
        mut sheet: Box<RunState>,
    ) -> Result<(), ActorProcessingErr> {
        self.tell(InternalMsg::Began(sheet.report.run))?;
        let began = Instant::now();
        let span = tracing::info_span!(
            "housekeeper.run",
            job.name = %sheet.report.job,
            run.id = %sheet.report.run,
            run.trigger = %sheet.report.trigger,
            run.scope = %sheet.report.scope,
        );

        let job = &*self.arguments.job;
        let (checked, name) = (self.checked, &sheet.report.job);
        let opening = async {
            if !checked {
                let _time = recorder::time(name, Step::Check);
                job.check().await?;
            }
            let _time = recorder::time(name, Step::Open);
            job.begin_run().await
        };
        match self
            .step("open the run", opening)
            .instrument(span.clone())
            .await
        {
            Ok(window) => {
                self.checked = true;
                sheet.report.cutoff = Some(window.cutoff);
                let run = sheet.report.run;
                self.run = Some(Run {
                    sheet,
                    window,
                    after: None,
                    began,
                    span,
                    pause: None,
                });
                // Refused if somebody drains us: our death then ends the run.
                let _ = myself.cast(WorkerMsg::Batch(run));
                Ok(())
            }
            Err(error) => {
                sheet.report.outcome = Outcome::failed(error);
                sheet.report.elapsed = began.elapsed();
                self.tell(InternalMsg::Finished(sheet))
            }
        }
    }

    async fn batch(
        &mut self,
        myself: &ActorRef<WorkerMsg>,
        run: RunId,
    ) -> Result<(), ActorProcessingErr> {
        // The run may have been ended while this message was on its way.
        let Some(mut run) = self.run.take_if(|current| current.sheet.report.run == run) else {
            return Ok(());
        };
        let pass = BatchRequest {
            scope: run.sheet.report.scope.clone(),
            now: run.window.now,
            cutoff: run.window.cutoff,
            limit: self.pacer.batch(),
            after: run.after.take(),
        };
        let number = run.sheet.report.batches + 1;
        let span = tracing::debug_span!(parent: &run.span, "housekeeper.batch", batch.number = number, batch.limit = pass.limit.get());

        let limit = self.arguments.config.run_timeout;
        let asked = Instant::now();
        let handling = async {
            let _time = recorder::time(&run.sheet.report.job, Step::Batch);
            self.arguments.job.batch(&pass).await
        };
        match self.step("handle a batch", handling).instrument(span).await {
            Ok(batch) if batch.next_cursor.is_some() && batch.next_cursor <= pass.after => {
                self.commit(&mut run, batch)?;
                let error = "the batch ended where the one before did, so the run would never end";
                self.conclude(run, Outcome::failed(error.to_owned())).await
            }
            Ok(batch) => {
                let work = asked.elapsed();
                self.commit(&mut run, batch)?;
                if run.after.is_none() {
                    self.conclude(run, Outcome::Completed).await
                } else if limit.is_some_and(|limit| run.began.elapsed() >= limit) {
                    self.conclude(run, Outcome::TimedOut).await
                } else {
                    let pause = self.pacer.took(work);
                    run.pause = next_batch(myself, run.sheet.report.run, pause);
                    self.run = Some(run);
                    Ok(())
                }
            }
            Err(error) => {
                self.pacer.failed();
                self.conclude(run, Outcome::failed(error)).await
            }
        }
    }

    async fn end(&mut self, run: RunId, outcome: Outcome) -> Result<(), ActorProcessingErr> {
        match self.run.take_if(|current| current.sheet.report.run == run) {
            Some(current) => self.conclude(current, outcome).await,
            None => Ok(()),
        }
    }

    /// Accounts for a batch, and tells of it before anything else can go wrong.
    fn commit(&self, run: &mut Run, batch: Batch) -> Result<(), ActorProcessingErr> {
        run.sheet
            .account(&batch, self.arguments.config.max_reported_ids);
        let Batch {
            counts,
            ids,
            rejected,
            next_cursor,
        } = batch;
        run.after = next_cursor;
        // Also of a batch that changed nothing: it is a sign of life.
        self.tell(InternalMsg::Committed(Committed {
            run: run.sheet.report.run,
            cutoff: run.window.cutoff,
            counts,
            ids,
            rejected,
        }))
    }

    /// Looks ahead, writes the run down, and reports it.
    async fn conclude(&mut self, run: Run, outcome: Outcome) -> Result<(), ActorProcessingErr> {
        let Run {
            mut sheet,
            began,
            span,
            ..
        } = run;
        sheet.report.outcome = outcome;
        if matches!(sheet.report.outcome, Outcome::Completed | Outcome::TimedOut) {
            let rejected: Vec<String> = sheet.rejected.iter().cloned().collect();
            let looking = async {
                let _time = recorder::time(&sheet.report.job, Step::Forecast);
                self.arguments.job.forecast(&rejected).await
            };
            let looked = self.step("look ahead", looking);
            match looked.instrument(span.clone()).await {
                Ok(forecast) => sheet.apply_forecast(forecast),
                Err(error) => sheet.report.outcome = Outcome::failed(error),
            }
        }
        sheet.report.elapsed = began.elapsed();
        // A run that failed is written with the next one that does not: its database is most likely
        // away.
        if !matches!(sheet.report.outcome, Outcome::Failed { .. }) {
            sheet.unsaved.extend(self.record_of(&sheet.report));
            self.write_down(&mut sheet.unsaved).instrument(span).await;
        }
        self.tell(InternalMsg::Finished(sheet))
    }

    fn record_of(&self, report: &Report) -> Option<RunRecord> {
        let book = self.arguments.history.as_ref()?;
        RunRecord::from_report(report.clone(), book.instance)
    }

    /// What cannot be written stays in the sheet, and so goes back to the supervisor's memory.
    async fn write_down(&self, records: &mut Vec<RunRecord>) {
        if let Some(book) = &self.arguments.history {
            book.write(records, self.arguments.config.step_timeout)
                .await;
        }
    }

    async fn step<T>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, String> {
        // What was told is heard before code of the job's is called. A task that this thread has
        // just woken waits for this thread alone, and a job that blocks it would silence the
        // supervisor too.
        tokio::task::yield_now().await;
        within(self.arguments.config.step_timeout, what, step).await
    }

    fn tell(&self, notice: InternalMsg) -> Result<(), ActorProcessingErr> {
        Ok(self.arguments.supervisor.cast(notice.into())?)
    }
}

/// The pause is a message on its way, not an await: whatever comes in the meantime is handled.
fn next_batch(
    myself: &ActorRef<WorkerMsg>,
    run: RunId,
    pause: Duration,
) -> Option<Delayed<WorkerMsg>> {
    if pause.is_zero() {
        let _ = myself.cast(WorkerMsg::Batch(run));
        return None;
    }
    Some(Delayed(
        myself.send_after(pause, move || WorkerMsg::Batch(run)),
    ))
}
