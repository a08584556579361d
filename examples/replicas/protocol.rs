//! Messages between the program and its replicas, each a line of JSON.

use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::Counts;
use ractor_housekeeper::{JobName, Report};
use serde::{Deserialize, Serialize};

/// The first and only line to a replica, which ends when its standard input closes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) database_url: String,
    pub(crate) jobs: Vec<JobName>,
    pub(crate) pace: Pace,
}

/// A line from a replica.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplicaEvent {
    BatchCommitted(Counts),
    RunFinished(Box<Report>),
    /// Events lost because the subscriber's buffer was full.
    Missed(u64),
}
