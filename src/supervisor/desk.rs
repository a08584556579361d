//! What the supervisor knows of one job.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort};
use uuid::Uuid;

use crate::batch::Scope;
use crate::config::{HousekeeperConfig, JobConfig};
use crate::guard::guarded;
use crate::health::{Signs, health};
use crate::history::RunRecord;
use crate::job::{Job, JobName};
use crate::queue::RunQueue;
use crate::refusal::Refusal;
use crate::report::{Outcome, Report, Trigger};
use crate::restart::RestartLog;
use crate::run::Committed;
use crate::schedule::{Agenda, Due, Moment};
use crate::status::{CurrentRun, JobStatus, NextRun, WorkerStatus};
use crate::worker::WorkerMsg;

/// One job: its worker, what it does and did, and who waits for it.
pub(super) struct Desk {
    pub(super) job: Arc<dyn Job>,
    pub(super) name: JobName,
    /// Whether the job is switched on. Read once: what is off has no worker to wait for.
    on: bool,
    pub(super) config: JobConfig,
    pub(super) post: Post,
    pub(super) agenda: Agenda,
    pub(super) queue: RunQueue<Waiter>,
    pub(super) running: Option<Running>,
    pub(super) restarts: RestartLog,
    /// Why the job is degraded; stays while it is tried again, until a run completes.
    pub(super) degraded: Option<String>,
    /// Failed runs in a row, which the backoff counts.
    pub(super) failures: u32,
    pub(super) last: Option<Ended>,
    pub(super) last_success: Option<Moment>,
    pub(super) missed_ticks: u64,
    /// Records not yet in the history's table.
    pub(super) unwritten: Vec<RunRecord>,
    /// The newest records, for when the table cannot be asked.
    pub(super) recent: Vec<RunRecord>,
    /// Rows that could not be handled since the last tick, the first of them.
    pub(super) set_aside: BTreeSet<String>,
}

/// Where a job's worker is.
pub(super) enum Post {
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

/// Who waits for a run.
pub(super) enum Waiter {
    Asker(RpcReplyPort<Result<Report, Refusal>>),
    /// One part of a `RunAll`.
    Gathering(u64),
}

/// A run that a worker was given.
pub(super) struct Running {
    /// As far as it has come.
    pub(super) report: Report,
    pub(super) since: Moment,
    pub(super) waiters: Vec<Waiter>,
    /// Whether the worker said that it took it up.
    pub(super) began: bool,
}

/// The last run of everything, and when it ended.
pub(super) struct Ended {
    pub(super) report: Report,
    pub(super) at: Moment,
}

impl Desk {
    pub(super) fn new(job: Arc<dyn Job>, config: &HousekeeperConfig, now: Moment) -> Self {
        let (name, on) = (job.name(), job.is_on());
        let config = config.of(&name).clone();
        let agenda = Agenda::new(config.schedule.clone(), now, fastrand::f64());
        Self {
            job,
            name,
            on,
            config,
            post: Post::Vacant,
            agenda,
            queue: RunQueue::new(),
            running: None,
            restarts: RestartLog::default(),
            degraded: None,
            failures: 0,
            last: None,
            last_success: None,
            missed_ticks: 0,
            unwritten: Vec::new(),
            recent: Vec::new(),
            set_aside: BTreeSet::new(),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Whether the job can serve the scope.
    pub(super) fn check_scope(&self, scope: &Scope) -> Result<(), Refusal> {
        guarded(|| self.job.check_scope(scope))
            .unwrap_or_else(|panic| Err(format!("the job panicked: {panic}")))
            .map_err(|problem| Refusal::Scope {
                job: self.name.clone(),
                problem,
            })
    }

    /// When the timer should wake the supervisor for this job.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        match &self.post {
            Post::Vacant => None,
            // Not the earliest on the wall: after a corrected clock another one may be due before it.
            Post::Up(_) => self.agenda.wait(now).map(|wait| now.after(wait)),
            Post::Restarting { at, .. } => Some(*at),
            Post::Degraded { until, .. } => Some(*until).filter(|_| !self.agenda.is_paused()),
        }
    }

    /// Takes what is due, and counts the ticks that get no run of their own.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Trigger> {
        let Due { trigger, missed } = self.agenda.take_due(now)?;
        let meets_a_run = trigger == Trigger::Tick && self.running.is_some();
        self.missed_ticks += missed + u64::from(meets_a_run);
        Some(trigger)
    }

    /// Keeps the record of a run that ended, and owes it to the history if its worker could not write it.
    pub(super) fn remember(&mut self, report: &Report, instance: Uuid, is_owed: bool) {
        if let Some(record) = RunRecord::of(report.clone(), instance) {
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
        self.unwritten.extend(records);
        let excess = self.unwritten.len().saturating_sub(REMEMBERED);
        self.unwritten.drain(..excess);
    }

    pub(super) fn status(&self, now: Moment, started: Moment) -> JobStatus {
        let overdue = self.overdue();
        JobStatus {
            job: self.name.clone(),
            health: health(&Signs {
                now,
                late_after: self.config.late_after,
                degraded: self.degraded.as_deref(),
                failure: self.failure().as_deref(),
                last_success: self.last_success,
                started,
                two_ticks: self
                    .agenda
                    .two_ticks(self.last_success.unwrap_or(started))
                    .filter(|_| self.is_on()),
                oldest_overdue: overdue,
                next_run: self.agenda.promised(now).filter(|_| self.is_on()),
                paused: self.agenda.is_paused(),
                running: self.running.is_some(),
            }),
            worker: self.worker_status(),
            paused: self.agenda.is_paused(),
            schedule: self.agenda.schedule().clone(),
            next_run: self.next_run(),
            next_ticks: if self.is_on() {
                self.agenda.ticks(TICKS_SHOWN)
            } else {
                Vec::new()
            },
            waiting: self.queue.len(),
            last: self.last.as_ref().map(|ended| ended.report.clone()),
            last_success: self.last_success.map(|at| at.wall),
            oldest_overdue: overdue
                .map(|(age, seen)| age.saturating_add(now.mono.saturating_sub(seen.mono))),
            set_aside: self.set_aside.len(),
            restarts: self.restarts.total(),
            missed_ticks: self.missed_ticks,
            unwritten_runs: self.unwritten.len(),
        }
    }

    fn worker_status(&self) -> WorkerStatus {
        match (&self.post, &self.running) {
            (Post::Vacant, _) if self.is_on() => WorkerStatus::Stopped,
            (Post::Vacant, _) => WorkerStatus::Off,
            (Post::Up(_), Some(running)) => WorkerStatus::Running(running.status()),
            (Post::Up(_), None) => WorkerStatus::Idle,
            (Post::Restarting { at, reason }, _) => WorkerStatus::Restarting {
                reason: reason.clone(),
                at: at.wall,
            },
            (Post::Degraded { until, reason }, _) => WorkerStatus::Degraded {
                reason: reason.clone(),
                until: until.wall,
            },
        }
    }

    fn next_run(&self) -> Option<NextRun> {
        match self.post {
            Post::Up(_) => self.agenda.next().map(|(at, trigger)| NextRun {
                at: at.wall,
                trigger,
            }),
            _ => None,
        }
    }

    /// What stands between the job and a successful run.
    fn failure(&self) -> Option<String> {
        if let Post::Restarting { reason, .. } = &self.post {
            return Some(format!("its worker died: {reason}"));
        }
        match &self.last.as_ref()?.report.outcome {
            outcome @ (Outcome::Failed { .. } | Outcome::Crashed { .. }) => {
                Some(format!("the last run {outcome}"))
            }
            _ => None,
        }
    }

    /// Age of the oldest due row, and when it was that old.
    fn overdue(&self) -> Option<(Duration, Moment)> {
        let ended = self.last.as_ref()?;
        Some((ended.report.outlook?.oldest_overdue?, ended.at))
    }
}

impl Running {
    pub(super) fn progress(&mut self, batch: &Committed, ids_kept: u32) {
        self.report.cutoff = Some(batch.cutoff);
        self.report.account(&batch.counts, &batch.ids, ids_kept);
        self.report.leave_out(&batch.set_aside);
    }

    /// The run as it is known to have ended when its worker can say no more.
    pub(super) fn cut_short(self, now: Moment, outcome: Outcome) -> (Report, Vec<Waiter>) {
        let elapsed = now.mono.saturating_sub(self.since.mono);
        (
            Report {
                outcome,
                elapsed,
                ..self.report
            },
            self.waiters,
        )
    }

    fn status(&self) -> CurrentRun {
        let Report {
            run,
            scope,
            trigger,
            started_at,
            batches,
            counts,
            ..
        } = self.report.clone();
        CurrentRun {
            run,
            scope,
            trigger,
            started_at,
            batches,
            counts,
        }
    }
}

/// Ticks ahead that a status names.
const TICKS_SHOWN: usize = 5;

/// Runs of a job kept in memory.
const REMEMBERED: usize = 100;
