//! Ticks of a cron expression, by the wall clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Schedule;
use crate::config::cron::{Calendar, Cron};
use crate::time::{Moment, since, until};

/// The ticks of a cron expression, each delayed by the same random offset.
#[derive(Debug, Clone)]
pub(super) struct CronTicks {
    cron: Cron,
    calendar: Calendar,
    /// Drawn once: replicas would otherwise tick together for ever.
    offset: TimeDelta,
    /// The latest wall time observed. Ticks up to here were served or merged.
    seen: DateTime<Utc>,
}

impl CronTicks {
    /// Returns the ticks after `now`; `None` for a schedule without a cron expression. `jitter` is
    /// between 0 and 1.
    pub(super) fn new(schedule: &Schedule, now: Moment, jitter: f64) -> Option<Self> {
        let cron = schedule.cron.clone()?;
        let offset = schedule.start_jitter.mul_f64(jitter);
        // Timers have millisecond resolution, and people read these instants.
        let offset = Duration::from_millis(u64::try_from(offset.as_millis()).unwrap_or(u64::MAX));
        Some(Self {
            // The configuration's check has accepted the expression.
            calendar: Calendar::new(&cron).ok()?,
            cron,
            offset: TimeDelta::from_std(offset).ok()?,
            seen: now.wall,
        })
    }

    /// Returns the first tick that was not served yet.
    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        let tick = self.after(self.seen.max(now.wall))?;
        Some(now.after(until(now.wall, tick)))
    }

    /// Advances to the wall clock's time. Returns whether the clock was set back so far that its
    /// ticks start afresh.
    pub(super) fn observe(&mut self, now: Moment) -> bool {
        if since(self.seen, now.wall) >= MIN_SET_BACK {
            self.seen = now.wall;
            return true;
        }
        self.seen = self.seen.max(now.wall);
        false
    }

    /// Skips the ticks that `other` served, if both follow the same expression. Their offsets may
    /// differ.
    pub(super) fn continue_from(&mut self, other: &Self) {
        if self.cron == other.cron {
            let later = self.offset - other.offset;
            self.seen = other.seen.checked_add_signed(later).unwrap_or(other.seen);
        }
    }

    /// Counts the ticks after `tick` up to `now`, at most [`MAX_COUNTED`].
    pub(super) fn missed(&self, tick: DateTime<Utc>, now: Moment) -> u64 {
        let passed = self.ticks(tick).take_while(|tick| *tick <= now.wall);
        passed.take(MAX_COUNTED).count() as u64
    }

    /// Returns the ticks strictly after an instant, in order.
    pub(super) fn ticks(&self, from: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(self.after(from), |tick| self.after(*tick))
    }

    fn after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let instant = instant.checked_sub_signed(self.offset)?;
        self.calendar
            .after(instant)?
            .checked_add_signed(self.offset)
    }
}

/// A wall clock set back by less waits until it passes the last served tick; one set back by this
/// much or more starts afresh, as with cron(8).
const MIN_SET_BACK: Duration = Duration::from_secs(3 * 60 * 60);

/// Limits the time spent on counting: a year of seconds must not block the housekeeper.
const MAX_COUNTED: usize = 1_000;
