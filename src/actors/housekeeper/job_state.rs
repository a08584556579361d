//! What the supervisor knows of one job.

use std::collections::BTreeSet;
use std::sync::Arc;

use ractor::ActorRef;
use uuid::Uuid;

use super::active_run::{Running, Waiter};
use crate::actors::panics::catch_panic;
use crate::actors::worker::WorkerMsg;
use crate::config::{HousekeeperConfig, JobConfig};
use crate::job::{Forecast, Job, JobName, Scope};
use crate::metrics::recorder::{self, Gauges};
use crate::model::{Health, Report, RequestError, RunRecord, Trigger};
use crate::policy::{Due, Planner, RestartLog, RunQueue};
use crate::time::Moment;

/// One job: its worker, what it does and did, and who waits for it.
pub(super) struct JobState {
    pub(super) job: Arc<dyn Job>,
    pub(super) name: JobName,
    /// Whether the job is switched on. Read once: what is off has no worker to wait for.
    on: bool,
    pub(super) config: JobConfig,
    pub(super) post: WorkerSlot,
    pub(super) agenda: Planner,
    pub(super) queue: RunQueue<Waiter>,
    pub(super) running: Option<Running>,
    pub(super) restarts: RestartLog,
    /// Why the job is degraded; stays while it is tried again, until a run completes.
    pub(super) degraded: Option<String>,
    /// Failed runs in a row, which the backoff counts.
    pub(super) failures: u32,
    pub(super) last: Option<Report>,
    /// What a run saw ahead of it, and when.
    pub(super) seen: Option<(Forecast, Moment)>,
    pub(super) last_success: Option<Moment>,
    pub(super) missed_ticks: u64,
    /// Records not yet in the history's table.
    pub(super) unsaved: Vec<RunRecord>,
    /// The newest records, for when the table cannot be asked.
    pub(super) recent: Vec<RunRecord>,
    /// Rows that could not be handled since the last tick, the first of them.
    pub(super) rejected: BTreeSet<String>,
    /// How the job was when somebody last looked, as subscribers were told.
    pub(super) health: Health,
    pub(super) gauges: Gauges,
}

/// Where a job's worker is.
pub(super) enum WorkerSlot {
    /// The job is off, or the housekeeper stops.
    Vacant,
    Up(ActorRef<WorkerMsg>),
    Restarting {
        at: Moment,
        reason: String,
    },
    Degraded {
        until: Moment,
        reason: String,
    },
}

impl JobState {
    pub(super) fn new(job: Arc<dyn Job>, config: &HousekeeperConfig, now: Moment) -> Self {
        let (name, on) = (job.name(), job.is_enabled());
        let config = config.of(&name).clone();
        let agenda = Planner::new(config.schedule.clone(), now, fastrand::f64());
        Self {
            job,
            name,
            on,
            config,
            post: WorkerSlot::Vacant,
            agenda,
            queue: RunQueue::new(),
            running: None,
            restarts: RestartLog::default(),
            degraded: None,
            failures: 0,
            last: None,
            seen: None,
            last_success: None,
            missed_ticks: 0,
            unsaved: Vec::new(),
            recent: Vec::new(),
            rejected: BTreeSet::new(),
            health: Health::Healthy,
            gauges: Gauges::default(),
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.on
    }

    /// Whether the job can serve the scope.
    pub(super) fn check_scope(&self, scope: &Scope) -> Result<(), RequestError> {
        catch_panic(|| self.job.check_scope(scope))
            .unwrap_or_else(|panic| Err(format!("the job panicked: {panic}")))
            .map_err(|problem| RequestError::Scope {
                job: self.name.clone(),
                problem,
            })
    }

    /// When the timer should wake the supervisor for this job.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        match &self.post {
            WorkerSlot::Vacant => None,
            // Not the earliest on the wall: after a corrected clock another one may be due before
            // it.
            WorkerSlot::Up(_) => self.agenda.wait(now).map(|wait| now.after(wait)),
            WorkerSlot::Restarting { at, .. } => Some(*at),
            WorkerSlot::Degraded { until, .. } => Some(*until).filter(|_| !self.agenda.is_paused()),
        }
    }

    /// Takes what is due, and counts the ticks that get no run of their own.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Trigger> {
        let Due { trigger, missed } = self.agenda.take_due(now)?;
        let meets_a_run = trigger == Trigger::Tick && self.running.is_some();
        let missed = missed + u64::from(meets_a_run);
        self.missed_ticks += missed;
        recorder::ticks_missed(&self.name, missed);
        Some(trigger)
    }

    /// A run of everything ended. What one before it saw ahead counts until somebody looks again:
    /// rows grow old while the database is away, and a run that was cancelled, or failed halfway,
    /// says nothing of those it did not reach.
    pub(super) fn ended(&mut self, report: &Report, now: Moment) {
        if let Some(forecast) = report.forecast {
            self.seen = Some((forecast, now));
        }
        self.last = Some(report.clone());
    }

    /// Keeps the record of a run that ended, and owes it to the history if its worker could not
    /// write it.
    pub(super) fn remember(&mut self, report: &Report, instance: Uuid, is_owed: bool) {
        if let Some(record) = RunRecord::from_report(report.clone(), instance) {
            if is_owed {
                self.owe([record.clone()]);
            }
            self.recall(record);
        }
    }

    /// Keeps a record for when the table cannot be asked.
    fn recall(&mut self, record: RunRecord) {
        match self.recent.first_mut() {
            Some(newest) if newest.key == record.key => *newest = newest.clone().fold(record),
            _ => self.recent.insert(0, record),
        }
        self.recent.truncate(REMEMBERED);
    }

    /// Keeps records until they are in the table; of too many, the newest.
    pub(super) fn owe(&mut self, records: impl IntoIterator<Item = RunRecord>) {
        self.unsaved.extend(records);
        let excess = self.unsaved.len().saturating_sub(REMEMBERED);
        self.unsaved.drain(..excess);
    }
}

/// Runs of a job kept in memory.
const REMEMBERED: usize = 100;
