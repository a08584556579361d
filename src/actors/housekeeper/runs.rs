//! The life of a run: requested, given to a worker, followed, published.

use std::time::Duration;

use ractor::RpcReplyPort;

use super::health_check::update_health;
use super::job_state::JobState;
use super::publisher::{Publisher, Waiter};
use super::shared::{Shared, answer};
use super::state::State;
use super::timer::TimerHandle;
use super::worker_slot::WorkerSlot;
use crate::actors::run_state::{Committed, RunState};
use crate::fmt::line;
use crate::job::{Batch, Findings, JobName, Scope};
use crate::metrics::recorder;
use crate::model::{Event, Outcome, Report, RequestError, Requester, RunId, Trigger};
use crate::policy::backoff;
use crate::time::Moment;

impl State {
    pub(super) async fn run_now(
        &mut self,
        name: &JobName,
        scope: Scope,
        by: Option<Requester>,
        reply: RpcReplyPort<Result<Report, RequestError>>,
    ) {
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        let job = self.jobs.enabled(name);
        let job = match job.and_then(|job| job.check_scope(&scope).map(|()| job)) {
            Ok(job) => job,
            Err(error) => return answer(reply, Err(error)),
        };
        log_request(name, &scope, by.as_ref());
        let caller = Some(Waiter::Caller(reply));
        if job.enqueue(scope, Trigger::Manual, caller, by).is_none() {
            return;
        }
        let escalation = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
        self.escalate_if(escalation).await;
    }

    pub(super) async fn run_all(
        &mut self,
        paused: bool,
        by: Option<Requester>,
        reply: RpcReplyPort<Result<Vec<Report>, RequestError>>,
    ) {
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        let takes_part = |job: &JobState| job.enabled && (paused || !job.planner.is_paused());
        let jobs = self.jobs.iter().filter(|job| takes_part(job)).count();
        if jobs == 0 {
            return answer(reply, Ok(Vec::new()));
        }
        let number = self.publisher.open_run_all(reply, jobs);
        let mut escalation = None;
        for job in self.jobs.iter_mut().filter(|job| takes_part(job)) {
            log_request(&job.name, &Scope::All, by.as_ref());
            let part = Some(Waiter::RunAll(number));
            job.enqueue(Scope::All, Trigger::Manual, part, by.clone());
            let beyond = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
            escalation = escalation.or(beyond);
        }
        self.escalate_if(escalation).await;
    }

    /// Looks at a job whose time may have come. The timer decides nothing, so a wrong wake is
    /// harmless.
    pub(super) async fn wake(&mut self, name: &JobName) {
        self.timer.reset_backoff();
        if self.shutdown.is_some() {
            return;
        }
        let now = self.shared.now();
        let Some(job) = self.jobs.get_mut(name) else {
            return;
        };
        if job.pauses.take_recheck(now) {
            let read = job.read_pause(&self.shared);
            self.reads.push(read, &self.shared).await;
        }
        job.planner.observe(now);
        if job.wake_at(now).is_none_or(|at| !at.reached(now)) {
            return self.timer.arm(job, now);
        }
        let half_open = matches!(job.worker, WorkerSlot::Degraded { .. });
        let escalation = if matches!(job.worker, WorkerSlot::Up(_)) {
            None
        } else {
            job.spawn_worker(&self.shared, &mut self.publisher).await
        };
        // Triggers without a worker merge into the run that waits for it, or into the attempt.
        let due = job.take_due(now);
        if let Some(trigger) = due.or(half_open.then_some(Trigger::Retry)) {
            job.enqueue(Scope::All, trigger, None, None);
        }
        dispatch(job, &self.shared, &self.timer, &mut self.publisher);
        self.escalate_if(escalation).await;
    }

    pub(super) fn began(&mut self, run: RunId) {
        let now = self.shared.now();
        let Some(job) = self.jobs.in_run(run) else {
            return;
        };
        let was_stalled = job.is_stalled(now);
        let Some(active) = &mut job.active else {
            return;
        };
        active.began = true;
        active.heartbeat = now;
        let report = &active.account.report;
        self.publisher.emit(Event::RunStarted {
            run,
            job: report.job.clone(),
            scope: report.scope.clone(),
            trigger: report.trigger,
            requested_by: report.requested_by.clone(),
            at: report.started_at,
        });
        if was_stalled && self.shutdown.is_none() {
            update_health(job, &self.shared, &mut self.publisher, now);
        }
    }

    pub(super) fn checked(&mut self, job: &JobName, findings: Findings) {
        if let Some(job) = self.jobs.get_mut(job) {
            job.findings = findings;
        }
    }

    pub(super) fn committed(&mut self, committed: Committed) {
        let now = self.shared.now();
        let Committed { run, cutoff, batch } = committed;
        // A worker that was given up may still report a batch. Its run is answered already.
        let Some(job) = self.jobs.in_run(run) else {
            return;
        };
        let was_stalled = job.is_stalled(now);
        if let Some(active) = &mut job.active {
            active.heartbeat = now;
            active.account.report.cutoff = Some(cutoff);
            active.account.add(&batch, job.config.max_reported_ids);
        }
        let Batch { counts, ids, .. } = batch;
        recorder::batch_committed(&job.name, &counts);
        // Rejected rows are in the report.
        if counts.total() > 0 {
            self.couriers.wake(&job.name);
            self.publisher.emit(Event::BatchCommitted {
                run,
                job: job.name.clone(),
                counts,
                ids,
            });
        }
        // Not after each batch: to judge a job may take a look into its calendar.
        if was_stalled && self.shutdown.is_none() {
            update_health(job, &self.shared, &mut self.publisher, now);
        }
    }

    pub(super) fn finished(&mut self, run: RunState) {
        let now = self.shared.now();
        let Some(job) = self.jobs.in_run(run.account.run()) else {
            return;
        };
        let Some(active) = job.active.take() else {
            return;
        };
        let mut report = run.account.report;
        job.rejected = run.rejected;
        job.clock = run.clock;
        job.slowness = run.slowness;
        if active.clock_confirmed {
            job.clock.confirm();
        }
        job.unsaved.clear();
        job.keep_unsaved(run.unsaved);

        let config = &self.shared.config;
        let half_open = job.degraded.is_some();
        let retry = if half_open {
            config.restart.cool_down
        } else {
            backoff(&config.retry, job.failures, fastrand::f64())
        };
        let read = run.forecast_at.map_or(Duration::ZERO, |at| at.elapsed());
        let recovered = job.apply_outcome(now, now.before(read), &mut report, retry);
        let failed = matches!(report.outcome, Outcome::Failed { .. });
        job.remember_record(&report, &self.shared, failed);
        self.publisher.publish(&report, active.waiters);
        if recovered {
            job.recovered(&report.scope, &mut self.publisher);
        }
        if self.shutdown.is_some() {
            return self.stop_next();
        }
        if failed && job.degraded.is_some() {
            job.degrade_again(&self.shared, &mut self.publisher);
        }
        dispatch(job, &self.shared, &self.timer, &mut self.publisher);
    }
}

/// Logs a request for a run: `info` if it says who asks, else `debug`. Its report is logged as
/// well.
pub(super) fn log_request(job: &JobName, scope: &Scope, by: Option<&Requester>) {
    let scope = line(&scope.to_string());
    if let Some(by) = by {
        tracing::info!(job.name = %job, run.scope = %scope, requested_by = %by, "a run of {job} ({scope}) was requested by {by}");
    } else {
        tracing::debug!(job.name = %job, run.scope = %scope, "a run of {job} ({scope}) was requested");
    }
}

/// Dispatches what is queued, and gives a degraded job an attempt. Returns the error of an
/// escalation.
pub(super) async fn take_up(
    job: &mut JobState,
    shared: &Shared,
    timer: &TimerHandle,
    publisher: &mut Publisher,
) -> Option<String> {
    let escalation = job.revive(shared, publisher).await;
    dispatch(job, shared, timer, publisher);
    escalation
}

/// Gives a free worker its next run, arms the timer and updates the health, once after each change.
pub(super) fn dispatch(
    job: &mut JobState,
    shared: &Shared,
    timer: &TimerHandle,
    publisher: &mut Publisher,
) {
    let now = shared.now();
    job.start_next(shared, now);
    refresh(job, shared, timer, publisher, now);
}

/// Arms the timer and updates the health.
pub(super) fn refresh(
    job: &mut JobState,
    shared: &Shared,
    timer: &TimerHandle,
    publisher: &mut Publisher,
    now: Moment,
) {
    timer.arm(job, now);
    update_health(job, shared, publisher, now);
}

impl JobState {
    /// Applies the outcome of a run to plan, counters and history. Returns whether the job
    /// recovered from its degradation.
    fn apply_outcome(
        &mut self,
        now: Moment,
        forecast_read: Moment,
        report: &mut Report,
        retry: Duration,
    ) -> bool {
        let recovered = report.success() && self.degraded.take().is_some();
        if recovered {
            self.restarts.clear();
        }
        if report.scope != Scope::All {
            return recovered;
        }
        match &mut report.outcome {
            Outcome::Failed { retry_at, .. } => {
                self.failures += 1;
                let at = self.planner.failed(now, retry).wall;
                *retry_at = Some(at).filter(|_| !self.planner.is_paused());
            }
            Outcome::Cancelled { .. } => self.planner.cancelled(now),
            _ => self
                .planner
                .completed(forecast_read, report.forecast.as_ref()),
        }
        if report.success() {
            self.failures = 0;
            self.last_success = Some(now);
            self.restarts.reset_backoff();
        }
        self.remember_end(report, now);
        recovered
    }

    /// Reports a recovery. A run of one user says nothing of the other rows, and the plan was
    /// dropped with the degradation, so a run of everything follows it.
    fn recovered(&mut self, scope: &Scope, publisher: &mut Publisher) {
        let job = &self.name;
        tracing::info!(job.name = %job, "{job} recovered");
        publisher.emit(Event::JobRecovered { job: job.clone() });
        if *scope != Scope::All && !self.planner.is_paused() {
            self.enqueue(Scope::All, Trigger::Retry, None, None);
        }
    }
}
