//! Runs one job, a batch per message, and reports to the supervisor.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef, MessagingErr};
use tokio::time::Instant;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::batch::{Batch, Cursor, Pass, Window};
use crate::config::JobConfig;
use crate::history::RunRecord;
use crate::job::{Job, JobError};
use crate::report::{Outcome, Report, RunId};
use crate::store::RunHistory;
use crate::supervisor::{HousekeeperMsg, Notice};
use crate::timer::Delayed;

pub(crate) struct Worker;

pub(crate) enum WorkerMsg {
    /// Begin a run. The supervisor sends no second one before the first is reported.
    Run(Box<RunOrder>),
    /// Do the next batch of the run, if it is still this one.
    Batch(RunId),
    /// End the run here, if it is still this one.
    End(RunId, Outcome),
}

pub(crate) struct RunOrder {
    /// A report of nothing done yet.
    pub(crate) report: Report,
    /// Records that could not be written when their run ended.
    pub(crate) unwritten: Vec<RunRecord>,
    /// Rows found undeletable since the last tick.
    pub(crate) set_aside: Vec<String>,
}

/// What the supervisor gets back.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) report: Report,
    pub(crate) unwritten: Vec<RunRecord>,
    pub(crate) set_aside: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct WorkerArguments {
    pub(crate) job: Arc<dyn Job>,
    pub(crate) config: JobConfig,
    pub(crate) history: Option<HistoryBook>,
    pub(crate) supervisor: ActorRef<HousekeeperMsg>,
}

/// Where runs are written down.
#[derive(Clone)]
pub(crate) struct HistoryBook {
    pub(crate) store: Arc<dyn RunHistory>,
    pub(crate) keep: u32,
    pub(crate) instance: Uuid,
}

pub(crate) struct State {
    arguments: WorkerArguments,
    checked: bool,
    run: Option<Run>,
}

struct Run {
    order: Box<RunOrder>,
    window: Window,
    after: Option<Cursor>,
    began: Instant,
    span: Span,
    pause: Option<Delayed<Result<(), MessagingErr<WorkerMsg>>>>,
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
            WorkerMsg::Run(order) => state.begin(&myself, order).await,
            WorkerMsg::Batch(run) => state.batch(&myself, run).await,
            WorkerMsg::End(run, outcome) => state.end(run, outcome).await,
        }
    }
}

impl State {
    async fn begin(
        &mut self,
        myself: &ActorRef<WorkerMsg>,
        mut order: Box<RunOrder>,
    ) -> Result<(), ActorProcessingErr> {
        self.tell(Notice::Began(order.report.run))?;
        let began = Instant::now();
        let span = tracing::info_span!(
            "housekeeper.run",
            job.name = %order.report.job,
            run.id = %order.report.run,
            run.trigger = %order.report.trigger,
            run.scope = %order.report.scope,
        );

        let job = &*self.arguments.job;
        let checked = self.checked;
        let opening = async {
            if !checked {
                job.check().await?;
            }
            job.open().await
        };
        match self
            .step("open the run", opening)
            .instrument(span.clone())
            .await
        {
            Ok(window) => {
                self.checked = true;
                order.report.cutoff = Some(window.cutoff);
                let run = order.report.run;
                self.run = Some(Run {
                    order,
                    window,
                    after: None,
                    began,
                    span,
                    pause: None,
                });
                // Refused by a mailbox that is drained: the message that ends the run is in it.
                let _ = myself.cast(WorkerMsg::Batch(run));
                Ok(())
            }
            Err(error) => {
                order.report.outcome = Outcome::Failed {
                    error,
                    retry_at: None,
                };
                order.report.elapsed = began.elapsed();
                self.finish(*order)
            }
        }
    }

    async fn batch(
        &mut self,
        myself: &ActorRef<WorkerMsg>,
        run: RunId,
    ) -> Result<(), ActorProcessingErr> {
        // The run may have been ended while this message was on its way.
        let Some(mut run) = self.run.take_if(|current| current.order.report.run == run) else {
            return Ok(());
        };
        let pass = Pass {
            scope: run.order.report.scope.clone(),
            now: run.window.now,
            cutoff: run.window.cutoff,
            limit: self.arguments.config.batch_size,
            after: run.after.take(),
        };
        let number = run.order.report.batches + 1;
        let span = tracing::debug_span!(parent: &run.span, "housekeeper.batch", batch.number = number, batch.limit = pass.limit.get());

        match self
            .step("handle a batch", self.arguments.job.batch(&pass))
            .instrument(span)
            .await
        {
            Ok(batch) => {
                self.commit(&mut run, batch)?;
                if run.after.is_none() {
                    self.conclude(run, Outcome::Completed).await
                } else if self
                    .arguments
                    .config
                    .run_limit
                    .is_some_and(|limit| run.began.elapsed() >= limit)
                {
                    self.conclude(run, Outcome::TimedOut).await
                } else {
                    run.pause = self.next_batch(myself, run.order.report.run);
                    self.run = Some(run);
                    Ok(())
                }
            }
            Err(error) => {
                self.conclude(
                    run,
                    Outcome::Failed {
                        error,
                        retry_at: None,
                    },
                )
                .await
            }
        }
    }

    async fn end(&mut self, run: RunId, outcome: Outcome) -> Result<(), ActorProcessingErr> {
        match self.run.take_if(|current| current.order.report.run == run) {
            Some(current) => self.conclude(current, outcome).await,
            None => Ok(()),
        }
    }

    /// Accounts for a batch, and tells of it before anything else can go wrong.
    fn commit(&self, run: &mut Run, batch: Batch) -> Result<(), ActorProcessingErr> {
        let Batch {
            counts,
            ids,
            set_aside,
            reached,
        } = batch;
        let order = &mut *run.order;
        let report = &mut order.report;
        run.after = reached;
        report.batches += 1;
        report.counts.merge(&counts);
        let room = (self.arguments.config.ids_kept as usize).saturating_sub(report.ids.len());
        report.more_ids |= ids.len() > room;
        report.ids.extend(ids.iter().take(room).cloned());
        report.set_aside_count += set_aside.len() as u64;
        let room = SET_ASIDE_REMEMBERED.saturating_sub(order.set_aside.len());
        order
            .set_aside
            .extend(set_aside.iter().take(room).map(|row| row.id.clone()));
        let room = SET_ASIDE_REPORTED.saturating_sub(report.set_aside.len());
        report.set_aside.extend(set_aside.into_iter().take(room));

        if counts.total() > 0 {
            self.tell(Notice::Committed {
                run: report.run,
                counts,
                ids,
            })?;
        }
        Ok(())
    }

    fn next_batch(
        &self,
        myself: &ActorRef<WorkerMsg>,
        run: RunId,
    ) -> Option<Delayed<Result<(), MessagingErr<WorkerMsg>>>> {
        let pause = self.arguments.config.batch_pause;
        if pause.is_zero() {
            let _ = myself.cast(WorkerMsg::Batch(run));
            None
        } else {
            Some(Delayed(
                myself.send_after(pause, move || WorkerMsg::Batch(run)),
            ))
        }
    }

    /// Looks ahead, writes the run down, and reports it.
    async fn conclude(&mut self, run: Run, outcome: Outcome) -> Result<(), ActorProcessingErr> {
        let Run {
            mut order,
            began,
            span,
            ..
        } = run;
        order.report.outcome = outcome;
        if matches!(order.report.outcome, Outcome::Completed | Outcome::TimedOut) {
            let outlook = self.arguments.job.outlook(&order.set_aside);
            match self
                .step("look ahead", outlook)
                .instrument(span.clone())
                .await
            {
                Ok(outlook) => order.report.outlook = Some(outlook),
                Err(error) => {
                    order.report.outcome = Outcome::Failed {
                        error,
                        retry_at: None,
                    }
                }
            }
        }
        order.report.elapsed = began.elapsed();
        // A run that failed is written with the next one that does not: its database is most likely away.
        if !matches!(order.report.outcome, Outcome::Failed { .. }) {
            self.write_down(&mut order).instrument(span).await;
        }
        self.finish(*order)
    }

    /// Writes this run and those before it that could not be written; what fails goes back to the supervisor's memory.
    async fn write_down(&self, order: &mut RunOrder) {
        let Some(book) = &self.arguments.history else {
            return;
        };
        order
            .unwritten
            .extend(RunRecord::of(order.report.clone(), book.instance));
        if order.unwritten.is_empty() {
            return;
        }
        let write = async { Ok(book.store.record(&order.unwritten, book.keep).await?) };
        match self.step("write the history", write).await {
            Ok(()) => order.unwritten.clear(),
            Err(error) => {
                tracing::warn!(job.name = %order.report.job, history.unwritten = order.unwritten.len(), %error, "history kept in memory");
            }
        }
    }

    fn finish(&self, order: RunOrder) -> Result<(), ActorProcessingErr> {
        let RunOrder {
            report,
            unwritten,
            set_aside,
        } = order;
        self.tell(Notice::Finished(Box::new(RunResult {
            report,
            unwritten,
            set_aside,
        })))
    }

    async fn step<T>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, String> {
        within(self.arguments.config.step_limit, what, step).await
    }

    fn tell(&self, notice: Notice) -> Result<(), ActorProcessingErr> {
        Ok(self.arguments.supervisor.cast(notice.into())?)
    }
}

/// Waits for a step of a job, but not forever. The error is a line for reports.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &str,
    step: impl Future<Output = Result<T, JobError>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.chain()),
        Err(_) => Err(format!(
            "could not {what} within {}",
            humantime::format_duration(limit)
        )),
    }
}

/// Rows set aside that a report names.
const SET_ASIDE_REPORTED: usize = 100;

/// Rows set aside that are left out of the outlook until the next tick.
const SET_ASIDE_REMEMBERED: usize = 1_000;
