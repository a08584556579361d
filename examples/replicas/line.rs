//! What the program and its replicas tell each other: a line of JSON for each piece of news.

use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::Counts;
use ractor_housekeeper::{JobName, Report};
use serde::{Deserialize, Serialize};

/// The first line to a replica, and the only one. When its standard input closes, it ends.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) database_url: String,
    pub(crate) jobs: Vec<JobName>,
    pub(crate) pace: Pace,
}

/// What a replica says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A batch was committed, with these changes.
    Committed(Counts),
    /// A run ended.
    Finished(Box<Report>),
    /// So many events were not told, because the buffer was full.
    Missed(u64),
}
