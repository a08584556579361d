//! Crashes of children: their runs are answered, then they are restarted or degraded.

use ractor::{ActorId, SupervisionEvent};

use super::dispatch::refresh;
use super::job_state::JobState;
use super::publisher::Publisher;
use super::shared::Shared;
use super::state::State;
use super::worker_slot::WorkerSlot;
use crate::config::OnRestartLimit;
use crate::fmt::log_line;
use crate::job::Scope;
use crate::metrics::recorder;
use crate::model::{Event, Outcome, Trigger};
use crate::policy::{QueuedRun, Verdict};

/// Returns the child that exited and why, if this event is an exit.
pub(super) fn exit_of(event: &SupervisionEvent) -> Option<(ActorId, String)> {
    match event {
        SupervisionEvent::ActorFailed(child, error) => Some((child.get_id(), error.to_string())),
        SupervisionEvent::ActorTerminated(child, _, reason) => Some((
            child.get_id(),
            reason.clone().unwrap_or_else(|| "stopped".to_owned()),
        )),
        _ => None,
    }
}

impl State {
    /// Handles the exit of a child, behind all its messages.
    pub(super) async fn child_exited(&mut self, child: ActorId, reason: String) {
        if self.reads.reader_exited(child, &reason) {
            return self.reads.start_next(&self.shared).await;
        }
        if self.shutdown.is_some() {
            return self.child_stopped(child, &reason).await;
        }
        if self.timer.is(child) {
            return self.timer_crashed(reason);
        }
        if self
            .couriers
            .crashed(child, &reason, &self.shared, &mut self.publisher)
        {
            return;
        }
        let Some(job) = self.jobs.of_worker(child) else {
            return;
        };
        let escalation = job.worker_crashed(&self.shared, &mut self.publisher, reason);
        if escalation.is_none() {
            let now = self.shared.now();
            refresh(job, &self.shared, &self.timer, &mut self.publisher, now);
        }
        self.escalate_if(escalation).await;
    }

    pub(super) fn timer_crashed(&mut self, reason: String) {
        self.timer.schedule_restart(&self.shared);
        tracing::warn!(reason = %log_line(&reason), "the timer crashed and is restarted");
        self.publisher.emit(Event::TimerRestarted { reason });
    }
}

impl JobState {
    /// Answers for the run of a worker that crashed, and plans the restart. Returns the error of an
    /// escalation.
    pub(super) fn worker_crashed(
        &mut self,
        shared: &Shared,
        publisher: &mut Publisher,
        reason: String,
    ) -> Option<String> {
        let now = shared.now();
        let config = &shared.config.restart;
        recorder::worker_crashed(&self.name);
        let verdict = self.restarts.record(now.mono, config, fastrand::f64());
        let half_open = self.degraded.is_some();
        self.finish_crashed(shared, publisher, &reason);
        let job = &self.name;
        match verdict {
            Verdict::RestartAfter(wait) if !half_open => {
                let at = now.after(wait);
                tracing::warn!(job.name = %job, restart.at = %at.wall, reason = %log_line(&reason), "the worker of {job} crashed and is restarted");
                publisher.emit(Event::WorkerRestarting {
                    job: job.clone(),
                    reason: reason.clone(),
                    at: at.wall,
                });
                self.worker = WorkerSlot::Restarting { at, reason };
            }
            _ if config.on_limit == OnRestartLimit::Escalate => {
                tracing::error!(job.name = %job, reason = %log_line(&reason), "{job} is escalated: its worker crashed too often");
                let error = format!("{job} crashed too often: {reason}");
                let until = now.after(config.cool_down);
                self.worker = WorkerSlot::Degraded { until, reason };
                return Some(error);
            }
            _ => self.degrade(shared, publisher, reason),
        }
        None
    }

    /// Answers for a run whose worker crashed. A run that never began goes back to the queue.
    fn finish_crashed(&mut self, shared: &Shared, publisher: &mut Publisher, reason: &str) {
        let Some(active) = self.active.take() else {
            return;
        };
        if !active.began {
            let report = active.account.report;
            self.queue.push_front(QueuedRun {
                run: report.run,
                scope: report.scope,
                trigger: report.trigger,
                requested_by: report.requested_by,
                waiters: active.waiters,
            });
            return;
        }
        let now = shared.now();
        let (report, waiters) = active.crashed(now, reason);
        self.records.add(&report, shared, true);
        if report.scope == Scope::All {
            self.remember_end(&report, now);
            if !self.planner.is_paused() {
                self.enqueue(Scope::All, Trigger::Retry, None, None);
            }
        }
        publisher.publish(&report, waiters);
    }

    /// Degrades the job until the cool-down is over, and answers its queue.
    fn degrade(&mut self, shared: &Shared, publisher: &mut Publisher, reason: String) {
        let now = shared.now();
        let until = now.after(shared.config.restart.cool_down);
        self.degraded = Some(reason.clone());
        self.worker = WorkerSlot::Degraded {
            until,
            reason: reason.clone(),
        };
        let outcome = Outcome::Crashed {
            reason: reason.clone(),
            rows_at_least: 0,
        };
        let job = &self.name;
        publisher.reject(job, self.queue.drain(), &outcome, now);
        tracing::error!(job.name = %job, degraded.until = %until.wall, reason = %log_line(&reason), "{job} is degraded: its worker crashed too often");
        publisher.emit(Event::JobDegraded {
            job: job.clone(),
            reason,
            until: until.wall,
        });
    }

    /// Degrades a job again whose attempt failed, and stops the worker of the attempt.
    pub(super) fn degrade_again(&mut self, shared: &Shared, publisher: &mut Publisher) {
        let Some(reason) = self.degraded.clone() else {
            return;
        };
        if let Some(worker) = self.worker.actor() {
            worker.stop(None);
        }
        self.degrade(shared, publisher, reason);
    }
}
