//! Runs one job, one batch per message, and reports to the supervisor.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::actors::delayed::Delayed;
use crate::actors::history_writer::HistoryWriter;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::actors::run_state::{Committed, RunState};
use crate::actors::timeout::{StepError, with_timeout};
use crate::config::JobConfig;
use crate::config::cron::Calendar;
use crate::job::{Batch, BatchRequest, Cursor, Job, JobError, Progress, RunBounds, Scope};
use crate::metrics::recorder::{self, Step};
use crate::model::{FailureKind, Outcome, Report, RunId, RunRecord, Trigger};
use crate::policy::{self, Pacer};
use crate::time::Clocks;

mod beginning;
mod ending;

pub(crate) struct Worker;

pub(crate) enum WorkerMsg {
    /// Begin a run. The supervisor sends the next one after this one's report.
    Run(Box<RunState>),
    /// Handle the next batch, if this run is still in progress.
    Batch(RunId),
    /// End the run, if it is still in progress.
    End(RunId, Outcome),
    /// Write these records into the history, then stop.
    Stop(Vec<RunRecord>),
}

#[derive(Clone)]
pub(crate) struct WorkerArguments {
    pub(crate) job: Arc<dyn Job>,
    pub(crate) config: JobConfig,
    pub(crate) history: Option<HistoryWriter>,
    pub(crate) supervisor: ActorRef<HousekeeperMsg>,
    pub(crate) clocks: Clocks,
}

pub(crate) struct State {
    arguments: WorkerArguments,
    checked: bool,
    pacer: Pacer,
    /// The end times of runs.
    finish_by: Option<Calendar>,
    run: Option<Run>,
}

struct Run {
    state: Box<RunState>,
    bounds: RunBounds,
    after: Option<Cursor>,
    progress: Progress,
    began: Instant,
    /// Time from the beginning until the run should be done.
    available: Option<Duration>,
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
        // Calls no database: the start succeeds while it is down.
        let pace = arguments.config.pace.clone();
        // `start` has checked the expression.
        let finish_by = pace.finish_by.as_ref();
        Ok(State {
            finish_by: finish_by.and_then(|cron| Calendar::new(cron).ok()),
            pacer: Pacer::new(pace),
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
            WorkerMsg::Run(run) => state.begin(&myself, run).await,
            WorkerMsg::Batch(run) => state.batch(&myself, run).await,
            WorkerMsg::End(run, outcome) => state.end(run, outcome).await,
            WorkerMsg::Stop(mut records) => {
                state.save(&mut records).await;
                myself.stop(None);
                Ok(())
            }
        }
    }
}

impl State {
    async fn batch(
        &mut self,
        myself: &ActorRef<WorkerMsg>,
        run: RunId,
    ) -> Result<(), ActorProcessingErr> {
        // The run may have ended while this message was on its way.
        let Some(mut run) = self.run.take_if(|current| current.id() == run) else {
            return Ok(());
        };
        let request = BatchRequest {
            scope: run.report().scope.clone(),
            now: run.bounds.now,
            cutoff: run.bounds.cutoff,
            limit: self.pacer.batch(),
            after: run.after.take(),
        };
        let number = run.report().batches + 1;
        let span = tracing::debug_span!(parent: &run.span, "housekeeper.batch", batch.number = number, batch.limit = request.limit.get());

        let timeout = self.arguments.config.run_timeout;
        let requested = Instant::now();
        let handling = async {
            let _time = recorder::time(&run.report().job, Step::Batch);
            self.arguments.job.batch(&request).await
        };
        match self.step("handle a batch", handling).instrument(span).await {
            // Only the database orders cursors; equal ones are equal everywhere.
            Ok(batch)
                if batch
                    .next_cursor
                    .as_ref()
                    .is_some_and(|next| run.progress.is_cycle(request.after.as_ref(), next)) =>
            {
                self.commit(&mut run, batch)?;
                let error = "a batch returned an earlier cursor, so the run would never end";
                self.conclude(
                    run,
                    Outcome::failed(FailureKind::NoProgress, error.to_owned()),
                )
                .await
            }
            Ok(batch) => {
                let work = requested.elapsed().saturating_sub(batch.waited);
                let one_by_one = batch.one_by_one;
                self.commit(&mut run, batch)?;
                if run.after.is_none() {
                    self.conclude(run, Outcome::Completed).await
                } else if timeout.is_some_and(|timeout| run.began.elapsed() >= timeout) {
                    self.conclude(run, Outcome::TimedOut).await
                } else {
                    let urgency = run.available.map_or(0.0, |available| {
                        policy::urgency(run.began.elapsed(), available)
                    });
                    self.pacer.compare_one_by_one(one_by_one);
                    let pause = self.pacer.took(work, urgency);
                    run.pause = next_batch(myself, run.id(), pause);
                    self.run = Some(run);
                    Ok(())
                }
            }
            Err(error) => {
                self.pacer.failed();
                self.conclude(run, failed(error)).await
            }
        }
    }

    async fn end(&mut self, run: RunId, outcome: Outcome) -> Result<(), ActorProcessingErr> {
        match self.run.take_if(|current| current.id() == run) {
            Some(current) => self.conclude(current, outcome).await,
            None => Ok(()),
        }
    }

    /// Accounts for a batch and reports it before anything else can go wrong.
    fn commit(&self, run: &mut Run, batch: Batch) -> Result<(), ActorProcessingErr> {
        run.state
            .add(&batch, self.arguments.config.max_reported_ids);
        run.after.clone_from(&batch.next_cursor);
        // A batch that changed nothing is reported too: it is the heartbeat of the run.
        self.report(InternalMsg::Committed(Committed {
            run: run.id(),
            cutoff: run.bounds.cutoff,
            batch,
        }))
    }

    async fn step<T>(
        &self,
        what: &str,
        step: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, StepError> {
        // Lets the supervisor handle earlier reports before the job's code runs: a task that this
        // thread has just woken waits for this thread, and a job that blocks the thread would
        // silence the supervisor, too.
        tokio::task::yield_now().await;
        with_timeout(self.arguments.config.step_timeout, what, step).await
    }

    fn report(&self, message: InternalMsg) -> Result<(), ActorProcessingErr> {
        Ok(self.arguments.supervisor.cast(message.into())?)
    }
}

impl Run {
    fn id(&self) -> RunId {
        self.state.account.run()
    }

    fn report(&self) -> &Report {
        &self.state.account.report
    }
}

/// Returns whether a run covers all rows, not only those that fell due since the last one.
fn begins_at_start(report: &Report) -> bool {
    report.trigger != Trigger::Deadline || report.scope != Scope::All
}

fn failed(error: StepError) -> Outcome {
    Outcome::failed(error.kind, error.text)
}

/// Schedules the next batch after a pause. The pause is a delayed message, not an await, so that
/// the worker handles other messages meanwhile.
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

#[cfg(test)]
mod tests;
