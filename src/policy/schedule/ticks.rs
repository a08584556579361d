//! The recurring runs of a job: at an interval or by a cron expression.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::cron_ticks::CronTicks;
use crate::config::Schedule;
use crate::time::{Moment, since, until};

/// The ticks of one job.
#[derive(Debug, Clone)]
pub(super) struct Ticks {
    source: Source,
    next: Option<Moment>,
}

#[derive(Debug, Clone)]
enum Source {
    Off,
    Interval(Duration),
    Cron(Box<CronTicks>),
}

impl Ticks {
    /// Intervals count from `start`; ticks of a cron expression are delayed by `jitter`, between 0
    /// and 1, of the start jitter.
    pub(super) fn new(schedule: &Schedule, now: Moment, start: Moment, jitter: f64) -> Self {
        let source = Source::new(schedule, now, jitter);
        let next = match &source {
            Source::Off => None,
            Source::Interval(every) => Some(start.after(*every)),
            Source::Cron(cron) => cron.next(now),
        };
        Self { source, next }
    }

    /// Switches to another schedule, whose interval counts from `now`. The same cron expression
    /// repeats no tick.
    pub(super) fn reschedule(&mut self, schedule: &Schedule, now: Moment, jitter: f64) {
        let mut source = Source::new(schedule, now, jitter);
        if let (Source::Cron(cron), Source::Cron(before)) = (&mut source, &self.source) {
            cron.continue_from(before);
        }
        self.source = source;
        self.restart(now);
    }

    /// Plans the next tick from `now` on.
    pub(super) fn restart(&mut self, now: Moment) {
        self.next = match &mut self.source {
            Source::Off => None,
            Source::Interval(every) => Some(now.after(*every)),
            Source::Cron(cron) => {
                cron.observe(now);
                cron.next(now)
            }
        };
    }

    /// Follows the wall clock: a cron expression starts afresh when it was set back far.
    pub(super) fn observe(&mut self, now: Moment) {
        if let Source::Cron(cron) = &mut self.source {
            // At the ends of the calendar there is no tick until the clock is corrected.
            if cron.observe(now) || self.next.is_none() {
                self.next = cron.next(now);
            }
        }
    }

    /// Returns the next tick.
    pub(super) fn next(&self) -> Option<Moment> {
        self.next
    }

    /// Returns the next tick as the clocks reach it: either clock reaches the end of an interval,
    /// only the wall clock reaches a tick of a cron expression.
    pub(super) fn due_at(&self) -> Option<Moment> {
        match self.source {
            Source::Cron(_) => self.next.map(Moment::by_wall),
            Source::Off | Source::Interval(_) => self.next,
        }
    }

    /// Returns the moment from which a run of the tick `at` counts as late: by the monotonic clock
    /// for an interval, by both clocks for a cron expression.
    pub(super) fn late_from(&self, at: Moment, now: Moment) -> Moment {
        match self.source {
            Source::Cron(_) => {
                let by_wall = now.mono.saturating_sub(since(now.wall, at.wall));
                let mono = at.mono.max(by_wall);
                Moment { mono, ..at }
            }
            Source::Off | Source::Interval(_) => at,
        }
    }

    /// Limits a sleep: a corrected wall clock brings a tick of a cron expression nearer unnoticed.
    pub(super) fn max_sleep(&self) -> Option<Duration> {
        matches!(self.source, Source::Cron(_)).then_some(MAX_SLEEP)
    }

    /// Returns the duration of two ticks from `then` on; `None` without ticks.
    pub(super) fn two_ticks(&self, then: Moment) -> Option<Duration> {
        match &self.source {
            Source::Off => None,
            Source::Interval(every) => Some(every.saturating_mul(2)),
            Source::Cron(cron) => Some(until(then.wall, cron.ticks(then.wall).nth(1)?)),
        }
    }

    /// Returns the next ticks by the wall clock, at most `count`.
    pub(super) fn upcoming(&self, count: usize) -> Vec<DateTime<Utc>> {
        let later = |tick: &DateTime<Utc>| match &self.source {
            Source::Off => None,
            Source::Interval(every) => tick.checked_add_signed(TimeDelta::from_std(*every).ok()?),
            Source::Cron(cron) => cron.ticks(*tick).next(),
        };
        std::iter::successors(self.next.map(|first| first.wall), later)
            .filter(|tick| *tick < DateTime::<Utc>::MAX_UTC)
            .take(count)
            .collect()
    }

    /// Moves a due tick to the first one strictly after `now`. Returns how many ticks it skipped.
    pub(super) fn take(&mut self, now: Moment) -> u64 {
        let Some(tick) = self.next.filter(|_| self.is_due(now)) else {
            return 0;
        };
        match &self.source {
            Source::Off => 0,
            Source::Interval(every) => {
                let late = tick.lateness(now).as_nanos();
                let every = every.as_nanos().max(1);
                // Sets both clocks from `now`: a corrected one would otherwise reach again the
                // tick that the other has just passed.
                let rest = Duration::from_nanos(saturated(every - late % every));
                self.next = Some(now.after(rest));
                saturated(late / every)
            }
            Source::Cron(cron) => {
                self.next = cron.next(now);
                cron.missed(tick.wall, now)
            }
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        self.due_at().is_some_and(|at| at.reached(now))
    }
}

impl Source {
    fn new(schedule: &Schedule, now: Moment, jitter: f64) -> Self {
        CronTicks::new(schedule, now, jitter)
            .map(|cron| Self::Cron(Box::new(cron)))
            .or_else(|| schedule.every.map(Self::Interval))
            .unwrap_or(Self::Off)
    }
}

/// A tick of a cron expression is at most this late after the wall clock was corrected.
const MAX_SLEEP: Duration = Duration::from_secs(60);

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
