//! A position in the order of rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A position in the order in which a job walks its rows: oldest first, ties by id.
///
/// A job that is written by hand makes it of a row's instant and id, and reads both again. The
/// position of a declared rule is in a form of its store's own, which [`Cursor::id`] only carries.
/// Only the job that made a cursor knows the rows behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub struct Cursor {
    /// The instant the row is ordered by.
    pub(crate) since: DateTime<Utc>,
    /// The row's id.
    pub(crate) id: String,
}

impl Cursor {
    /// Creates the place of a row that is ordered by `since`, then by `id`.
    #[must_use]
    pub fn new(since: DateTime<Utc>, id: impl Into<String>) -> Self {
        Self {
            since,
            id: id.into(),
        }
    }

    /// Returns the instant the row is ordered by.
    #[must_use]
    pub fn since(&self) -> DateTime<Utc> {
        self.since
    }

    /// Returns the id that the job gave, or the token of a declared rule.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}
