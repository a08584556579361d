//! The request and the result of one batch of a run.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Counts, Cursor, Scope};

/// The request for one batch.
#[derive(Debug, Clone)]
pub struct BatchRequest {
    /// The rows that the run covers.
    pub scope: Scope,
    /// The time at which the run began, by the deciding clock.
    pub now: DateTime<Utc>,
    /// Rows strictly older than this are due.
    pub cutoff: DateTime<Utc>,
    /// Maximum number of rows to examine.
    pub limit: NonZeroU32,
    /// [`Batch::next_cursor`] of the previous batch: this run has examined all rows up to and
    /// including it. `None` for the first batch.
    pub after: Option<Cursor>,
}

/// The result of one batch.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Batch {
    /// Rows changed, by kind.
    pub counts: Counts,
    /// Ids of the rows handled. Subscribers receive all of them.
    pub ids: Vec<String>,
    /// Due rows that failed, each with its error.
    pub rejected: Vec<RejectedRow>,
    /// The last row examined, if more rows may follow; `None` ends the run.
    pub next_cursor: Option<Cursor>,
    /// Part of the batch's time in which it waited for locks of others. It loads no database, so no
    /// pause follows it.
    pub waited: Duration,
    /// Whether its rows were handled one by one, because some cannot be handled with others. Such
    /// batches take longer than others of their size, and the pace compares them with each other.
    pub one_by_one: bool,
}

impl Batch {
    /// Creates the result of a batch that handled these rows. A `next_cursor` requests another
    /// batch.
    #[must_use]
    pub fn new(ids: Vec<String>, next_cursor: Option<Cursor>) -> Self {
        Self {
            ids,
            next_cursor,
            ..Self::default()
        }
    }

    /// Creates the batch of the rows that a transaction has claimed, oldest first: their ids, and
    /// [`Batch::next_cursor`] if they reach the limit of the request.
    ///
    /// A row is claimed if no other write can come between its selection and its change: by `for
    /// update skip locked` on Postgres, in an immediate transaction on SQLite.
    ///
    /// # Examples
    ///
    /// ```
    /// use chrono::{TimeDelta, Utc};
    /// use ractor_housekeeper::Scope;
    /// use ractor_housekeeper::job::{Batch, BatchRequest, Cursor};
    ///
    /// let (now, old) = (Utc::now(), Utc::now() - TimeDelta::days(9));
    /// let limit = 2.try_into()?;
    /// let request = BatchRequest { scope: Scope::All, now, cutoff: now, limit, after: None };
    ///
    /// let full = Batch::claimed(&request, [Cursor::new(old, "a"), Cursor::new(old, "b")]);
    /// let last = Batch::claimed(&request, [Cursor::new(old, "c")]);
    ///
    /// assert_eq!(full.ids, ["a", "b"]);
    /// assert_eq!(full.next_cursor, Some(Cursor::new(old, "b")));
    /// assert_eq!(last.next_cursor, None);
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    #[must_use]
    pub fn claimed(request: &BatchRequest, rows: impl IntoIterator<Item = Cursor>) -> Self {
        let rows: Vec<Cursor> = rows.into_iter().collect();
        let is_full = rows.len() >= request.limit.get() as usize;
        Self {
            next_cursor: rows.last().filter(|_| is_full).cloned(),
            ids: rows.into_iter().map(|row| row.id).collect(),
            ..Self::default()
        }
    }

    /// Sets the due rows that failed.
    #[must_use]
    pub fn with_rejected(mut self, rejected: Vec<RejectedRow>) -> Self {
        self.rejected = rejected;
        self
    }

    /// Adds `count` rows of `kind`. A count of zero lists the kind in reports.
    #[must_use]
    pub fn with_count(mut self, kind: impl Into<String>, count: u64) -> Self {
        self.counts.add(kind, count);
        self
    }
}

/// A due row that failed. The run does not try it again.
///
/// An error that begins with `kept by ` says that the row stays by intention, such as for a row of
/// another table that needs it. `locked by another transaction` says that it is tried again in the
/// next run. Health ignores both; a run fails if most of its other rows are
/// rejected with one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub struct RejectedRow {
    /// The row's id.
    pub id: String,
    /// The database's error.
    pub error: String,
}

impl RejectedRow {
    /// The error of a row that another transaction holds, or needs a row that it holds. Such a row
    /// is due as before, and is tried again in the next run.
    #[cfg(feature = "postgres")]
    pub(crate) const LOCKED: &str = LOCKED;

    /// Returns whether another transaction holds the row.
    pub(crate) fn is_locked(&self) -> bool {
        self.error == LOCKED
    }

    /// Returns whether the row stays by intention.
    pub(crate) fn is_kept(&self) -> bool {
        self.error.starts_with("kept by ")
    }
}

const LOCKED: &str = "locked by another transaction";
