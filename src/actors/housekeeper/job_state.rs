//! The supervisor's memory of one job.

use std::collections::BTreeSet;
use std::sync::Arc;

use ractor::{Actor, SpawnErr};

use super::active_run::ActiveRun;
use super::publisher::{Publisher, Waiter};
use super::run_records::RunRecords;
use super::shared::{Shared, answer};
use super::worker_slot::WorkerSlot;
use crate::actors::panics::catch_panic;
use crate::actors::run_state::{RunAccount, RunState};
use crate::actors::worker::{Worker, WorkerArguments, WorkerMsg};
use crate::config::{HousekeeperConfig, JobConfig};
use crate::job::{Finding, Findings, Forecast, Job, JobName, Scope};
use crate::metrics::recorder::{self, Gauges};
use crate::model::{Health, Outcome, Report, RequestError, Requester, RunId, Trigger};
use crate::policy::{ClockGuard, Due, Planner, QueuedRun, RestartLog, RunQueue, Slowness};
use crate::time::Moment;

/// One job: its worker, its plan, its runs and those who wait for them.
pub(super) struct JobState {
    pub(super) job: Arc<dyn Job>,
    pub(super) name: JobName,
    /// Read once: a disabled job has no worker.
    pub(super) enabled: bool,
    pub(super) config: JobConfig,
    pub(super) worker: WorkerSlot,
    pub(super) planner: Planner,
    pub(super) queue: RunQueue<Waiter>,
    pub(super) active: Option<ActiveRun>,
    pub(super) restarts: RestartLog,
    /// Why the job is degraded. Set until a run completes, during an attempt as well.
    pub(super) degraded: Option<String>,
    /// Failed runs in a row; the backoff counts them.
    pub(super) failures: u32,
    /// Findings of the last check of its tables.
    pub(super) findings: Findings,
    /// Advice from beyond its tables.
    pub(super) advice: Vec<Finding>,
    /// The last run of all rows that ended.
    pub(super) last: Option<Report>,
    /// The newest forecast, and when it was read.
    pub(super) forecast: Option<(Forecast, Moment)>,
    pub(super) last_success: Option<Moment>,
    pub(super) missed_ticks: u64,
    pub(super) records: RunRecords,
    /// The first rows rejected since the last tick.
    pub(super) rejected: BTreeSet<String>,
    /// The clocks of past runs.
    pub(super) clock: ClockGuard,
    /// The forecasts of past runs.
    pub(super) slowness: Slowness,
    /// The health that subscribers know.
    pub(super) health: Health,
    pub(super) gauges: Gauges,
}

impl JobState {
    pub(super) fn new(job: Arc<dyn Job>, config: &HousekeeperConfig, now: Moment) -> Self {
        let (name, enabled) = (job.name(), job.is_enabled());
        let config = config.for_job(&name).clone();
        let planner = Planner::new(config.schedule.clone(), now, fastrand::f64());
        Self {
            job,
            name,
            enabled,
            config,
            worker: WorkerSlot::Vacant,
            planner,
            queue: RunQueue::new(),
            active: None,
            restarts: RestartLog::default(),
            degraded: None,
            failures: 0,
            findings: Findings::default(),
            advice: Vec::new(),
            last: None,
            forecast: None,
            last_success: None,
            missed_ticks: 0,
            records: RunRecords::default(),
            rejected: BTreeSet::new(),
            clock: ClockGuard::default(),
            slowness: Slowness::default(),
            health: Health::Healthy,
            gauges: Gauges::default(),
        }
    }

    /// Returns an error if the job cannot serve the scope.
    pub(super) fn check_scope(&self, scope: &Scope) -> Result<(), RequestError> {
        let check = || scope.check().and_then(|()| self.job.check_scope(scope));
        catch_panic(check)
            .unwrap_or_else(|panic| Err(format!("the job panicked: {panic}")))
            .map_err(|problem| RequestError::Scope {
                job: self.name.clone(),
                problem,
            })
    }

    /// Returns when the timer is to wake the supervisor for this job, or to look at a pause again.
    pub(super) fn alarm_at(&self, now: Moment) -> Option<Moment> {
        let times = [self.wake_at(now), self.planner.recheck_at()];
        times.into_iter().flatten().reduce(Moment::earlier)
    }

    /// Returns when a run is due, or an attempt to restart the worker.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        match &self.worker {
            WorkerSlot::Vacant => None,
            WorkerSlot::Up(_) => self.planner.wake_at(now),
            WorkerSlot::Restarting { at, .. } => Some(*at),
            WorkerSlot::Degraded { until, .. } => {
                Some(*until).filter(|_| !self.planner.is_paused())
            }
        }
    }

    /// Takes what is due, and counts the ticks that get no run of their own.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Trigger> {
        let Due { trigger, missed } = self.planner.take_due(now)?;
        let meets_a_run = trigger == Trigger::Tick && self.active.is_some();
        let missed = missed + u64::from(meets_a_run);
        self.missed_ticks += missed;
        recorder::ticks_missed(&self.name, missed);
        Some(trigger)
    }

    /// Queues a run and returns its id. Answers its waiter if the queue is full.
    pub(super) fn enqueue(
        &mut self,
        scope: Scope,
        trigger: Trigger,
        waiter: Option<Waiter>,
        by: Option<Requester>,
    ) -> Option<RunId> {
        let waiter = match self.queue.push(scope, trigger, waiter, by) {
            Ok(run) => return Some(run),
            Err(waiter) => waiter,
        };
        if let Some(Waiter::Caller(reply)) = waiter {
            let error = RequestError::TooManyScopes {
                job: self.name.clone(),
                waiting: self.queue.len(),
            };
            answer(reply, Err(error));
        }
        None
    }

    /// Gives a free worker the run that has waited longest.
    pub(super) fn start_next(&mut self, shared: &Shared, now: Moment) {
        let WorkerSlot::Up(worker) = &self.worker else {
            return;
        };
        if self.active.is_some() {
            return;
        }
        let Some(QueuedRun {
            run,
            scope,
            trigger,
            requested_by,
            waiters,
        }) = self.queue.pop()
        else {
            return;
        };
        // A retry may meet mended rows.
        if trigger != Trigger::Deadline && scope == Scope::All {
            self.rejected.clear();
        }
        let report = Report {
            run,
            requested_by,
            instance: Some(shared.instance_name.clone()),
            ..Report::blank(self.name.clone(), scope, trigger, now.wall)
        };
        let account = RunAccount::new(report);
        // Copies: the worker's own are lost when it crashes.
        let (unsaved, rejected) = (self.records.unsaved.clone(), self.rejected.clone());
        let mut run = RunState::new(account.clone(), unsaved, rejected, self.clock.clone());
        run.slowness = self.slowness.clone();
        // A worker that has just crashed takes no message; its exit puts the run back.
        let _ = worker.cast(WorkerMsg::Run(Box::new(run)));
        self.active = Some(ActiveRun::new(account, waiters, now));
    }

    /// Requests that the worker ends its run after the batch in progress.
    pub(super) fn end_run(&self, outcome: Outcome) {
        if let (WorkerSlot::Up(worker), Some(active)) = (&self.worker, &self.active) {
            let _ = worker.cast(WorkerMsg::End(active.id(), outcome));
        }
    }

    /// Spawns the worker of an enabled job.
    pub(super) async fn try_spawn_worker(&mut self, shared: &Shared) -> Result<(), SpawnErr> {
        if !self.enabled {
            return Ok(());
        }
        let arguments = WorkerArguments {
            job: self.job.clone(),
            config: self.config.clone(),
            history: shared.history_writer(),
            supervisor: shared.myself.clone(),
            clocks: shared.clocks.clone(),
        };
        let supervisor = shared.myself.get_cell();
        let (worker, _) = Actor::spawn_linked(None, Worker, arguments, supervisor).await?;
        self.worker = WorkerSlot::Up(worker);
        Ok(())
    }

    /// Spawns a worker to save records during a shutdown, if there are any and no worker is up.
    pub(super) async fn ensure_worker(&mut self, shared: &Shared) {
        if self.worker.actor().is_none() && !self.records.unsaved.is_empty() {
            // If the spawn fails, the records are lost with the housekeeper.
            let _ = self.try_spawn_worker(shared).await;
        }
    }

    /// Remembers the end of a run of all rows. Its predecessor's forecast holds until the next
    /// one: rows age while the database is away, and a run that was cancelled or failed halfway
    /// says nothing of the rows behind.
    pub(super) fn remember_end(&mut self, report: &Report, now: Moment) {
        if let Some(forecast) = report.forecast {
            self.forecast = Some((forecast, now));
        }
        self.last = Some(report.clone());
    }

    /// Cuts the active run short at a shutdown and answers the queue.
    pub(super) fn reject_all(&mut self, publisher: &mut Publisher, now: Moment) {
        let queued = self.queue.drain();
        if let Some(active) = self.active.take() {
            let (report, waiters) = active.cut_short(now, Outcome::ShuttingDown);
            publisher.publish(&report, waiters);
        }
        publisher.reject(&self.name, queued, &Outcome::ShuttingDown, now);
    }

    /// Drops waiters that gave up. Their runs stay.
    pub(super) fn drop_closed(&mut self, publisher: &Publisher) {
        let is_closed = |waiter: &Waiter| publisher.is_closed(waiter);
        self.queue.drop_waiters(is_closed);
        if let Some(active) = &mut self.active {
            active.waiters.retain(|waiter| !is_closed(waiter));
        }
    }
}
