//! What is still due, and when the next row falls due.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fmt::thousands;

/// A count that stops at a cap, so that a backlog of millions costs no more to look at than one of
/// thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BoundedCount {
    /// Rows counted.
    pub count: u64,
    /// Whether counting stopped at the cap: there are at least `count` rows.
    pub capped: bool,
}

impl BoundedCount {
    /// Counting stops at this many rows.
    pub const CAP: u64 = 10_000;

    /// From a count of at most [`BoundedCount::CAP`] + 1 rows, as of `select count(*) from (select
    /// .. limit 10001)`.
    #[must_use]
    pub fn from_probe(counted: u64) -> Self {
        Self {
            count: counted.min(Self::CAP),
            capped: counted > Self::CAP,
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

/// What a job sees ahead of it when a run has ended.
///
/// All times are distances from the database's now, so that its clock and ours need not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// Rows that are due and were not handled: locked by somebody, cancelled, or due since.
    pub due: BoundedCount,
    /// How long the oldest of them has been due.
    #[serde(with = "humantime_serde::option")]
    pub oldest_overdue: Option<Duration>,
    /// When the next row falls due, zero if one is due already; `None` if no row waits.
    #[serde(with = "humantime_serde::option")]
    pub next_due: Option<Duration>,
    /// How long a row made right now would take to fall due. The job is looked at again by then,
    /// since such a row announces itself to nobody.
    #[serde(with = "humantime_serde::option")]
    pub max_age: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_cap_says_so() {
        let told = [0, 10_000, 10_001].map(|rows| BoundedCount::from_probe(rows).to_string());

        assert_eq!(told, ["0", "10,000", "10,000+"]);
    }
}
