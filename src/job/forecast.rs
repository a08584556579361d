//! A job's forecast: rows that are due, and when the next one falls due.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fmt::thousands;

/// A count that stops at [`BoundedCount::CAP`], so that counting a backlog of millions costs no
/// more than counting one of thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BoundedCount {
    /// Rows counted.
    pub count: u64,
    /// Whether counting stopped at the cap, so that there are more than `count` rows.
    pub capped: bool,
}

impl BoundedCount {
    /// Maximum count.
    pub const CAP: u64 = 10_000;

    /// Creates it from a count of at most [`BoundedCount::CAP`] + 1 rows, such as that of `select
    /// count(*) from (select .. limit 10001)`.
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

/// A job's account of rows that are due or will be, taken when a run has ended.
///
/// All times are relative to the deciding clock's now, usually the database's, so that clocks need
/// not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// Due rows that the run did not handle: locked elsewhere, cancelled, or due since.
    pub due: BoundedCount,
    /// How long the oldest of them has been due; `None` if none is due.
    #[serde(with = "crate::time::span::option")]
    pub oldest_overdue: Option<Duration>,
    /// Time until the next row falls due: zero if one is due, `None` if no row waits.
    #[serde(with = "crate::time::span::option")]
    pub next_due: Option<Duration>,
    /// Time after which a row created now would fall due. The housekeeper runs the job again by
    /// then, because it does not learn of new rows.
    #[serde(with = "crate::time::span::option")]
    pub max_age: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_cap_says_so() {
        let texts = [0, 10_000, 10_001].map(|rows| BoundedCount::from_probe(rows).to_string());

        assert_eq!(texts, ["0", "10,000", "10,000+"]);
    }
}
