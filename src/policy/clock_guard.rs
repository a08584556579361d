//! Decides whether the clock by which rows fall due can be trusted.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::time::{Moment, after, since};

/// Compares the deciding clock of a job, usually its database's, with the monotonic clock.
///
/// A clock that was set a month ahead makes every row look due. A leap beyond the bound holds the
/// runs of a job until the clock has kept step for [`CONFIRM_AFTER`], or a person confirms it. A
/// clock that goes back makes nothing due and is followed at once. Smaller leaps add up over a day.
/// The first reading is compared with the host's wall clock, for want of another.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClockGuard {
    /// Where leaps are measured from.
    trusted: Option<Reading>,
    /// The first reading after a leap.
    suspect: Option<Reading>,
    /// Whether a person has said that the next reading is right.
    vouched: bool,
}

/// A reading of both clocks.
#[derive(Debug, Clone, Copy)]
struct Reading {
    deciding: DateTime<Utc>,
    mono: Duration,
}

/// How far the deciding clock is ahead of where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leap {
    pub(crate) ahead: Duration,
    /// Whether there was no earlier reading, so that it is ahead of the host's wall clock.
    pub(crate) is_first: bool,
}

impl ClockGuard {
    /// Checks a reading of the deciding clock, taken `now` by the housekeeper's.
    pub(crate) fn check(
        &mut self,
        deciding: DateTime<Utc>,
        now: Moment,
        bound: Duration,
    ) -> Result<(), Leap> {
        let reading = Reading {
            deciding,
            mono: now.mono,
        };
        let ahead = match self.trusted {
            Some(trusted) => reading.ahead_of(trusted),
            None if self.vouched => Duration::ZERO,
            None => since(deciding, now.wall),
        };
        let confirmed = self.suspect.is_some_and(|suspect| {
            suspect.keeps_step(reading, bound) && reading.mono >= suspect.mono + CONFIRM_AFTER
        });
        if ahead <= bound || confirmed {
            let is_kept = |trusted: Reading| {
                !confirmed && !reading.is_behind(trusted) && reading.mono < trusted.mono + ADDS_UP
            };
            self.trusted = self.trusted.filter(|it| is_kept(*it)).or(Some(reading));
            self.suspect = None;
            self.vouched = false;
            return Ok(());
        }
        if !self
            .suspect
            .is_some_and(|suspect| suspect.keeps_step(reading, bound))
        {
            self.suspect = Some(reading);
        }
        let is_first = self.trusted.is_none();
        Err(Leap { ahead, is_first })
    }

    /// Trusts the next reading, whatever it is. Returns whether runs were held.
    pub(crate) fn confirm(&mut self) -> bool {
        let vouched = Self {
            vouched: true,
            ..Self::default()
        };
        std::mem::replace(self, vouched).suspect.is_some()
    }
}

impl Reading {
    /// Returns how much further than the monotonic clock the deciding one went since `earlier`.
    fn ahead_of(self, earlier: Self) -> Duration {
        since(self.deciding, earlier.expected(self.mono))
    }

    /// Returns whether the deciding clock went less far than the monotonic one since `earlier`.
    fn is_behind(self, earlier: Self) -> bool {
        self.deciding < earlier.expected(self.mono)
    }

    /// Returns whether `later` is within the bound of where this reading leads, in either
    /// direction.
    fn keeps_step(self, later: Self, bound: Duration) -> bool {
        let expected = self.expected(later.mono);
        since(later.deciding, expected).max(since(expected, later.deciding)) <= bound
    }

    fn expected(self, mono: Duration) -> DateTime<Utc> {
        after(self.deciding, mono.saturating_sub(self.mono))
    }
}

/// A clock that leapt is trusted once it has kept step for this long.
pub(crate) const CONFIRM_AFTER: Duration = Duration::from_secs(5 * 60);

/// Leaps within this time count together. Beyond it, an ordinary drift of two clocks would.
const ADDS_UP: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const HOUR: u64 = 3_600;
    const MONTH: i64 = 30 * 24 * 3_600;

    /// Checks a clock that shows `deciding` seconds at `mono` seconds.
    fn check(guard: &mut ClockGuard, deciding: i64, mono: u64) -> Result<(), u64> {
        let at = |seconds| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let now = Moment {
            wall: at(0),
            mono: Duration::from_secs(mono),
        };
        guard
            .check(at(deciding), now, Duration::from_secs(HOUR))
            .map_err(|leap| leap.ahead.as_secs())
    }

    #[test]
    fn a_clock_that_keeps_step_within_the_bound_is_trusted() {
        let mut guard = ClockGuard::default();

        for (deciding, mono) in [(0, 0), (10, 10), (3_620, 20), (30, 30)] {
            assert_eq!(check(&mut guard, deciding, mono), Ok(()), "{deciding}");
        }
        // Back by a month, and on from there.
        assert_eq!(check(&mut guard, 40 - MONTH, 40), Ok(()));
        assert_eq!(check(&mut guard, 60 - MONTH, 60), Ok(()));
    }

    #[test]
    fn a_leap_is_held_until_the_clock_is_set_right() {
        let mut guard = ClockGuard::default();
        check(&mut guard, 0, 0).expect("the first reading is trusted");

        assert_eq!(check(&mut guard, 3_601 + 5, 5), Err(3_601));
        assert_eq!(check(&mut guard, MONTH + 10, 10), Err(MONTH.unsigned_abs()));
        assert_eq!(check(&mut guard, 400, 400), Ok(()));
        assert_eq!(
            check(&mut guard, MONTH + 410, 410),
            Err(MONTH.unsigned_abs())
        );
    }

    #[test]
    fn a_clock_that_leapt_is_trusted_after_five_minutes() {
        let mut guard = ClockGuard::default();
        check(&mut guard, 0, 0).expect("the first reading is trusted");

        let results = [60, 61, 120, 359, 360, 361]
            .map(|mono: u32| check(&mut guard, MONTH + i64::from(mono), u64::from(mono)).is_ok());

        assert_eq!(results, [false, false, false, false, true, true]);
    }

    #[test]
    fn small_leaps_add_up_over_a_day() {
        let mut guard = ClockGuard::default();
        let day = 24 * HOUR;
        let mut leap = |ahead: u64, mono: u64| {
            let deciding = i64::try_from(mono + ahead).expect("is small");
            check(&mut guard, deciding, mono)
        };

        assert_eq!(leap(0, 0), Ok(()));
        assert_eq!(leap(2_400, 10), Ok(()));
        assert_eq!(leap(4_800, 20), Err(4_800));
        // Set back by half of it; the next half is too much again.
        assert_eq!(leap(2_400, 30), Ok(()));
        assert_eq!(leap(3_600, day - 1), Ok(()));
        assert_eq!(leap(4_800, day - 1), Err(4_800));
        // A drift over days is none.
        assert_eq!(leap(3_600, day), Ok(()));
        assert_eq!(leap(7_200, 2 * day - 1), Ok(()));
        assert_eq!(leap(7_201, 2 * day - 1), Err(3_601));
    }

    #[test]
    fn a_clock_that_leaps_again_begins_anew() {
        let mut guard = ClockGuard::default();
        check(&mut guard, 0, 0).expect("the first reading is trusted");

        let results = [
            (MONTH, 0),
            (2 * MONTH, 200),
            (2 * MONTH + 200, 400),
            (2 * MONTH + 300, 500),
        ]
        .map(|(deciding, mono)| check(&mut guard, deciding, mono).is_ok());

        assert_eq!(results, [false, false, false, true]);
    }

    #[test]
    fn a_clock_that_is_ahead_from_the_start_is_held_like_a_leap() {
        let mut guard = ClockGuard::default();
        let ahead = Err(MONTH.unsigned_abs());

        assert_eq!(check(&mut guard, MONTH, 0), ahead);
        assert!(check(&mut guard, MONTH + 299, 299).is_err());
        assert_eq!(check(&mut guard, MONTH + 300, 300), Ok(()));
        let mut guard = ClockGuard::default();
        assert_eq!(check(&mut guard, MONTH, 0), ahead);
        assert!(guard.confirm());
        assert_eq!(check(&mut guard, MONTH + 2, 2), Ok(()));
        assert_eq!(check(&mut ClockGuard::default(), -MONTH, 0), Ok(()));
    }

    #[test]
    fn a_person_confirms_a_leap_at_once() {
        let mut guard = ClockGuard::default();
        check(&mut guard, 0, 0).expect("the first reading is trusted");
        assert!(!guard.confirm());
        check(&mut guard, 0, 0).expect("the first reading is trusted");
        check(&mut guard, MONTH, 1).expect_err("a leap");

        assert!(guard.confirm());
        assert_eq!(check(&mut guard, MONTH + 1, 2), Ok(()));
    }
}
