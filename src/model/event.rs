//! What happens, told to whoever subscribes.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::Schedule;
use crate::job::{Counts, JobName, Scope};
use crate::model::{Health, Report, RunId, Trigger};

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run began.
    RunStarted {
        /// Which run.
        run: RunId,
        /// Of which job.
        job: JobName,
        /// What it covers.
        scope: Scope,
        /// Why.
        trigger: Trigger,
        /// When.
        at: DateTime<Utc>,
    },
    /// A batch was committed.
    BatchCommitted {
        /// Of which run.
        run: RunId,
        /// Of which job.
        job: JobName,
        /// Rows changed by this batch, by kind.
        counts: Counts,
        /// All rows handled by this batch.
        ids: Vec<String>,
    },
    /// A run ended, in whatever way.
    RunFinished(Box<Report>),
    /// A worker died and is started again.
    WorkerRestarting {
        /// Which job.
        job: JobName,
        /// What is known of the death.
        reason: String,
        /// When it is started.
        at: DateTime<Utc>,
    },
    /// A worker died too often, and its job rests.
    JobDegraded {
        /// Which job.
        job: JobName,
        /// What is known of the last death.
        reason: String,
        /// When it is tried again.
        until: DateTime<Utc>,
    },
    /// A degraded job completed a run again.
    JobRecovered {
        /// Which job.
        job: JobName,
    },
    /// A job runs no more by itself.
    JobPaused {
        /// Which job.
        job: JobName,
    },
    /// A job runs by itself again.
    JobResumed {
        /// Which job.
        job: JobName,
    },
    /// A job has another schedule.
    JobRescheduled {
        /// Which job.
        job: JobName,
        /// The new one.
        schedule: Schedule,
    },
    /// The health of a job is another one than before: the housekeeper looks after each run, death,
    /// pause and resume, when its status is asked, and at least once a minute. Told once for each
    /// change of state, not when only the numbers in its reason move.
    HealthChanged {
        /// Which job.
        job: JobName,
        /// How it is now.
        health: Health,
    },
    /// The timer died and is started again.
    TimerRestarted {
        /// What is known of the death.
        reason: String,
    },
    /// The housekeeper takes no more runs.
    ShuttingDown,
}
