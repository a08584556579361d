//! The status of a housekeeper and its jobs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::Schedule;
use crate::job::{Counts, Findings, JobName, Scope};
use crate::model::{CourierStatus, Health, OutcomeKind, Pause, Report, Requester, RunId, Trigger};

/// The status of a housekeeper. It comes from memory and never waits for the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Status {
    /// The name of the housekeeper, if it has one.
    pub name: Option<String>,
    /// The instance, as reports of its runs name it; `None` if none runs.
    #[serde(default)]
    pub instance: Option<String>,
    /// Whether its history is in a store, which replicas may share.
    #[serde(default)]
    pub shared_history: bool,
    /// The state of the housekeeper.
    pub state: HousekeeperState,
    /// The time of this status.
    pub at: DateTime<Utc>,
    /// The start of the housekeeper.
    pub started_at: Option<DateTime<Utc>>,
    /// Number of restarts of the timer.
    pub timer_restarts: u64,
    /// The jobs, by name.
    pub jobs: BTreeMap<JobName, JobStatus>,
    /// The deliveries of what its rules hand on to the outbox, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub couriers: BTreeMap<JobName, CourierStatus>,
}

/// The state of a housekeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HousekeeperState {
    /// No housekeeper of this name was started in this process.
    NeverStarted,
    /// It accepts messages.
    Running,
    /// It ends the runs in progress and rejects new ones.
    ShuttingDown,
    /// It has stopped.
    Stopped,
    /// It did not answer within a second.
    NotAnswering,
}

/// The status of a job: the run in progress, and the last one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct JobStatus {
    /// The job.
    pub job: JobName,
    /// The health of the job.
    pub health: Health,
    /// The state of its worker.
    pub worker: WorkerStatus,
    /// Whether its schedule is suspended.
    pub paused: bool,
    /// Since when and by whom it is paused; `None` while it is not.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// Its schedule.
    #[serde(flatten, with = "super::schedule_json")]
    #[cfg_attr(feature = "web", schemars(with = "super::schedule_json::Json<'_>"))]
    pub schedule: Schedule,
    /// Its next scheduled run; `None` while it is paused or disabled, or its worker is down.
    pub next_run: Option<NextRun>,
    /// The next five ticks of its schedule; empty while it is paused or disabled, or without ticks.
    /// Other runs may come first.
    #[serde(default)]
    pub next_ticks: Vec<DateTime<Utc>>,
    /// Findings of the last check of its tables: faults that keep it from running, and advice.
    #[serde(default, skip_serializing_if = "Findings::is_empty")]
    pub findings: Findings,
    /// Number of scopes that wait for a run.
    pub waiting: usize,
    /// The last run of all rows.
    pub last: Option<Report>,
    /// The ends of the newest runs that this housekeeper saw, at most 20, oldest first.
    #[serde(default)]
    pub outcomes: Vec<OutcomeKind>,
    /// The end of the last completed run of all rows.
    pub last_success: Option<DateTime<Utc>>,
    /// Time for which the oldest due row has been due, if known.
    #[serde(flatten, with = "crate::time::json::oldest_overdue")]
    #[cfg_attr(
        feature = "web",
        schemars(with = "crate::time::json::oldest_overdue::Json")
    )]
    pub oldest_overdue: Option<Duration>,
    /// Number of rows rejected since the last tick, up to 1,000.
    pub rejected: usize,
    /// Number of restarts of the worker.
    pub restarts: u64,
    /// Number of ticks that were missed or came during a run, and so merged into one.
    pub missed_ticks: u64,
    /// Number of runs that are not in the history yet; the newest 100 stay in memory.
    pub unsaved_runs: usize,
    /// The address of its runbook, as its settings give it.
    #[serde(default)]
    pub runbook: Option<String>,
}

/// The state of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WorkerStatus {
    /// The job is disabled and has no worker.
    Disabled,
    /// It waits for a run.
    Idle,
    /// It handles a run.
    Running(CurrentRun),
    /// It crashed and will restart.
    Restarting {
        /// The panic message, or the reason of the kill.
        reason: String,
        /// When it restarts.
        at: DateTime<Utc>,
    },
    /// It crashed too often.
    Degraded {
        /// The panic message of the last crash, or the reason of the kill.
        reason: String,
        /// When it gets another attempt.
        until: DateTime<Utc>,
    },
    /// It stopped with its housekeeper.
    Stopped,
}

/// A run in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CurrentRun {
    /// The id of the run.
    pub run: RunId,
    /// The rows it covers.
    pub scope: Scope,
    /// The reason of the run.
    pub trigger: Trigger,
    /// The requesters that the messages name.
    #[serde(default)]
    pub requested_by: Vec<Requester>,
    /// The start of the run.
    pub started_at: DateTime<Utc>,
    /// The worker's last heartbeat: the start of the run, or its last batch. An overdue heartbeat
    /// makes the job [`Failing`](Health::Failing).
    pub heartbeat_at: DateTime<Utc>,
    /// Number of batches committed so far.
    pub batches: u64,
    /// Number of rows handled so far, those that events name by id.
    #[serde(default)]
    pub rows: u64,
    /// Rows changed so far, by kind.
    pub counts: Counts,
}

/// A scheduled run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub struct NextRun {
    /// The time of the run.
    pub at: DateTime<Utc>,
    /// The reason of the run.
    pub trigger: Trigger,
}

impl Status {
    /// Creates the status of a housekeeper that does not run.
    pub(crate) fn absent(name: &str, state: HousekeeperState) -> Self {
        Self {
            name: Some(name.to_owned()),
            instance: None,
            shared_history: false,
            state,
            at: Utc::now(),
            started_at: None,
            timer_restarts: 0,
            jobs: BTreeMap::new(),
            couriers: BTreeMap::new(),
        }
    }

    pub(super) fn fmt_couriers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.couriers
            .values()
            .try_for_each(|courier| write!(f, "\n{courier}"))
    }

    /// Returns whether the housekeeper runs; a shutdown in progress does not count.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == HousekeeperState::Running
    }
}
