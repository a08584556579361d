//! A job's forecast: rows that are due, and when the next one falls due.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::RunBounds;
use crate::fmt::thousands;
use crate::time::{since, strictly_after, until};

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

    /// Rows to select for a count: one more than the cap, which shows whether there are more.
    pub const PROBE: i64 = 10_001;

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
    /// Creates the forecast of a rule by age, for rows kept in microseconds or finer.
    ///
    /// `bounds` are those of a run that would begin now; their distance is the age. `oldest` is the
    /// instant of the oldest row that the rule matches at any age, and `due` counts those older
    /// than the cutoff, both without the rejected rows.
    ///
    /// [`Forecast::max_age`] is the age, or `None` if the cutoff is now: rows that carry their own
    /// deadline may fall due at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use chrono::{TimeDelta, Utc};
    /// use ractor_housekeeper::job::{BoundedCount, Forecast, RunBounds};
    ///
    /// let now = Utc::now();
    /// let bounds = RunBounds::new(now, now - TimeDelta::days(7));
    /// let sent = now - TimeDelta::days(6);
    ///
    /// let forecast = Forecast::from_oldest(&bounds, Some(sent), BoundedCount::default());
    ///
    /// // The rule says strictly older.
    /// let tomorrow = Duration::from_secs(24 * 60 * 60) + Duration::from_micros(1);
    /// assert_eq!(forecast.next_due, Some(tomorrow));
    /// assert_eq!(forecast.oldest_overdue, None);
    /// ```
    #[must_use]
    pub fn from_oldest(
        bounds: &RunBounds,
        oldest: Option<DateTime<Utc>>,
        due: BoundedCount,
    ) -> Self {
        let RunBounds { now, cutoff, .. } = *bounds;
        let age = since(now, cutoff);
        let falls_due = oldest.map(|oldest| strictly_after(oldest, age));
        Self {
            due,
            oldest_overdue: falls_due
                .filter(|at| due.count > 0 && *at <= now)
                .map(|at| since(now, at)),
            next_due: falls_due.map(|at| until(now, at)),
            max_age: (!age.is_zero()).then_some(age),
        }
    }

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
    fn the_oldest_row_tells_what_is_overdue_and_what_is_next() {
        let now = DateTime::from_timestamp(1_000_000, 0).expect("is an instant");
        let bounds = |cutoff| RunBounds::new(now, cutoff);
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        let cutoff = now - week;
        let second = Duration::from_secs(1);
        let micro = Duration::from_micros(1);
        let one = BoundedCount::from_probe(1);

        let none = Forecast::from_oldest(&bounds(cutoff), None, BoundedCount::default());
        let late = Forecast::from_oldest(&bounds(cutoff), Some(cutoff - second), one);
        let at = Forecast::from_oldest(&bounds(cutoff), Some(cutoff), BoundedCount::default());
        let deadline = Forecast::from_oldest(&bounds(now), Some(now + second), one);

        assert_eq!((none.next_due, none.max_age), (None, Some(week)));
        assert_eq!(late.oldest_overdue, second.checked_sub(micro));
        assert_eq!(late.next_due, Some(Duration::ZERO));
        assert_eq!((at.oldest_overdue, at.next_due), (None, Some(micro)));
        assert_eq!((deadline.oldest_overdue, deadline.max_age), (None, None));
        assert_eq!(
            u64::try_from(BoundedCount::PROBE),
            Ok(BoundedCount::CAP + 1)
        );
    }

    #[test]
    fn an_old_row_that_is_not_counted_is_not_overdue() {
        let now = DateTime::from_timestamp(1_000_000, 0).expect("is an instant");
        let bounds = RunBounds::new(now, now - Duration::from_secs(60));
        let old = now - Duration::from_secs(90);

        let forecast = Forecast::from_oldest(&bounds, Some(old), BoundedCount::default());

        assert_eq!(forecast.oldest_overdue, None);
    }

    #[test]
    fn each_part_is_set_beside_the_others() {
        let [overdue, next, age] = [1, 2, 3].map(Duration::from_secs);
        let due = BoundedCount::from_probe(4);

        let forecast = Forecast::default()
            .with_max_age(age)
            .with_next_due(next)
            .with_due(due, Some(overdue));
        let changed = forecast.with_max_age(None).with_next_due(None);

        assert_eq!(
            (forecast.next_due, forecast.max_age),
            (Some(next), Some(age))
        );
        assert_eq!((changed.next_due, changed.max_age), (None, None));
        assert_eq!((changed.due, changed.oldest_overdue), (due, Some(overdue)));
    }

    #[test]
    fn a_count_beyond_the_cap_shows_a_plus() {
        let texts = [0, 10_000, 10_001].map(|rows| BoundedCount::from_probe(rows).to_string());

        assert_eq!(texts, ["0", "10,000", "10,000+"]);
    }
}
