//! Children: started in order, watched, started again, given up.

use ractor::{Actor, ActorId, ActorRef, SpawnErr, SupervisionEvent};

use super::active_run::Running;
use super::job_state::WorkerSlot;
use super::state::State;
use crate::actors::worker::{Worker, WorkerArguments, WorkerMsg};
use crate::config::OnRestartLimit;
use crate::job::{JobName, Scope};
use crate::metrics::recorder;
use crate::model::{Event, Outcome, Trigger};
use crate::policy::{QueuedRun, Verdict};

/// Who died, and why, if this event is a death.
pub(super) fn death(event: &SupervisionEvent) -> Option<(ActorId, String)> {
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
    /// Workers before the timer: what it wakes must be there.
    pub(super) async fn spawn_all(&mut self) -> Result<(), SpawnErr> {
        let jobs: Vec<JobName> = self.desks.keys().cloned().collect();
        for job in jobs {
            self.try_spawn_worker(&job).await?;
        }
        self.try_spawn_timer().await
    }

    /// Starts a worker; one that cannot be started counts as one that died.
    pub(super) async fn spawn_worker(&mut self, job: &JobName) {
        if let Err(error) = self.try_spawn_worker(job).await {
            // Our workers' `pre_start` cannot fail, so this is ractor's own trouble and as good as
            // a death.
            self.worker_died(job, error.to_string()).await;
        }
    }

    pub(super) async fn try_spawn_worker(&mut self, job: &JobName) -> Result<(), SpawnErr> {
        let history = self.history_book();
        let Some(desk) = self.desks.get_mut(job).filter(|desk| desk.is_enabled()) else {
            return Ok(());
        };
        let arguments = WorkerArguments {
            job: desk.job.clone(),
            config: desk.config.clone(),
            history,
            supervisor: self.myself.clone(),
        };
        let (worker, _) =
            Actor::spawn_linked(None, Worker, arguments, self.myself.get_cell()).await?;
        desk.post = WorkerSlot::Up(worker);
        Ok(())
    }

    /// A child is dead, and all it said before has been heard.
    pub(super) async fn departed(&mut self, child: ActorId, reason: String) {
        if self.inquiries.departed(child, &reason) {
            return self.read_next().await;
        }
        if self.shutdown.is_some() {
            return self.left_at_shutdown(child, &reason).await;
        }
        if self
            .alarm
            .timer
            .as_ref()
            .is_some_and(|timer| timer.get_id() == child)
        {
            return self.timer_died(reason);
        }
        let job = self
            .desks
            .iter()
            .find(|(_, desk)| desk.post.is(child))
            .map(|(job, _)| job.clone());
        if let Some(job) = job {
            self.worker_died(&job, reason).await;
        }
    }

    async fn worker_died(&mut self, job: &JobName, reason: String) {
        let now = self.watch.now();
        let Some(desk) = self.desks.get_mut(job) else {
            return;
        };
        recorder::worker_died(job);
        let verdict = desk
            .restarts
            .record(now.mono, &self.config.restart, fastrand::f64());
        let half_open = desk.degraded.is_some();
        desk.post = match verdict {
            Verdict::RestartAfter(wait) if !half_open => WorkerSlot::Restarting {
                at: now.after(wait),
                reason: reason.clone(),
            },
            _ => WorkerSlot::Degraded {
                until: now.after(self.config.restart.cool_down),
                reason: reason.clone(),
            },
        };
        self.settle_crash(job, &reason);
        let Some(desk) = self.desks.get_mut(job) else {
            return;
        };
        match &desk.post {
            WorkerSlot::Restarting { at, .. } => {
                let at = at.wall;
                tracing::warn!(job.name = %job, restart.at = %at, %reason, "the worker of {job} died and is started again");
                self.subscribers.tell(Event::WorkerRestarting {
                    job: job.clone(),
                    reason,
                    at,
                });
            }
            _ if self.config.restart.on_limit == OnRestartLimit::Escalate => {
                tracing::error!(job.name = %job, %reason, "{job} is escalated: its worker died too often");
                self.escalate(format!("{job} died too often: {reason}"))
                    .await;
                return;
            }
            _ => self.degrade(job, reason),
        }
        self.arm(job);
        self.judge(job);
    }

    /// Answers for a run whose worker died. One that never began goes back to the queue.
    fn settle_crash(&mut self, job: &JobName, reason: &str) {
        let now = self.watch.now();
        let instance = self.instance;
        let Some(desk) = self.desks.get_mut(job) else {
            return;
        };
        let Some(running) = desk.running.take() else {
            return;
        };
        if !running.began {
            let Running {
                report, waiters, ..
            } = running;
            desk.queue.push_front(QueuedRun {
                scope: report.scope,
                trigger: report.trigger,
                waiters,
            });
            return;
        }
        let rows_at_least = running.report.counts.total();
        let (report, waiters) = running.cut_short(
            now,
            Outcome::Crashed {
                reason: reason.to_owned(),
                rows_at_least,
            },
        );
        desk.remember(&report, instance, self.history.is_some());
        if report.scope == Scope::All {
            desk.ended(&report, now);
            if !desk.agenda.is_paused() {
                let _ = desk.queue.push(Scope::All, Trigger::Retry, None);
            }
        }
        self.settle(&report, waiters);
    }

    /// Lets a job rest. Those who wait for it are answered now.
    fn degrade(&mut self, job: &JobName, reason: String) {
        let Some(desk) = self.desks.get_mut(job) else {
            return;
        };
        desk.degraded = Some(reason.clone());
        let orders = desk.queue.drain();
        let WorkerSlot::Degraded { until, .. } = &desk.post else {
            return;
        };
        let until = until.wall;
        self.reject(
            job,
            orders,
            &Outcome::Crashed {
                reason: reason.clone(),
                rows_at_least: 0,
            },
        );
        tracing::error!(job.name = %job, degraded.until = %until, %reason, "{job} is degraded: its worker died too often");
        self.subscribers.tell(Event::JobDegraded {
            job: job.clone(),
            reason,
            until,
        });
    }

    /// Lets a job rest again whose attempt to end its degradation failed; its worker is let go.
    pub(super) fn rest_if_degraded(&mut self, job: &JobName) {
        let now = self.watch.now();
        let cool_down = self.config.restart.cool_down;
        let Some(desk) = self.desks.get_mut(job) else {
            return;
        };
        let Some(reason) = desk.degraded.clone() else {
            return;
        };
        if let WorkerSlot::Up(worker) = &desk.post {
            worker.stop(None);
        }
        desk.post = WorkerSlot::Degraded {
            until: now.after(cool_down),
            reason: reason.clone(),
        };
        self.degrade(job, reason);
    }
}

impl WorkerSlot {
    pub(super) fn is(&self, child: ActorId) -> bool {
        self.worker().is_some_and(|worker| worker.get_id() == child)
    }

    pub(super) fn worker(&self) -> Option<&ActorRef<WorkerMsg>> {
        match self {
            Self::Up(worker) => Some(worker),
            Self::Vacant | Self::Restarting { .. } | Self::Degraded { .. } => None,
        }
    }
}
