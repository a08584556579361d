//! A job's forecast: rows that are due, and when the next one falls due.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fmt::thousands;

/// A count that stops at [`BoundedCount::CAP`], so that counting a backlog of millions costs no
/// more than counting one of thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub struct BoundedCount {
    /// Rows counted.
    pub count: u64,
    /// Whether counting stopped at the cap: more than `count` rows exist.
    pub capped: bool,
}

impl BoundedCount {
    /// Maximum count.
    pub const CAP: u64 = 10_000;

    /// Creates a bounded count from a count of at most [`BoundedCount::CAP`] + 1 rows, such as
    /// `select count(*) from (select .. limit 10001)`.
    #[must_use]
    pub fn from_probe(rows: u64) -> Self {
        Self {
            count: rows.min(Self::CAP),
            capped: rows > Self::CAP,
        }
    }
}

impl fmt::Display for BoundedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}",
            thousands(self.count),
            if self.capped { "+" } else { "" }
        )
    }
}

/// The rows that are due after a run, and the time until the next row falls due.
///
/// All times are relative to the deciding clock, usually the database's, so that clocks need not
/// agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Forecast {
    /// Due rows that the run did not handle: locked by others, cancelled, or due since.
    pub due: BoundedCount,
    /// Time for which the oldest of them has been due; `None` if none is due.
    #[serde(flatten, with = "crate::time::json::oldest_overdue")]
    #[cfg_attr(
        feature = "web",
        schemars(with = "crate::time::json::oldest_overdue::Json")
    )]
    pub oldest_overdue: Option<Duration>,
    /// Time until the next row falls due: zero if one is due, `None` if no row will.
    #[serde(flatten, with = "crate::time::json::next_due")]
    #[cfg_attr(feature = "web", schemars(with = "crate::time::json::next_due::Json"))]
    pub next_due: Option<Duration>,
    /// Time after which a row created now would fall due. The housekeeper runs the job again by
    /// then, because it does not learn of new rows.
    #[serde(flatten, with = "crate::time::json::max_age")]
    #[cfg_attr(feature = "web", schemars(with = "crate::time::json::max_age::Json"))]
    pub max_age: Option<Duration>,
}

impl Forecast {
    /// Sets the due rows and the time for which the oldest has been due.
    #[must_use]
    pub fn with_due(mut self, due: BoundedCount, oldest_overdue: Option<Duration>) -> Self {
        self.due = due;
        self.oldest_overdue = oldest_overdue;
        self
    }

    /// Sets the time until the next row falls due.
    #[must_use]
    pub fn with_next_due(mut self, next_due: impl Into<Option<Duration>>) -> Self {
        self.next_due = next_due.into();
        self
    }

    /// Sets the time after which a row created now would fall due.
    #[must_use]
    pub fn with_max_age(mut self, max_age: impl Into<Option<Duration>>) -> Self {
        self.max_age = max_age.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_cap_shows_a_plus() {
        let texts = [0, 10_000, 10_001].map(|rows| BoundedCount::from_probe(rows).to_string());

        assert_eq!(texts, ["0", "10,000", "10,000+"]);
    }
}
