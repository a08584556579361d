//! The request and the result of one batch of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fmt::{is_unseen, log_line, quantity, singular};

/// The rows that a run covers: all, or those of one user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Every row the rule matches.
    #[default]
    All,
    /// Only rows of this user. The built-in jobs expect a UUID.
    User(String),
}

impl Scope {
    /// Creates the scope of one user, with a key of any type.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have a key or a reference to one"
    )]
    pub fn user(id: impl ToString) -> Self {
        Self::User(id.to_string())
    }

    /// Returns what is wrong with a user that can be no key: blank, too long, with spaces at an
    /// end, or with characters that are not seen.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::User(user) = self else {
            return Ok(());
        };
        let problem = if user.trim().is_empty() {
            "is blank; use the scope of all rows for everybody"
        } else if user.chars().count() > Self::MAX_USER {
            "is longer than 200 characters"
        } else if user.trim() != user {
            "has spaces at an end"
        } else if user.chars().any(is_unseen) {
            "has control or invisible characters"
        } else {
            return Ok(());
        };
        Err(format!("the user {problem}"))
    }

    /// The longest user, in characters.
    const MAX_USER: usize = 200;

    /// Returns the user as a UUID, for tables that key users by one; `None` for [`Scope::All`].
    ///
    /// # Errors
    ///
    /// Fails if the user is not a UUID.
    pub fn user_id(&self) -> Result<Option<Uuid>, uuid::Error> {
        match self {
            Self::All => Ok(None),
            Self::User(id) => id.parse().map(Some),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::User(id) => write!(f, "user {}", log_line(id)),
        }
    }
}

/// The result of the opening read of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunBounds {
    /// The time by the deciding clock, usually the database's.
    pub now: DateTime<Utc>,
    /// Rows strictly older than this are due.
    pub cutoff: DateTime<Utc>,
    /// Whether the job is paused for all replicas, if the read covered that.
    pub(crate) pause: PauseRead,
}

/// A pause of a job for all replicas, as a database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaPause {
    /// When it began, by the clock of the instance that wrote it.
    pub since: DateTime<Utc>,
    /// The requester, if the message names one.
    pub by: Option<String>,
}

impl ReplicaPause {
    /// Creates a pause that began at `since`.
    #[must_use]
    pub fn new(since: DateTime<Utc>, by: Option<String>) -> Self {
        Self { since, by }
    }
}

/// Whether a read covered pauses for all replicas, and found one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum PauseRead {
    /// The read did not cover them.
    #[default]
    NotRead,
    /// The job runs on its schedule.
    Runs,
    /// The job is paused.
    Paused(ReplicaPause),
}

impl PauseRead {
    /// Returns the pause that was found.
    pub(crate) fn found(self) -> Option<ReplicaPause> {
        match self {
            Self::Paused(pause) => Some(pause),
            Self::NotRead | Self::Runs => None,
        }
    }
}

impl From<Option<ReplicaPause>> for PauseRead {
    fn from(pause: Option<ReplicaPause>) -> Self {
        pause.map_or(Self::Runs, Self::Paused)
    }
}

impl RunBounds {
    /// Creates the bounds of a run that begins at `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>, cutoff: DateTime<Utc>) -> Self {
        Self {
            now,
            cutoff,
            pause: PauseRead::NotRead,
        }
    }

    /// Adds the job's pause for all replicas, or that there is none. Without it, the worker reads
    /// [`RunHistory::pause`](crate::model::RunHistory::pause) before each run.
    #[must_use]
    pub fn with_pause(self, pause: Option<ReplicaPause>) -> Self {
        Self {
            pause: pause.into(),
            ..self
        }
    }
}

/// A position in the order in which a job walks its rows: oldest first, ties by id.
///
/// A job that is written by hand makes it of a row's instant and id, and reads both again. The
/// position of a declared rule is in a form of its store's own, which [`Cursor::id`] only carries.
/// Only the job that made a cursor can tell what lies behind it.
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

/// Rows by kind. A job names its kinds in the plural, such as `drafts` or `image_records`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Adds `count` rows of `kind`. The count saturates at `u64::MAX`.
    pub fn add(&mut self, kind: impl Into<String>, count: u64) {
        let rows = self.0.entry(kind.into()).or_default();
        *rows = rows.saturating_add(count);
    }

    /// Adds the counts of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            self.add(kind.as_str(), *count);
        }
    }

    /// Returns the rows of one kind; zero for an unknown kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Returns the rows of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().copied().fold(0, u64::saturating_add)
    }

    /// Iterates over kinds and counts, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(kind, count)| (kind.as_str(), *count))
    }
}

impl fmt::Display for Counts {
    /// Writes `1 draft, 3 image records`, or `nothing`: kinds without rows are left out,
    /// underscores become spaces, and a regular plural loses its ending for one row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (kind, count) in self.iter().filter(|(_, count)| *count > 0) {
            let kinds = kind.replace('_', " ");
            let rows = quantity(count, &singular(&kinds), &kinds);
            write!(f, "{separator}{rows}")?;
            separator = ", ";
        }
        if separator.is_empty() {
            return f.write_str("nothing");
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_kind_and_saturate() {
        let batch = Batch::default().with_count("b", 2).with_count("a", 0);
        let mut counts = batch.counts;
        counts.add("b", 3);
        let earlier = counts.clone();
        counts.merge(&earlier);

        assert_eq!((counts.of("b"), counts.of("a"), counts.of("c")), (10, 0, 0));
        assert_eq!(counts.total(), 10);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("a", 0), ("b", 10)]);
        assert_eq!(counts.to_string(), "10 b");
        counts.add("b", 12_335);
        counts.add("a_c", 2);
        assert_eq!(counts.to_string(), "2 a c, 12,345 b");
        assert_eq!(
            Batch::default().with_count("a", 0).counts.to_string(),
            "nothing"
        );
        assert_eq!(Counts::default().to_string(), "nothing");
        let single = Batch::default().with_count("drafts", 1);
        let mixed = single.with_count("image_records", 2).counts;
        assert_eq!(mixed.to_string(), "1 draft, 2 image records");
        counts.add("b", u64::MAX);
        counts.add("a", 1);
        assert_eq!((counts.of("b"), counts.total()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn a_scope_is_all_or_a_user() {
        let user = Uuid::from_u128(7);

        assert_eq!(Scope::All.user_id(), Ok(None));
        assert_eq!(Scope::user(user).user_id(), Ok(Some(user)));
        assert!(Scope::user(7).user_id().is_err());
        let texts = [Scope::All, Scope::user(7)].map(|scope| scope.to_string());
        assert_eq!(texts, ["all", "user 7"]);
    }
}
