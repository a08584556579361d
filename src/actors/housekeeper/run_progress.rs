//! A run in progress, as its worker reports it: begun, committed, finished.

use std::time::Duration;

use super::dispatch::dispatch;
use super::health_check::update_health;
use super::job_state::JobState;
use super::publisher::Publisher;
use super::state::State;
use crate::actors::run_state::{Committed, RunState};
use crate::job::{Batch, Findings, JobName, Scope};
use crate::metrics::recorder;
use crate::model::{Event, Outcome, Report, RunId, Trigger};
use crate::policy::backoff;
use crate::time::Moment;

impl State {
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
        // A crashed worker may still report a batch. Its run is answered already.
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
        // Not after each batch: the health of a job may need its calendar.
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
        job.records.unsaved.clear();
        job.records.keep_unsaved(run.unsaved);

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
        job.records.add(&report, &self.shared, failed);
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
