//! Instants on two clocks.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::arithmetic;

/// An instant on two clocks: the wall clock, by which schedules and people go, and the monotonic
/// clock, which no correction moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Wall clock.
    pub(crate) wall: DateTime<Utc>,
    /// Monotonic clock: time since the housekeeper started.
    pub(crate) mono: Duration,
}

impl Moment {
    /// Returns the moment `wait` later; each clock saturates.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self {
            wall: arithmetic::after(self.wall, wait),
            mono: self.mono.saturating_add(wait),
        }
    }

    /// Returns the moment `ago` earlier; each clock saturates.
    pub(crate) fn before(self, ago: Duration) -> Self {
        Self {
            wall: arithmetic::before(self.wall, ago),
            mono: self.mono.saturating_sub(ago),
        }
    }

    /// Returns whether either clock has reached this moment. A suspended machine may move only the
    /// wall clock; a wall clock set back leaves only the monotonic one.
    pub(crate) fn reached(self, now: Self) -> bool {
        self.until(now).is_zero()
    }

    /// Returns the time from `now` to this moment, the shorter of both clocks; zero once reached.
    pub(crate) fn until(self, now: Self) -> Duration {
        // A saturated instant is no deadline: a wall clock at the end of the calendar would reach
        // every later one at once, again and again.
        let wall = if self.wall == DateTime::<Utc>::MAX_UTC {
            Duration::MAX
        } else {
            arithmetic::until(now.wall, self.wall)
        };
        wall.min(self.mono.saturating_sub(now.mono))
    }

    /// Returns the moment that is reached once this one or the other is.
    pub(crate) fn earlier(self, other: Self) -> Self {
        Self {
            wall: self.wall.min(other.wall),
            mono: self.mono.min(other.mono),
        }
    }

    /// Returns the same instant, reached by the wall clock alone.
    pub(crate) fn by_wall(self) -> Self {
        let mono = Duration::MAX;
        Self { mono, ..self }
    }

    /// Returns the time from this moment to `now`, the longer of both clocks; zero until reached.
    pub(crate) fn lateness(self, now: Self) -> Duration {
        arithmetic::since(now.wall, self.wall).max(now.mono.saturating_sub(self.mono))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_moment_is_reached_by_either_clock() {
        let moment = at(10, 10);

        let reached = [at(9, 9), at(10, 0), at(0, 10), at(11, 11)].map(|now| moment.reached(now));

        assert_eq!(reached, [false, true, true, true]);
    }

    #[test]
    fn the_wait_for_a_moment_is_the_shorter_of_both_clocks() {
        let moment = at(10, 10);

        let waits = [at(4, 7), at(7, 4), at(-100, 9), at(12, 0), at(0, 12)]
            .map(|now| moment.until(now).as_secs());

        assert_eq!(waits, [3, 3, 1, 0, 0]);
    }

    #[test]
    fn the_earlier_of_two_is_reached_with_either() {
        let earlier = at(20, 10).earlier(at(10, 20));

        let reached = [at(9, 9), at(10, 0), at(0, 10)].map(|now| earlier.reached(now));

        assert_eq!(reached, [false, true, true]);
    }

    #[test]
    fn a_wait_beyond_either_clock_saturates() {
        let moment = at(1, 1).after(Duration::MAX);

        assert_eq!(moment.wall, DateTime::<Utc>::MAX_UTC);
        assert_eq!(moment.mono, Duration::MAX);
    }

    #[test]
    fn at_the_end_of_the_calendar_the_monotonic_clock_decides() {
        let now = Moment {
            wall: DateTime::<Utc>::MAX_UTC,
            mono: seconds(1),
        };

        let later = now.after(seconds(5));

        assert_eq!(later.until(now), seconds(5));
        assert!(!later.reached(now));
        assert!(later.reached(at(0, 6)));
    }

    /// Takes seconds on the wall clock and on the monotonic clock.
    fn at(wall: i64, mono: u64) -> Moment {
        Moment {
            wall: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(wall),
            mono: seconds(mono),
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }
}
