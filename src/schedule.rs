//! When a job runs by itself.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Schedule;
use crate::outlook::Outlook;
use crate::report::Trigger;

/// An instant on two clocks: the wall's, which people and schedules mean, and the monotonic one, which no correction moves.
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

    /// Whether it is past, by either clock: a suspended machine moves only the wall, a clock set back only the other.
    pub(crate) fn reached(self, now: Self) -> bool {
        self.wall <= now.wall || self.mono <= now.mono
    }

    /// How long it is from `now`: zero once it is reached, else the shorter of both distances.
    pub(crate) fn until(self, now: Self) -> Duration {
        distance(now.wall, self.wall).min(self.mono.saturating_sub(now.mono))
    }

    /// How long ago it was, by the clock that says the longer.
    fn lateness(self, now: Self) -> Duration {
        distance(self.wall, now.wall).max(now.mono.saturating_sub(self.mono))
    }
}

/// What makes a job run by itself.
#[derive(Debug, Clone)]
pub(crate) struct Agenda {
    schedule: Schedule,
    paused: bool,
    start: Option<Moment>,
    tick: Option<Moment>,
    deadline: Option<Moment>,
    retry: Option<Moment>,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The weightiest of the reasons.
    pub(crate) trigger: Trigger,
    /// Ticks that passed without a run of their own.
    pub(crate) missed: u64,
}

impl Agenda {
    /// The agenda of a housekeeper that starts `now`. `jitter` is drawn from 0 to 1.
    pub(crate) fn new(schedule: Schedule, now: Moment, jitter: f64) -> Self {
        let start = now.after(schedule.start_jitter.mul_f64(jitter));
        Self {
            paused: false,
            start: schedule.at_start.then_some(start),
            tick: schedule.every.map(|every| now.after(every)),
            deadline: None,
            retry: None,
            schedule,
        }
    }

    /// The schedule it follows.
    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Whether it waits for a resume.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The earliest run ahead by the wall clock, to be shown; `None` while paused.
    pub(crate) fn next(&self) -> Option<(Moment, Trigger)> {
        self.ahead().min_by_key(|(at, _)| at.wall)
    }

    /// How long to sleep until something is due; `None` while nothing will be.
    ///
    /// A corrected wall clock can put two plans in different orders on the two clocks, so this is not always the wait for [`Agenda::next`].
    pub(crate) fn wait(&self, now: Moment) -> Option<Duration> {
        self.ahead().map(|(at, _)| at.until(now)).min()
    }

    /// Takes all that is due, merged into one run; `None` while paused.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<Due> {
        let trigger = self
            .ahead()
            .filter(|(at, _)| at.reached(now))
            .map(|(_, trigger)| trigger)
            .max()?;
        let missed = self.pass_ticks(now);
        // The run that starts now does what these would have done.
        self.start = None;
        self.deadline = None;
        self.retry = None;
        Some(Due { trigger, missed })
    }

    /// A run of everything did all it was asked, and saw `outlook` ahead.
    pub(crate) fn completed(&mut self, now: Moment, outlook: Option<&Outlook>) {
        let resolution = self.schedule.resolution;
        self.retry = None;
        self.deadline = outlook
            .filter(|_| self.schedule.at_deadline)
            .and_then(|outlook| [outlook.next_due, outlook.age].into_iter().flatten().min())
            .map(|wait| now.after(wait.max(resolution)));
    }

    /// A run failed and is tried again. Returns when.
    pub(crate) fn failed(&mut self, now: Moment, retry_after: Duration) -> Moment {
        let at = now.after(retry_after);
        self.retry = Some(at);
        self.deadline = None;
        at
    }

    /// A run was cancelled. What it left is due already, so a deadline would start it again at once.
    pub(crate) fn cancelled(&mut self) {
        self.deadline = None;
    }

    /// Nothing is due until the resume.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// Ticks count from `now`. What is overdue is dropped, because the caller runs once right away.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.paused = false;
        self.tick = self.schedule.every.map(|every| now.after(every));
        for plan in [&mut self.start, &mut self.deadline, &mut self.retry] {
            plan.take_if(|at| at.reached(now));
        }
    }

    /// Follows another schedule from `now` on.
    pub(crate) fn reschedule(&mut self, schedule: Schedule, now: Moment) {
        self.tick = schedule.every.map(|every| now.after(every));
        self.deadline = self.deadline.filter(|_| schedule.at_deadline);
        self.start = self.start.filter(|_| schedule.at_start);
        self.schedule = schedule;
    }

    /// All that is planned, in no order.
    fn ahead(&self) -> impl Iterator<Item = (Moment, Trigger)> {
        [
            (self.start, Trigger::Start),
            (self.tick, Trigger::Tick),
            (self.deadline, Trigger::Deadline),
            (self.retry, Trigger::Retry),
        ]
        .into_iter()
        .filter(|_| !self.paused)
        .filter_map(|(at, trigger)| at.map(|at| (at, trigger)))
    }

    /// Moves a due tick to its next place strictly after `now`. Returns how many places it skipped.
    fn pass_ticks(&mut self, now: Moment) -> u64 {
        let (Some(tick), Some(every)) = (self.tick, self.schedule.every) else {
            return 0;
        };
        if !tick.reached(now) {
            return 0;
        }
        let late = tick.lateness(now).as_nanos();
        let every = every.as_nanos().max(1);
        // Both clocks are set from now: one that was corrected would otherwise reach the tick that the other has just passed.
        let rest = Duration::from_nanos(saturated(every - late % every));
        self.tick = Some(now.after(rest));
        saturated(late / every)
    }
}

/// From one instant to a later one; zero if it is not later.
fn distance(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    to.signed_duration_since(from).to_std().unwrap_or_default()
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
