//! The opening read of a run: its clock, its cutoff, and a pause for all replicas.

use chrono::{DateTime, Utc};

/// The result of the opening read of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunBounds {
    /// The time by the deciding clock, usually the database's.
    pub now: DateTime<Utc>,
    /// Rows strictly older than this are due.
    pub cutoff: DateTime<Utc>,
    /// Whether the job is paused for all replicas, if the read covered that.
    pub(crate) pause: PauseRead,
}

/// A pause of a job for all replicas, as a database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaPause {
    /// When it began, by the clock of the instance that wrote it.
    pub since: DateTime<Utc>,
    /// The requester, if the message names one.
    pub by: Option<String>,
}

impl ReplicaPause {
    /// Creates a pause that began at `since`.
    #[must_use]
    pub fn new(since: DateTime<Utc>, by: Option<String>) -> Self {
        Self { since, by }
    }
}

/// Whether a read covered pauses for all replicas, and found one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum PauseRead {
    /// The read did not cover them.
    #[default]
    NotRead,
    /// The job runs on its schedule.
    Runs,
    /// The job is paused.
    Paused(ReplicaPause),
}

impl PauseRead {
    /// Returns the pause that was found.
    pub(crate) fn found(self) -> Option<ReplicaPause> {
        match self {
            Self::Paused(pause) => Some(pause),
            Self::NotRead | Self::Runs => None,
        }
    }
}

impl From<Option<ReplicaPause>> for PauseRead {
    fn from(pause: Option<ReplicaPause>) -> Self {
        pause.map_or(Self::Runs, Self::Paused)
    }
}

impl RunBounds {
    /// Creates the bounds of a run that begins at `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>, cutoff: DateTime<Utc>) -> Self {
        Self {
            now,
            cutoff,
            pause: PauseRead::NotRead,
        }
    }

    /// Adds the job's pause for all replicas, or that there is none. Without it, the worker reads
    /// [`RunHistory::pause`](crate::model::RunHistory::pause) before each run.
    #[must_use]
    pub fn with_pause(self, pause: Option<ReplicaPause>) -> Self {
        Self {
            pause: pause.into(),
            ..self
        }
    }
}
