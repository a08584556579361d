//! The life of a run: asked for, given to a worker, followed, answered.

use std::collections::BTreeMap;
use std::time::Duration;

use ractor::RpcReplyPort;

use super::active_run::Waiter;
use super::job_state::{JobState, WorkerSlot};
use super::state::{State, answer};
use crate::actors::run_state::{Committed, RunState};
use crate::job::{JobName, Scope};
use crate::metrics::recorder;
use crate::model::{Event, Outcome, Report, RequestError, RunId, Trigger};
use crate::policy::backoff;
use crate::time::Moment;

impl State {
    pub(super) async fn run_now(
        &mut self,
        job: &JobName,
        scope: Scope,
        reply: RpcReplyPort<Result<Report, RequestError>>,
    ) {
        match self.admit(job, &scope) {
            Ok(()) => {
                self.request(job, scope, Trigger::Manual, Some(Waiter::Asker(reply)))
                    .await;
            }
            Err(refusal) => answer(reply, Err(refusal)),
        }
    }

    pub(super) async fn run_all(&mut self, reply: RpcReplyPort<Result<Vec<Report>, RequestError>>) {
        let jobs: Vec<JobName> = self
            .desks
            .iter()
            .filter(|(_, desk)| desk.is_enabled())
            .map(|(job, _)| job.clone())
            .collect();
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        if jobs.is_empty() {
            return answer(reply, Ok(Vec::new()));
        }
        let number = self.gatherings.open(reply, jobs.len());
        for job in jobs {
            self.request(
                &job,
                Scope::All,
                Trigger::Manual,
                Some(Waiter::PendingRunAll(number)),
            )
            .await;
        }
    }

    /// Whether a run may be asked for.
    fn admit(&mut self, job: &JobName, scope: &Scope) -> Result<(), RequestError> {
        if self.shutdown.is_some() {
            return Err(RequestError::ShuttingDown);
        }
        self.desk(job)?.check_scope(scope)
    }

    /// Queues a run, and starts it if its worker is free. A degraded job gets its attempt.
    pub(super) async fn request(
        &mut self,
        job: &JobName,
        scope: Scope,
        trigger: Trigger,
        waiter: Option<Waiter>,
    ) {
        let Some(desk) = self.desks.get_mut(job) else {
            return;
        };
        if let Err(waiter) = desk.queue.push(scope, trigger, waiter) {
            let waiting = desk.queue.len();
            if let Some(Waiter::Asker(reply)) = waiter {
                answer(
                    reply,
                    Err(RequestError::TooManyScopes {
                        job: job.clone(),
                        waiting,
                    }),
                );
            }
            return;
        }
        if matches!(desk.post, WorkerSlot::Degraded { .. }) {
            self.spawn_worker(job).await;
        }
        self.dispatch(job);
    }

    /// Gives the worker its next run, if it is free and one waits.
    pub(super) fn dispatch(&mut self, job: &JobName) {
        let now = self.watch.now();
        if self.shutdown.is_none() {
            if let Some(desk) = self.desks.get_mut(job) {
                desk.start_next(now);
            }
        }
        self.arm(job);
        self.judge(job);
    }

    pub(super) fn began(&mut self, run: RunId) {
        let now = self.watch.now();
        let Some(desk) = running(&mut self.desks, run) else {
            return;
        };
        let was_wedged = desk.is_stalled(now);
        let Some(running) = &mut desk.running else {
            return;
        };
        running.begin(now);
        let Report {
            run,
            job,
            scope,
            trigger,
            started_at,
            ..
        } = running.report.clone();
        self.subscribers.tell(Event::RunStarted {
            run,
            job: job.clone(),
            scope,
            trigger,
            at: started_at,
        });
        if was_wedged {
            self.judge(&job);
        }
    }

    pub(super) fn committed(&mut self, batch: Committed) {
        let now = self.watch.now();
        // A worker that was given up may still tell of a batch; its run was answered with
        // `rows_at_least`.
        let Some(desk) = running(&mut self.desks, batch.run) else {
            return;
        };
        let was_wedged = desk.is_stalled(now);
        if let Some(running) = &mut desk.running {
            running.progress(now, &batch, desk.config.max_reported_ids);
        }
        let job = desk.name.clone();
        let Committed {
            run, counts, ids, ..
        } = batch;
        recorder::batch_committed(&job, &counts);
        // Rows that were set aside are told of by the report.
        if counts.total() > 0 {
            self.subscribers.tell(Event::BatchCommitted {
                run,
                job: job.clone(),
                counts,
                ids,
            });
        }
        // Not after each batch: to judge a job may take a look into its calendar.
        if was_wedged {
            self.judge(&job);
        }
    }

    pub(super) fn finished(&mut self, sheet: RunState) {
        let now = self.watch.now();
        let instance = self.instance;
        let Some(desk) = running(&mut self.desks, sheet.report.run) else {
            return;
        };
        let Some(running) = desk.running.take() else {
            return;
        };
        let RunState {
            mut report,
            unsaved,
            rejected,
            looked_at,
            ..
        } = sheet;
        desk.rejected = rejected;
        desk.unsaved.clear();
        desk.owe(unsaved);

        let half_open = desk.degraded.is_some();
        let retry = if half_open {
            self.config.restart.cool_down
        } else {
            backoff(&self.config.retry, desk.failures, fastrand::f64())
        };
        let looked = now.before(looked_at.map_or(Duration::ZERO, |at| at.elapsed()));
        let recovered = desk.learn(now, looked, &mut report, retry);
        let failed = matches!(report.outcome, Outcome::Failed { .. });
        desk.remember(&report, instance, failed && self.history.is_some());
        let job = report.job.clone();
        self.settle(&report, running.waiters);
        if recovered {
            tracing::info!(job.name = %job, "{job} recovered");
            self.subscribers
                .tell(Event::JobRecovered { job: job.clone() });
            // One user's run is no account of the rest, and what was planned was dropped with the
            // degradation.
            self.catch_up(&job, &report.scope);
        }
        if self.shutdown.is_some() {
            return self.stop_next();
        }
        if failed {
            self.rest_if_degraded(&job);
        }
        self.dispatch(&job);
    }
}

impl State {
    /// Runs everything after a run of one user has ended a degradation.
    fn catch_up(&mut self, job: &JobName, scope: &Scope) {
        let desk = self.desks.get_mut(job);
        if let Some(desk) = desk.filter(|desk| *scope != Scope::All && !desk.agenda.is_paused()) {
            let _ = desk.queue.push(Scope::All, Trigger::Retry, None);
        }
    }
}

impl JobState {
    /// Draws the conclusions from a run that ended. Returns whether the job recovered by it.
    fn learn(&mut self, now: Moment, looked: Moment, report: &mut Report, retry: Duration) -> bool {
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
                let at = self.agenda.failed(now, retry).wall;
                *retry_at = Some(at).filter(|_| !self.agenda.is_paused());
            }
            Outcome::Cancelled => self.agenda.cancelled(now),
            _ => self.agenda.completed(looked, report.forecast.as_ref()),
        }
        if report.success() {
            self.failures = 0;
            self.last_success = Some(now);
            self.restarts.reset_backoff();
        }
        self.ended(report, now);
        recovered
    }
}

/// The desk whose worker is in this run.
fn running(desks: &mut BTreeMap<JobName, JobState>, run: RunId) -> Option<&mut JobState> {
    desks.values_mut().find(|desk| {
        desk.running
            .as_ref()
            .is_some_and(|running| running.report.run == run)
    })
}
