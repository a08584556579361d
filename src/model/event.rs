//! Events for subscribers.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::Schedule;
use crate::job::{Counts, JobName, Scope};
use crate::model::{EntryId, Health, Report, Requester, RunId, Trigger};

/// An event of a housekeeper.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run began.
    RunStarted {
        /// The run.
        run: RunId,
        /// The job.
        job: JobName,
        /// The rows it covers.
        scope: Scope,
        /// The reason of the run.
        trigger: Trigger,
        /// The requesters that the messages name.
        requested_by: Vec<Requester>,
        /// The start of the run.
        at: DateTime<Utc>,
    },
    /// A batch was committed.
    BatchCommitted {
        /// The run.
        run: RunId,
        /// The job.
        job: JobName,
        /// Rows changed by this batch, by kind.
        counts: Counts,
        /// All rows handled by this batch.
        ids: Vec<String>,
    },
    /// A run ended, with any outcome.
    RunFinished(Box<Report>),
    /// A worker crashed and will restart.
    WorkerRestarting {
        /// The job.
        job: JobName,
        /// The panic message, or the reason of the kill.
        reason: String,
        /// When it restarts.
        at: DateTime<Utc>,
    },
    /// A worker crashed too often; its job is degraded.
    JobDegraded {
        /// The job.
        job: JobName,
        /// The panic message of the last crash, or the reason of the kill.
        reason: String,
        /// When it gets another attempt.
        until: DateTime<Utc>,
    },
    /// A degraded job completed a run.
    JobRecovered {
        /// The job.
        job: JobName,
    },
    /// The schedule of a job was suspended.
    JobPaused {
        /// The job.
        job: JobName,
        /// The requester, if the message names one.
        requested_by: Option<Requester>,
    },
    /// The schedule of a job was resumed.
    JobResumed {
        /// The job.
        job: JobName,
        /// The requester, if the message names one.
        requested_by: Option<Requester>,
    },
    /// The schedule of a job was replaced.
    JobRescheduled {
        /// The job.
        job: JobName,
        /// The new schedule.
        schedule: Schedule,
        /// The requester, if the message names one.
        requested_by: Option<Requester>,
    },
    /// The state of a job's health changed. The housekeeper checks after each run, crash, pause and
    /// resume, when its status is requested, and at least once a minute. A change of the numbers in
    /// the reason alone emits no event.
    HealthChanged {
        /// The job.
        job: JobName,
        /// The new health.
        health: Health,
    },
    /// An entry that a rule handed on failed too often. It is delivered again only on request.
    EntryParked {
        /// The rule.
        rule: JobName,
        /// The entry.
        id: EntryId,
        /// The key of its row.
        key: String,
        /// Why its last delivery failed.
        error: String,
    },
    /// Parked entries were made due again.
    EntriesRedelivered {
        /// The rule.
        rule: JobName,
        /// Their number.
        entries: u64,
        /// The requester, if the message names one.
        requested_by: Option<Requester>,
    },
    /// Parked entries were deleted undelivered.
    EntriesDiscarded {
        /// The rule.
        rule: JobName,
        /// Their number.
        entries: u64,
        /// The requester, if the message names one.
        requested_by: Option<Requester>,
    },
    /// A courier crashed and restarts.
    CourierRestarted {
        /// The rule.
        rule: JobName,
        /// Why it crashed.
        reason: String,
    },
    /// The timer crashed and was restarted.
    TimerRestarted {
        /// The panic message, or the reason of the kill.
        reason: String,
    },
    /// The housekeeper rejects new runs from now on.
    ShuttingDown,
}
