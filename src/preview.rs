//! What a run would do, without doing it.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::batch::{Cursor, Scope};
use crate::job::JobName;
use crate::outlook::Capped;

/// Which part of a preview is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Page {
    /// Rows a page; at most [`Page::MAX_SIZE`].
    pub size: NonZeroU32,
    /// Where the page before ended ([`Preview::next`]); `None` for the first page.
    pub after: Option<Cursor>,
}

impl Page {
    /// The largest page, in rows.
    pub const MAX_SIZE: u32 = 1_000;

    /// The first page.
    #[must_use]
    pub fn first(size: NonZeroU32) -> Self {
        Self { size, after: None }
    }
}

impl Default for Page {
    /// The first 50 rows.
    fn default() -> Self {
        Self {
            size: const { NonZeroU32::new(50).expect("50 is not zero") },
            after: None,
        }
    }
}

/// One row that a run would handle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRow {
    /// The row's id.
    pub id: String,
    /// Whose row it is.
    pub user: Option<String>,
    /// The instant the rule compares: last activity of a session, creation of a booking.
    pub since: DateTime<Utc>,
    /// What a person wants to see before agreeing, by name.
    pub details: BTreeMap<String, String>,
}

/// A job's part of a preview.
#[derive(Debug, Clone)]
pub struct PreviewRows {
    /// The cutoff the rows were compared with.
    pub cutoff: DateTime<Utc>,
    /// At most a page of due rows, oldest first.
    pub rows: Vec<PreviewRow>,
    /// How many rows are due in all.
    pub due: Capped,
    /// The last row of this page, if another follows: what [`Page::after`] wants.
    pub next: Option<Cursor>,
}

impl PreviewRows {
    /// Nothing is due before this cutoff.
    #[must_use]
    pub fn none(cutoff: DateTime<Utc>) -> Self {
        Self {
            cutoff,
            rows: Vec::new(),
            due: Capped::default(),
            next: None,
        }
    }
}

/// The rows a run of this scope would handle if it began now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Which job was asked.
    pub job: JobName,
    /// What the run would cover.
    pub scope: Scope,
    /// The cutoff the rows were compared with.
    pub cutoff: DateTime<Utc>,
    /// At most a page of due rows, oldest first.
    pub rows: Vec<PreviewRow>,
    /// How many rows are due in all.
    pub due: Capped,
    /// The last row of this page, if another follows: what [`Page::after`] wants.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_page_has_the_size_asked_for() {
        let size = NonZeroU32::new(7).expect("is not zero");

        let page = Page::first(size);

        assert_eq!((page.size, page.after), (size, None));
    }
}
