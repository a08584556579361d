//! The status, the health and the gauges of a job, from memory.

use std::time::Duration;

use super::job_state::JobState;
use super::worker_slot::WorkerSlot;
use crate::metrics::recorder::JobSnapshot;
use crate::model::{FailingCause, Health, JobStatus, NextRun, Outcome, WorkerStatus};
use crate::policy::{HealthInputs, Heartbeat, health, max_silence};
use crate::time::Moment;

impl JobState {
    pub(super) fn status(&self, now: Moment, started: Moment) -> JobStatus {
        JobStatus {
            job: self.name.clone(),
            health: self.health(now, started),
            worker: self.worker_status(),
            paused: self.planner.is_paused(),
            pause: self.planner.pause_in_force().cloned(),
            schedule: self.planner.schedule().clone(),
            next_run: self.next_run(),
            next_ticks: if self.enabled {
                self.planner.next_ticks(MAX_NEXT_TICKS)
            } else {
                Vec::new()
            },
            findings: self.findings.with_advice(&self.advice),
            waiting: self.queue.len(),
            last: self.last.clone(),
            outcomes: self.records.outcomes.iter().copied().collect(),
            last_success: self.last_success.map(|at| at.wall),
            oldest_overdue: self.oldest_overdue(now),
            rejected: self.rejected.len(),
            restarts: self.restarts.total(),
            missed_ticks: self.missed_ticks,
            unsaved_runs: self.records.unsaved.len(),
            runbook: self.config.runbook.clone(),
        }
    }

    pub(super) fn health(&self, now: Moment, started: Moment) -> Health {
        health(&HealthInputs {
            now,
            late_after: self.config.late_after,
            degraded: self.degraded.as_deref(),
            failure: self.failure(),
            last_success: self.last_success,
            started,
            two_ticks: self
                .planner
                .two_ticks(self.last_success.unwrap_or(started))
                .filter(|_| self.enabled),
            oldest_overdue: self.overdue(),
            next_run: self.planner.late_from(now).filter(|_| self.enabled),
            paused: self.planner.is_paused(),
            heartbeat: self.heartbeat(),
            old_snapshot: self.slowness.snapshot(),
        })
    }

    /// Records the gauges of an enabled job.
    pub(super) fn record_gauges(&mut self, now: Moment, health: &Health) {
        if !self.enabled {
            return;
        }
        let snapshot = JobSnapshot {
            health,
            backlog: self.forecast.map(|(forecast, _)| forecast.due.count),
            oldest_overdue: self.oldest_overdue(now),
            last_success: self.last_success.map(|at| at.wall),
            // Incomplete during a run: a run of a tick starts with none.
            rejected: self.active.is_none().then_some(self.rejected.len()),
            unsaved_runs: self.records.unsaved.len(),
            running: self.active.is_some(),
            stalled: self.is_stalled(now),
            paused: self.planner.is_paused(),
        };
        self.gauges.record(&self.name, &snapshot);
    }

    /// Returns whether the run in progress has been silent for longer than its timeouts allow.
    pub(super) fn is_stalled(&self, now: Moment) -> bool {
        let heartbeat = self.heartbeat();
        heartbeat.is_some_and(|heartbeat| heartbeat.is_stalled(now))
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        Some(Heartbeat {
            since: self.active.as_ref()?.heartbeat,
            step_timeout: self.config.step_timeout,
            max_silence: max_silence(&self.config),
        })
    }

    fn worker_status(&self) -> WorkerStatus {
        match (&self.worker, &self.active) {
            (WorkerSlot::Vacant, _) if self.enabled => WorkerStatus::Stopped,
            (WorkerSlot::Vacant, _) => WorkerStatus::Disabled,
            (WorkerSlot::Up(_), Some(active)) => WorkerStatus::Running(active.status()),
            (WorkerSlot::Up(_), None) => WorkerStatus::Idle,
            (WorkerSlot::Restarting { at, reason }, _) => WorkerStatus::Restarting {
                reason: reason.clone(),
                at: at.wall,
            },
            (WorkerSlot::Degraded { until, reason }, _) => WorkerStatus::Degraded {
                reason: reason.clone(),
                until: until.wall,
            },
        }
    }

    fn next_run(&self) -> Option<NextRun> {
        match self.worker {
            WorkerSlot::Up(_) => self.planner.next().map(|(at, trigger)| NextRun {
                at: at.wall,
                trigger,
            }),
            _ => None,
        }
    }

    /// Returns why the worker restarts, or how the last run of all rows failed.
    fn failure(&self) -> Option<FailingCause> {
        if let WorkerSlot::Restarting { reason, .. } = &self.worker {
            let reason = reason.clone();
            return Some(FailingCause::WorkerRestarting { reason });
        }
        match &self.last.as_ref()?.outcome {
            Outcome::Failed { error, .. } => Some(FailingCause::RunFailed {
                error: error.clone(),
            }),
            Outcome::Crashed { reason, .. } => Some(FailingCause::RunCrashed {
                reason: reason.clone(),
            }),
            _ => None,
        }
    }

    /// Returns the present age of the oldest due row of the last forecast.
    fn oldest_overdue(&self, now: Moment) -> Option<Duration> {
        let (age, read) = self.overdue()?;
        Some(age.saturating_add(now.mono.saturating_sub(read.mono)))
    }

    /// Returns the age of the oldest due row, and the moment of that forecast.
    fn overdue(&self) -> Option<(Duration, Moment)> {
        let (forecast, read) = self.forecast?;
        Some((forecast.oldest_overdue?, read))
    }
}

/// Upcoming ticks that a status lists.
const MAX_NEXT_TICKS: usize = 5;
