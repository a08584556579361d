//! Why a message was not carried out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::job::JobName;

/// Why the housekeeper did not do what a message asked. A run that began and failed is no refusal:
/// its [`Report`](crate::Report) says so.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestError {
    /// There is no such job.
    #[error("there is no job {job:?}; this housekeeper has {}", names(known))]
    UnknownJob {
        /// The name that was given.
        job: JobName,
        /// The names that would be right.
        known: Vec<JobName>,
    },
    /// The job is switched off.
    #[error("{job} is switched off; a built-in job is on when its age is set")]
    Disabled {
        /// Which job.
        job: JobName,
    },
    /// The job cannot serve the scope.
    #[error("{job} cannot run for this scope: {problem}")]
    Scope {
        /// Which job.
        job: JobName,
        /// What is wrong with the scope.
        problem: String,
    },
    /// Too many users wait for runs of their own already.
    #[error("{waiting} users wait for a run of {job} already; ask for a run of all instead")]
    TooManyScopes {
        /// Which job.
        job: JobName,
        /// How many users wait.
        waiting: usize,
    },
    /// The page cannot be had.
    #[error("a page of {size} rows is too large; the largest has {largest}")]
    Page {
        /// The size that was given.
        size: u32,
        /// The largest that would be right.
        largest: u32,
    },
    /// The schedule has a value that cannot be.
    #[error("{problem}")]
    Schedule {
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Too many previews of the job wait already.
    #[error("{waiting} previews of {job} wait already; try again when some are answered")]
    Busy {
        /// The job.
        job: JobName,
        /// Previews that wait.
        waiting: usize,
    },
    /// A read took longer than its
    /// [`read_timeout`](crate::config::JobConfig::read_timeout), its wait included.
    #[error("could not {what} within {}", humantime::format_duration(*timeout))]
    ReadTimeout {
        /// The read.
        what: String,
        /// The timeout.
        #[serde(with = "crate::time::span")]
        timeout: Duration,
    },
    /// The question was asked of the database and failed there.
    #[error("could not {what}: {error}")]
    Failed {
        /// What was tried.
        what: String,
        /// What went wrong.
        error: String,
    },
    /// The housekeeper is shutting down.
    #[error("the housekeeper is shutting down")]
    ShuttingDown,
}

fn names(known: &[JobName]) -> String {
    known
        .iter()
        .map(JobName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
