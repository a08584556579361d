//! A run in any of its states.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CurrentRun, Report, Requester, RunId, Trigger};
use crate::fmt::line;
use crate::job::{JobName, Scope};

/// A run at one instant: in the queue, in progress, or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// It waits for its worker.
    Queued {
        /// The id of the run.
        run: RunId,
        /// The job.
        job: JobName,
        /// The rows it will cover.
        scope: Scope,
        /// The reason of the run.
        trigger: Trigger,
        /// The requesters that the messages name.
        requested_by: Vec<Requester>,
        /// Number of runs of the job that go first, the one in progress included.
        ahead: usize,
    },
    /// It is in progress.
    Running {
        /// The job.
        job: JobName,
        /// The run so far.
        current: CurrentRun,
    },
    /// It ended.
    Ended {
        /// Its report.
        report: Box<Report>,
    },
}

impl RunStatus {
    /// Returns the job.
    #[must_use]
    pub fn job(&self) -> &JobName {
        match self {
            Self::Queued { job, .. } | Self::Running { job, .. } => job,
            Self::Ended { report } => &report.job,
        }
    }

    /// Returns the report of a run that ended.
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Ended { report } => Some(report),
            _ => None,
        }
    }
}

impl From<Report> for RunStatus {
    fn from(report: Report) -> Self {
        Self::Ended {
            report: Box::new(report),
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued {
                job, scope, ahead, ..
            } => {
                let scope = line(&scope.to_string());
                write!(f, "the run of {job} ({scope}) waits, {ahead} ahead of it")
            }
            Self::Running { job, current } => {
                let scope = line(&current.scope.to_string());
                write!(
                    f,
                    "the run of {job} ({scope}) is in progress: {}",
                    current.counts
                )
            }
            Self::Ended { report } => report.fmt(f),
        }
    }
}
