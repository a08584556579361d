//! The health of a job.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a job is. It follows from its runs and its rows, not from its worker's being alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// It does its work in time.
    Healthy,
    /// A row, a run or a success is overdue.
    Late {
        /// Which, and by how much.
        reason: String,
    },
    /// The last run failed, the worker died and is started again, or the run in progress is
    /// stalled: nothing was heard of it for longer than its limits allow (two [step
    /// limits](crate::config::JobConfig::step_timeout), the longest pause and two seconds for the history;
    /// 63 s by default). Then code of the job blocks its thread, which no limit can end. It heals
    /// when the run goes on.
    Failing {
        /// What went wrong.
        reason: String,
    },
    /// The worker died too often. It is tried again after a cool-down, or when a message asks.
    Degraded {
        /// Why it died.
        reason: String,
    },
}

impl Health {
    /// One word for tables and traces.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Late { .. } => "late",
            Self::Failing { .. } => "failing",
            Self::Degraded { .. } => "degraded",
        }
    }

    /// Why it is not healthy; `None` if it is.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Late { reason } | Self::Failing { reason } | Self::Degraded { reason } => {
                Some(reason)
            }
        }
    }

    /// Whether the state is another one, whatever the reasons say.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.severity() != other.severity()
    }

    pub(crate) fn is_worse_than(&self, other: &Self) -> bool {
        self.severity() > other.severity()
    }

    fn severity(&self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Late { .. } => 1,
            Self::Failing { .. } => 2,
            Self::Degraded { .. } => 3,
        }
    }
}

impl fmt::Display for Health {
    /// Writes the word; the reason is in [`Health::reason`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
