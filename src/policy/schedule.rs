//! Plans the runs that a job starts by itself.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::pauses::Pauses;
use crate::config::Schedule;
use crate::job::Forecast;
use crate::model::{Pause, Trigger};
use crate::time::Moment;
use ticks::Ticks;

#[cfg(all(test, feature = "cron"))]
mod cron_tests;
mod cron_ticks;
#[cfg(test)]
mod tests;
mod ticks;

/// Plans the runs of one job: its start, ticks, deadlines and retries.
#[derive(Debug, Clone)]
pub(crate) struct Planner {
    schedule: Schedule,
    /// Drawn once, between 0 and 1.
    jitter: f64,
    pauses: Pauses,
    start: Option<Moment>,
    ticks: Ticks,
    deadline: Option<Moment>,
    retry: Option<Moment>,
    /// The last forecast's [`Forecast::max_age`].
    max_age: Option<Duration>,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The highest of the triggers.
    pub(crate) trigger: Trigger,
    /// Ticks that passed without a run of their own.
    pub(crate) missed: u64,
}

impl Planner {
    /// Plans for a housekeeper that starts `now`. `jitter` is between 0 and 1. An interval counts
    /// from the jittered start, and a cron expression's ticks are delayed by as much: replicas
    /// started together would otherwise tick together for ever.
    pub(crate) fn new(schedule: Schedule, now: Moment, jitter: f64) -> Self {
        let start = now.after(schedule.start_jitter.mul_f64(jitter));
        // Without a start and ticks, only this run finds the first deadline.
        let only_deadlines = schedule.at_deadline && !schedule.at_start && !schedule.ticks();
        Self {
            pauses: Pauses::default(),
            start: schedule.at_start.then_some(start),
            ticks: Ticks::new(&schedule, now, start, jitter),
            jitter,
            deadline: only_deadlines.then_some(start),
            retry: None,
            max_age: None,
            schedule,
        }
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.pause_in_force().is_some()
    }

    /// Returns the pause to show: that of all replicas before that of this instance.
    pub(crate) fn pause_in_force(&self) -> Option<&Pause> {
        self.pauses.current()
    }

    /// Returns the earliest planned run by the wall clock; `None` while paused.
    pub(crate) fn next(&self) -> Option<(Moment, Trigger)> {
        self.planned(self.ticks.next())
            .min_by_key(|(at, _)| at.wall)
    }

    /// Returns the moment at which a run is due, or the clocks are to be looked at again; `None` if
    /// none is planned.
    ///
    /// It is reached exactly when a plan is reached, so that a wake-up finds what it came for. It
    /// need not be that of [`Planner::next`]: a corrected wall clock can order two plans
    /// differently on the two clocks, and each clock counts to its own earliest plan.
    pub(crate) fn wake_at(&self, now: Moment) -> Option<Moment> {
        let max_sleep = self.ticks.max_sleep().filter(|_| !self.is_paused());
        self.planned(self.ticks.due_at())
            .map(|(at, _)| at)
            .chain(max_sleep.map(|wait| now.after(wait)))
            .reduce(Moment::earlier)
    }

    /// Follows the wall clock: a cron expression starts afresh when it was set back far.
    pub(crate) fn observe(&mut self, now: Moment) {
        if !self.is_paused() {
            self.ticks.observe(now);
        }
    }

    /// Returns the moment from which the next run counts as late: by the monotonic clock, and for
    /// ticks of a cron expression by both clocks.
    pub(crate) fn late_from(&self, now: Moment) -> Option<Moment> {
        let (at, trigger) = self.next()?;
        Some(match trigger {
            Trigger::Tick => self.ticks.late_from(at, now),
            _ => at,
        })
    }

    /// Returns the duration of two ticks from `then` on; `None` without ticks.
    pub(crate) fn two_ticks(&self, then: Moment) -> Option<Duration> {
        self.ticks.two_ticks(then)
    }

    /// Returns the next ticks by the wall clock, at most `count`; none while paused.
    pub(crate) fn next_ticks(&self, count: usize) -> Vec<DateTime<Utc>> {
        if self.is_paused() {
            return Vec::new();
        }
        self.ticks.upcoming(count)
    }

    /// Takes all due plans, merged into one run; `None` if none is due, or while paused.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<Due> {
        self.observe(now);
        let trigger = self
            .planned(self.ticks.due_at())
            .filter(|(at, _)| at.reached(now))
            .map(|(_, trigger)| trigger)
            .max()?;
        let missed = self.ticks.take(now);
        // The run that starts now serves these as well.
        self.start = None;
        self.deadline = None;
        self.retry = None;
        Some(Due { trigger, missed })
    }

    /// Plans the next deadline after a run of all rows completed with this forecast.
    pub(crate) fn completed(&mut self, now: Moment, forecast: Option<&Forecast>) {
        let min_interval = self.schedule.min_interval;
        self.retry = None;
        self.max_age = forecast
            .and_then(|forecast| forecast.max_age)
            .or(self.max_age);
        self.deadline = forecast
            .filter(|_| self.schedule.at_deadline)
            .and_then(|forecast| {
                [forecast.next_due, forecast.max_age]
                    .into_iter()
                    .flatten()
                    .min()
            })
            .map(|wait| now.after(wait.max(min_interval)));
    }

    /// Plans a retry instead of the deadline. Returns its moment.
    pub(crate) fn failed(&mut self, now: Moment, retry_after: Duration) -> Moment {
        let at = now.after(retry_after);
        self.retry = Some(at);
        self.deadline = None;
        at
    }

    /// Plans after a cancelled run. The rows it left are due already, so their deadline would
    /// restart it at once; it waits for the tick, or for the deadline of rows made since then.
    pub(crate) fn cancelled(&mut self, now: Moment) {
        self.retry = None;
        self.deadline = self
            .max_age
            .filter(|_| self.schedule.at_deadline)
            .map(|age| now.after(age.max(self.schedule.min_interval)));
    }

    /// Suspends all plans until the pause ends. Returns whether it is new.
    pub(crate) fn pause(&mut self, pause: Pause, now: Moment) -> bool {
        self.pauses.add(pause, now)
    }

    /// Ends the pause of this instance. Returns whether there was one.
    pub(crate) fn resume(&mut self, now: Moment) -> bool {
        let ended = self.pauses.end_local();
        self.restart_if(ended, now);
        ended
    }

    /// Ends the pause of all replicas. Returns whether the plans hold again: that of this instance
    /// may remain.
    pub(crate) fn resume_replicas(&mut self, now: Moment) -> bool {
        let resumed = self.pauses.end_replicas() && !self.is_paused();
        self.restart_if(resumed, now);
        resumed
    }

    /// Returns when to read the pause of all replicas again.
    pub(crate) fn recheck_at(&self) -> Option<Moment> {
        self.pauses.recheck_at()
    }

    /// Returns whether to read the pause of all replicas now, and plans the next time.
    pub(crate) fn take_recheck(&mut self, now: Moment) -> bool {
        self.pauses.take_recheck(now)
    }

    /// Counts ticks from `now`, and drops overdue plans, because the caller starts a run now.
    fn restart_if(&mut self, resumed: bool, now: Moment) {
        if !resumed {
            return;
        }
        self.ticks.restart(now);
        for plan in [&mut self.start, &mut self.deadline, &mut self.retry] {
            plan.take_if(|at| at.reached(now));
        }
    }

    /// Switches to another schedule, whose ticks count from `now`. Does not end a pause.
    pub(crate) fn reschedule(&mut self, schedule: Schedule, now: Moment) {
        let deadlines_switched_on = schedule.at_deadline && !self.schedule.at_deadline;
        self.deadline = if deadlines_switched_on {
            Some(now.after(schedule.min_interval))
        } else {
            self.deadline.filter(|_| schedule.at_deadline)
        };
        self.start = self.start.filter(|_| schedule.at_start);
        self.ticks.reschedule(&schedule, now, self.jitter);
        self.schedule = schedule;
    }

    /// Returns all plans with this tick, in no order; none while paused.
    fn planned(&self, tick: Option<Moment>) -> impl Iterator<Item = (Moment, Trigger)> {
        [
            (self.start, Trigger::Start),
            (tick, Trigger::Tick),
            (self.deadline, Trigger::Deadline),
            (self.retry, Trigger::Retry),
        ]
        .into_iter()
        .filter(|_| !self.is_paused())
        .filter_map(|(at, trigger)| at.map(|at| (at, trigger)))
    }
}
