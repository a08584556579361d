//! Instants on two clocks.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// An instant on two clocks: the wall's, which people and schedules mean, and the monotonic one,
/// which no correction moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// By the wall clock.
    pub(crate) wall: DateTime<Utc>,
    /// By the monotonic clock: since the housekeeper started.
    pub(crate) mono: Duration,
}

impl Moment {
    /// The instant `wait` later, as far as either clock can count.
    pub(crate) fn after(self, wait: Duration) -> Self {
        let wall = TimeDelta::from_std(wait)
            .ok()
            .and_then(|wait| self.wall.checked_add_signed(wait))
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mono = self.mono.saturating_add(wait);
        Self { wall, mono }
    }

    /// The instant `ago` earlier.
    pub(crate) fn before(self, ago: Duration) -> Self {
        let wall = TimeDelta::from_std(ago)
            .ok()
            .and_then(|ago| self.wall.checked_sub_signed(ago))
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
        let mono = self.mono.saturating_sub(ago);
        Self { wall, mono }
    }

    /// Whether it is past, by either clock: a suspended machine moves only the wall, a clock set
    /// back only the other.
    pub(crate) fn reached(self, now: Self) -> bool {
        self.until(now).is_zero()
    }

    /// How long it is from `now`: zero once it is reached, else the shorter of both distances.
    pub(crate) fn until(self, now: Self) -> Duration {
        // On a clock that shows the last instant of the calendar every wait would be over at once,
        // and so for ever.
        let wall = if self.wall == DateTime::<Utc>::MAX_UTC {
            Duration::MAX
        } else {
            distance(now.wall, self.wall)
        };
        wall.min(self.mono.saturating_sub(now.mono))
    }

    /// The same instant, but reached by the wall clock alone.
    pub(crate) fn by_wall(self) -> Self {
        let mono = Duration::MAX;
        Self { mono, ..self }
    }

    /// How long ago it was, by the clock that says the longer.
    pub(crate) fn lateness(self, now: Self) -> Duration {
        distance(self.wall, now.wall).max(now.mono.saturating_sub(self.mono))
    }
}

/// From one instant to a later one; zero if it is not later.
pub(crate) fn distance(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    to.signed_duration_since(from).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_reached_by_either_clock() {
        let moment = at(10, 10);

        let reached = [at(9, 9), at(10, 0), at(0, 10), at(11, 11)].map(|now| moment.reached(now));

        assert_eq!(reached, [false, true, true, true]);
    }

    #[test]
    fn the_way_to_a_moment_is_the_shorter_of_both() {
        let moment = at(10, 10);

        let ways = [at(4, 7), at(7, 4), at(-100, 9), at(12, 0), at(0, 12)]
            .map(|now| moment.until(now).as_secs());

        assert_eq!(ways, [3, 3, 1, 0, 0]);
    }

    #[test]
    fn no_wait_is_too_long_to_count() {
        let moment = at(1, 1).after(Duration::MAX);

        assert_eq!(moment.wall, DateTime::<Utc>::MAX_UTC);
        assert_eq!(moment.mono, Duration::MAX);
    }

    #[test]
    fn at_the_end_of_the_calendar_waits_are_kept_by_the_other_clock() {
        let now = Moment {
            wall: DateTime::<Utc>::MAX_UTC,
            mono: seconds(1),
        };

        let later = now.after(seconds(5));

        assert_eq!(later.until(now), seconds(5));
        assert!(!later.reached(now));
        assert!(later.reached(at(0, 6)));
    }

    /// Seconds on the wall clock, and on the monotonic one.
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
