//! The end of a run.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::Requester;

/// How a run ended. Committed batches stay, and the report counts them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// All due rows were handled or rejected.
    Completed,
    /// An expected failure, such as an unreachable database.
    Failed {
        /// The kind of failure, for programs. Records written without it read as
        /// [`FailureKind::Job`].
        #[serde(default)]
        failure: FailureKind,
        /// The error, with its causes.
        error: String,
        /// When the housekeeper retries; `None` for a run of one user or of a paused job, which it
        /// does not retry.
        retry_at: Option<DateTime<Utc>>,
    },
    /// The worker panicked or was killed.
    Crashed {
        /// The panic message, or the reason of the kill.
        reason: String,
        /// Rows known to be committed. A batch in flight may have committed, too.
        rows_at_least: u64,
    },
    /// A `Cancel` message ended it between two batches.
    Cancelled {
        /// The requester, if the message names one.
        #[serde(default)]
        by: Option<Requester>,
    },
    /// It reached its [`run_timeout`](crate::config::JobConfig::run_timeout).
    TimedOut,
    /// The housekeeper is shutting down.
    ShuttingDown,
}

/// The kind of an [`Outcome::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The job returned an error, usually its database's.
    #[default]
    Job,
    /// A step of the job outlasted its
    /// [`step_timeout`](crate::config::JobConfig::step_timeout).
    StepTimeout,
    /// A batch returned the cursor that it was given, so the run would never end.
    NoProgress,
    /// The job or its database rejected most of the run's rows with one text.
    RowsRejected,
    /// The clock by which rows fall due leapt ahead by more than
    /// [`max_clock_leap`](crate::config::JobConfig::max_clock_leap). The run handled nothing.
    ClockLeap,
}

/// An [`Outcome`] without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutcomeKind {
    /// [`Outcome::Completed`]
    Completed,
    /// [`Outcome::Failed`]
    Failed,
    /// [`Outcome::Crashed`]
    Crashed,
    /// [`Outcome::Cancelled`]
    Cancelled,
    /// [`Outcome::TimedOut`]
    TimedOut,
    /// [`Outcome::ShuttingDown`]
    ShuttingDown,
}

impl OutcomeKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::Failed,
        Self::Crashed,
        Self::Cancelled,
        Self::TimedOut,
        Self::ShuttingDown,
    ];

    /// Returns the kind as JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Outcome {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Completed => OutcomeKind::Completed,
            Self::Failed { .. } => OutcomeKind::Failed,
            Self::Crashed { .. } => OutcomeKind::Crashed,
            Self::Cancelled { .. } => OutcomeKind::Cancelled,
            Self::TimedOut => OutcomeKind::TimedOut,
            Self::ShuttingDown => OutcomeKind::ShuttingDown,
        }
    }

    /// Creates a failure without a time for the retry.
    pub(crate) fn failed(failure: FailureKind, error: String) -> Self {
        Self::Failed {
            failure,
            error,
            retry_at: None,
        }
    }

    /// Returns the outcome in a word or two, for tables and traces.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Crashed { .. } => "crashed",
            Self::Cancelled { .. } => "cancelled",
            Self::TimedOut => "timed out",
            Self::ShuttingDown => "shutting down",
        }
    }
}
