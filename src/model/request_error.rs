//! Rejected requests.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::job::JobName;
use crate::model::RunId;

/// The reason why a request was rejected. A run that began and failed is not rejected: its
/// [`Report`](crate::Report) has the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestError {
    /// Unknown job.
    #[error("unknown job {job:?}; this housekeeper has {}", names(known))]
    UnknownJob {
        /// The name in the request.
        job: JobName,
        /// The known names.
        known: Vec<JobName>,
    },
    /// The rule has no courier in this process.
    #[error(
        "there is no courier for {rule:?}; this housekeeper has {}",
        names(known)
    )]
    NoCourier {
        /// The name that was given.
        rule: JobName,
        /// The names that would be right.
        known: Vec<JobName>,
    },
    /// The job is disabled.
    #[error("{job} is switched off; a built-in job is on when its age is set")]
    Disabled {
        /// The job.
        job: JobName,
    },
    /// The job cannot serve the scope.
    #[error("{job} cannot run for this scope: {problem}")]
    Scope {
        /// The job.
        job: JobName,
        /// Why the scope is invalid.
        problem: String,
    },
    /// Too many users wait for a run of their own.
    #[error("{waiting} users already wait for a run of {job}; request a run of all rows instead")]
    TooManyScopes {
        /// The job.
        job: JobName,
        /// Number of users that wait.
        waiting: usize,
    },
    /// The page is too large.
    #[error("a page of {size} rows is too large; the maximum is {max}")]
    Page {
        /// The size in the request.
        size: u32,
        /// The maximum size.
        max: u32,
    },
    /// No run of this id is known: it never was, did nothing and has left the memory, shares a line
    /// of the history with others, or the history no longer keeps it.
    #[error("no run {run} is known; runs that changed nothing are not kept")]
    UnknownRun {
        /// The id in the request.
        run: RunId,
    },
    /// The job is paused for all replicas, so this instance cannot resume it alone.
    #[error("{job} is paused for all replicas; resume it for all")]
    PausedForAll {
        /// The job.
        job: JobName,
    },
    /// There is no history in a database that could keep a pause for all replicas.
    #[error("a pause of {job} for all replicas needs a history in a database; none was given")]
    NoSharedHistory {
        /// The job.
        job: JobName,
    },
    /// The schedule has an invalid value.
    #[error("{problem}")]
    Schedule {
        /// The problem, and a valid value.
        problem: String,
    },
    /// Too many previews of the job already wait.
    #[error("{waiting} previews of {job} wait already; try again when some are answered")]
    Busy {
        /// The job.
        job: JobName,
        /// Number of previews that wait.
        waiting: usize,
    },
    /// The run to cancel is not in progress.
    #[error(
        "run {run} of {job} is not in progress; {}",
        running.map_or_else(|| "no run is".to_owned(), |running| format!("run {running} is"))
    )]
    OtherRun {
        /// The job.
        job: JobName,
        /// The run to cancel.
        run: RunId,
        /// The run in progress.
        running: Option<RunId>,
    },
    /// A read took longer than its
    /// [`read_timeout`](crate::config::JobConfig::read_timeout), its wait included.
    #[error("could not {what} within {}", humantime::format_duration(*timeout))]
    ReadTimeout {
        /// The read.
        what: String,
        /// The timeout.
        #[serde(flatten, with = "crate::time::json::timeout")]
        #[cfg_attr(feature = "web", schemars(with = "crate::time::json::timeout::Json"))]
        timeout: Duration,
    },
    /// The database failed to answer.
    #[error("could not {what}: {error}")]
    Failed {
        /// The attempt, such as `preview`.
        what: String,
        /// The error.
        error: String,
    },
    /// The housekeeper is shutting down.
    #[error("the housekeeper is shutting down")]
    ShuttingDown,
}

fn names(known: &[JobName]) -> String {
    if known.is_empty() {
        return "none".to_owned();
    }
    known
        .iter()
        .map(JobName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
