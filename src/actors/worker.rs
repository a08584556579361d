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
use crate::actors::opening::open_run;
use crate::actors::run_state::{Committed, RunState};
use crate::actors::timeout::{StepError, with_timeout};
use crate::config::JobConfig;
use crate::config::cron::Calendar;
use crate::job::{Batch, BatchRequest, Cursor, Job, JobError, Progress, RunBounds, Scope};
use crate::metrics::recorder::{self, Step};
use crate::model::{FailureKind, Outcome, Report, Requester, RunId, RunRecord, Trigger};
use crate::policy::{self, CONFIRM_AFTER, Leap, Pacer};
use crate::time::{self, Clocks};

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
    async fn begin(
        &mut self,
        myself: &ActorRef<WorkerMsg>,
        mut state: Box<RunState>,
    ) -> Result<(), ActorProcessingErr> {
        let run = state.account.run();
        self.report(InternalMsg::Began(run))?;
        let began = Instant::now();
        let report = &state.account.report;
        let span = tracing::info_span!(
            "housekeeper.run",
            job.name = %report.job,
            run.id = %run,
            run.trigger = %report.trigger,
            run.scope = %report.scope,
        );

        let job = &*self.arguments.job;
        job.prepare_run(begins_at_start(report));
        let is_scheduled = report.trigger != Trigger::Manual;
        let checked = self.checked;
        let beginning = async {
            if !checked {
                let _time = recorder::time(&report.job, Step::Check);
                job.check().await?;
            }
            let _time = recorder::time(&report.job, Step::BeginRun);
            let history = self.arguments.history.as_ref();
            open_run(job, history.map(|history| &*history.store)).await
        };
        let bounds = self
            .step("begin the run", beginning)
            .instrument(span.clone())
            .await;
        if !checked {
            let (name, findings) = (
                state.account.report.job.clone(),
                self.arguments.job.findings(),
            );
            self.report(InternalMsg::Checked(name, findings))?;
        }
        match bounds {
            Ok(mut bounds) => {
                self.checked = true;
                let pause = std::mem::take(&mut bounds.pause).found();
                if let Some(pause) = &pause {
                    let job = state.account.report.job.clone();
                    self.report(InternalMsg::PauseFound(job, pause.clone()))?;
                }
                if let Some(pause) = pause.filter(|_| is_scheduled) {
                    state.account.report.cutoff = Some(bounds.cutoff);
                    let run = Run {
                        available: None,
                        state,
                        bounds,
                        after: None,
                        progress: Progress::default(),
                        began,
                        span,
                        pause: None,
                    };
                    let by = pause.by.map(Requester::from);
                    return self.conclude(run, Outcome::Cancelled { by }).await;
                }
                if let Err(leap) = self.look_at_clock(&mut state, &bounds) {
                    state.account.report.outcome = leap;
                    state.account.report.elapsed = began.elapsed();
                    return self.report(InternalMsg::Finished(state));
                }
                state.account.report.cutoff = Some(bounds.cutoff);
                let finish = self.finish_by.as_ref();
                let finish = finish.and_then(|calendar| calendar.after(bounds.now));
                self.run = Some(Run {
                    available: finish.map(|finish| time::until(bounds.now, finish)),
                    state,
                    bounds,
                    after: None,
                    progress: Progress::default(),
                    began,
                    span,
                    pause: None,
                });
                // Fails only while the worker drains; its exit then ends the run.
                let _ = myself.cast(WorkerMsg::Batch(run));
                Ok(())
            }
            Err(error) => {
                state.account.report.outcome = failed(error);
                state.account.report.elapsed = began.elapsed();
                self.report(InternalMsg::Finished(state))
            }
        }
    }

    /// Holds a run that cannot be undone while the clock by which its rows fall due has leapt
    /// ahead.
    fn look_at_clock(&self, state: &mut RunState, bounds: &RunBounds) -> Result<(), Outcome> {
        let Some(bound) = self.arguments.config.max_clock_leap else {
            return Ok(());
        };
        if !self.arguments.job.is_irreversible() {
            return Ok(());
        }
        let now = self.arguments.clocks.now();
        let looked = state.clock.look(bounds.now, now, bound);
        looked.map_err(|Leap { ahead }| {
            let seconds = |span: Duration| {
                humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
            };
            let error = format!(
                "the deciding clock leapt {} ahead of the monotonic one: runs are held until it keeps step for {}, is set right, \
                 or `ConfirmClock` confirms it",
                seconds(ahead),
                seconds(CONFIRM_AFTER),
            );
            Outcome::failed(FailureKind::ClockLeap, error)
        })
    }

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
        let asked = Instant::now();
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
                let work = asked.elapsed().saturating_sub(batch.waited);
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

    /// Forecasts, writes the record of the run, and reports it.
    async fn conclude(&mut self, run: Run, mut outcome: Outcome) -> Result<(), ActorProcessingErr> {
        let Run {
            mut state,
            began,
            span,
            ..
        } = run;
        if matches!(outcome, Outcome::Completed | Outcome::TimedOut) {
            let rejected: Vec<String> = state.rejected.iter().cloned().collect();
            let forecasting = async {
                let _time = recorder::time(&state.account.report.job, Step::Forecast);
                self.arguments.job.forecast(&rejected).await
            };
            let asked = Instant::now();
            let forecast = self.step("forecast", forecasting);
            match forecast.instrument(span.clone()).await {
                Ok(forecast) => {
                    let took = asked.elapsed();
                    state.apply_forecast(forecast);
                    if forecast.due.count == 0 {
                        self.look_for_snapshot(&mut state, took).await;
                    }
                }
                Err(error) => outcome = failed(error),
            }
        }
        if outcome == Outcome::Completed {
            if let Some(error) = state.rejections.most_alike() {
                outcome = Outcome::failed(FailureKind::RowsRejected, error);
            }
        }
        let failed = matches!(outcome, Outcome::Failed { .. });
        state.account.report.outcome = outcome;
        state.account.report.elapsed = began.elapsed();
        // The record of a failed run is written with that of the next run that does not fail: the
        // database is most likely away.
        if !failed {
            let record = self.record_of(&state.account.report);
            state.unsaved.extend(record);
            self.save(&mut state.unsaved).instrument(span).await;
        }
        self.report(InternalMsg::Finished(state))
    }

    /// Asks for the cause of a slow forecast.
    async fn look_for_snapshot(&self, state: &mut RunState, took: Duration) {
        let from_start = begins_at_start(&state.account.report);
        let now = self.arguments.clocks.now();
        if !state.slowness.add(took, from_start, now) {
            return;
        }
        let asking = async { Ok(self.arguments.job.oldest_snapshot().await) };
        // An answer that fails explains nothing, and fails no run.
        let snapshot = self.step("look for an old snapshot", asking).await;
        state.slowness.explain(snapshot.ok().flatten());
    }

    fn record_of(&self, report: &Report) -> Option<RunRecord> {
        let history = self.arguments.history.as_ref()?;
        RunRecord::from_report(report.clone(), history.instance)
    }

    /// Writes records into the history. A failed write leaves them for the supervisor.
    async fn save(&self, records: &mut Vec<RunRecord>) {
        if let Some(history) = &self.arguments.history {
            history
                .write(records, self.arguments.config.step_timeout)
                .await;
        }
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

/// Whether a run looks at all rows, not only at those that fell due since the last one.
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
