//! When a job runs by itself.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Schedule;
use crate::job::Forecast;
use crate::model::Trigger;
use crate::time::{Moment, distance};
use wall::WallTicks;

mod wall;

/// What makes a job run by itself.
#[derive(Debug, Clone)]
pub(crate) struct Planner {
    schedule: Schedule,
    /// Where ticks come from if they follow the wall clock.
    wall: Option<WallTicks>,
    /// Drawn once, from 0 to 1.
    jitter: f64,
    paused: bool,
    start: Option<Moment>,
    tick: Option<Moment>,
    deadline: Option<Moment>,
    retry: Option<Moment>,
    /// How long a row made now takes to fall due, as far as the job said.
    age: Option<Duration>,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// The weightiest of the reasons.
    pub(crate) trigger: Trigger,
    /// Ticks that passed without a run of their own.
    pub(crate) missed: u64,
}

impl Planner {
    /// The agenda of a housekeeper that starts `now`. `jitter` is drawn from 0 to 1. Ticks count
    /// from the jittered start, and those of a cron are put off by as much: replicas started
    /// together would otherwise tick together for ever.
    pub(crate) fn new(schedule: Schedule, now: Moment, jitter: f64) -> Self {
        let start = now.after(schedule.start_jitter.mul_f64(jitter));
        // With neither a start nor ticks nobody else would learn of the first deadline.
        let only_deadlines = schedule.at_deadline && !schedule.at_start && !schedule.ticks();
        let wall = WallTicks::of(&schedule, now, jitter);
        Self {
            paused: false,
            start: schedule.at_start.then_some(start),
            tick: match &wall {
                Some(wall) => wall.next(now),
                None => schedule.every.map(|every| start.after(every)),
            },
            wall,
            jitter,
            deadline: only_deadlines.then_some(start),
            retry: None,
            age: None,
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
    /// A corrected wall clock can put two plans in different orders on the two clocks, so this is
    /// not always the wait for [`Planner::next`].
    pub(crate) fn wait(&self, now: Moment) -> Option<Duration> {
        // Ticks that follow the wall clock can come nearer when it is corrected, and only a look
        // tells.
        let look = self.wall.as_ref().filter(|_| !self.paused);
        let look = look.map(|_| LONGEST_WITHOUT_A_LOOK);
        self.ahead()
            .map(|(at, trigger)| self.reached_as(at, trigger).until(now))
            .chain(look)
            .min()
    }

    /// Looks at the clock, and follows it if ticks do and it was set back far.
    pub(crate) fn look(&mut self, now: Moment) {
        if let Some(wall) = self.wall.as_mut().filter(|_| !self.paused) {
            // At the ends of the calendar there is no tick until the clock is right.
            if wall.look(now) || self.tick.is_none() {
                self.tick = wall.next(now);
            }
        }
    }

    /// When it ran late, had it to run now: by the monotonic clock, and for ticks that follow the
    /// wall clock by both.
    pub(crate) fn promised(&self, now: Moment) -> Option<Moment> {
        let (at, trigger) = self.next()?;
        let follows_wall = trigger == Trigger::Tick && self.wall.is_some();
        let mono = if follows_wall {
            at.mono
                .max(now.mono.saturating_sub(distance(at.wall, now.wall)))
        } else {
            at.mono
        };
        Some(Moment { mono, ..at })
    }

    /// How long two ticks take, seen from `then`; `None` without ticks.
    pub(crate) fn two_ticks(&self, then: Moment) -> Option<Duration> {
        match &self.wall {
            Some(wall) => Some(distance(then.wall, wall.ticks(then.wall).nth(1)?)),
            None => Some(self.schedule.every?.saturating_mul(2)),
        }
    }

    /// The next ticks by the wall clock, to be shown; none while paused.
    pub(crate) fn ticks(&self, count: usize) -> Vec<DateTime<Utc>> {
        let Some(first) = self.tick.filter(|_| !self.paused) else {
            return Vec::new();
        };
        let later = |tick: &DateTime<Utc>| match &self.wall {
            Some(wall) => wall.ticks(*tick).next(),
            None => tick.checked_add_signed(TimeDelta::from_std(self.schedule.every?).ok()?),
        };
        std::iter::successors(Some(first.wall), later)
            .filter(|tick| *tick < DateTime::<Utc>::MAX_UTC)
            .take(count)
            .collect()
    }

    /// Takes all that is due, merged into one run; `None` while paused.
    pub(crate) fn take_due(&mut self, now: Moment) -> Option<Due> {
        self.look(now);
        let trigger = self
            .ahead()
            .filter(|(at, trigger)| self.reached_as(*at, *trigger).reached(now))
            .map(|(_, trigger)| trigger)
            .max()?;
        let missed = self.pass_ticks(now);
        // The run that starts now does what these would have done.
        self.start = None;
        self.deadline = None;
        self.retry = None;
        Some(Due { trigger, missed })
    }

    /// A run of everything did all it was asked, and saw `forecast` ahead.
    pub(crate) fn completed(&mut self, now: Moment, forecast: Option<&Forecast>) {
        let min_interval = self.schedule.min_interval;
        self.retry = None;
        self.age = forecast.and_then(|forecast| forecast.max_age).or(self.age);
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

    /// A run failed and is tried again. Returns when.
    pub(crate) fn failed(&mut self, now: Moment, retry_after: Duration) -> Moment {
        let at = now.after(retry_after);
        self.retry = Some(at);
        self.deadline = None;
        at
    }

    /// A run was cancelled. What it left is due already, so a deadline of its own would start it
    /// again at once; it waits for the tick, or for the look that rows made since then need.
    pub(crate) fn cancelled(&mut self, now: Moment) {
        self.retry = None;
        self.deadline = self
            .age
            .filter(|_| self.schedule.at_deadline)
            .map(|age| now.after(age.max(self.schedule.min_interval)));
    }

    /// Nothing is due until the resume.
    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    /// Ticks count from `now`. What is overdue is dropped, because the caller runs once right away.
    pub(crate) fn resume(&mut self, now: Moment) {
        self.paused = false;
        self.tick = self.first_tick(now);
        for plan in [&mut self.start, &mut self.deadline, &mut self.retry] {
            plan.take_if(|at| at.reached(now));
        }
    }

    /// Follows another schedule from `now` on.
    pub(crate) fn reschedule(&mut self, schedule: Schedule, now: Moment) {
        let wall = WallTicks::of(&schedule, now, self.jitter);
        self.wall = match (wall, &self.wall) {
            (Some(wall), Some(before)) if schedule.cron == self.schedule.cron => {
                Some(wall.seen_by(before))
            }
            (wall, _) => wall,
        };
        let learns_deadlines = schedule.at_deadline && !self.schedule.at_deadline;
        self.deadline = if learns_deadlines {
            Some(now.after(schedule.min_interval))
        } else {
            self.deadline.filter(|_| schedule.at_deadline)
        };
        self.start = self.start.filter(|_| schedule.at_start);
        self.schedule = schedule;
        self.tick = self.first_tick(now);
    }

    /// The first tick of one who begins to tick now.
    fn first_tick(&mut self, now: Moment) -> Option<Moment> {
        match &mut self.wall {
            Some(wall) => {
                wall.look(now);
                wall.next(now)
            }
            None => self.schedule.every.map(|every| now.after(every)),
        }
    }

    /// A plan as it is reached: a tick that follows the wall clock by that alone, all else by
    /// either clock.
    fn reached_as(&self, at: Moment, trigger: Trigger) -> Moment {
        if trigger == Trigger::Tick && self.wall.is_some() {
            at.by_wall()
        } else {
            at
        }
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
        if let (Some(tick), Some(wall)) = (self.tick, &self.wall) {
            if !tick.by_wall().reached(now) {
                return 0;
            }
            self.tick = wall.next(now);
            return wall.missed(tick.wall, now);
        }
        let (Some(tick), Some(every)) = (self.tick, self.schedule.every) else {
            return 0;
        };
        if !tick.reached(now) {
            return 0;
        }
        let late = tick.lateness(now).as_nanos();
        let every = every.as_nanos().max(1);
        // Both clocks are set from now: one that was corrected would otherwise reach the tick that
        // the other has just passed.
        let rest = Duration::from_nanos(saturated(every - late % every));
        self.tick = Some(now.after(rest));
        saturated(late / every)
    }
}

/// Ticks that follow the wall clock are at most this late when it is corrected, whichever way.
const LONGEST_WITHOUT_A_LOOK: Duration = Duration::from_secs(60);

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_job_starts_within_the_jitter_and_ticks_from_there() {
        let schedule = Schedule {
            start_jitter: seconds(8),
            ..schedule()
        };
        let mut agenda = Planner::new(schedule, at(0, 0), 0.25);

        let first = agenda.next();
        let start = agenda.take_due(at(2, 2));
        let second = agenda.next();

        assert_eq!(first, Some((at(2, 2), Trigger::Start)));
        assert_eq!(start, Some(due(Trigger::Start, 0)));
        assert_eq!(second, Some((at(62, 62), Trigger::Tick)));
    }

    #[test]
    fn a_job_with_every_part_off_never_runs_by_itself() {
        let mut agenda = Planner::new(messages_only(), at(0, 0), 0.0);
        agenda.completed(at(1, 1), Some(&forecast(Some(5), Some(5))));

        let taken = agenda.take_due(at(1_000_000, 1_000_000));

        assert_eq!(agenda.next(), None);
        assert_eq!(agenda.wait(at(0, 0)), None);
        assert_eq!(taken, None);
    }

    #[test]
    fn a_tick_beyond_the_calendar_is_not_shown() {
        let near_the_end = Moment {
            wall: DateTime::<Utc>::MAX_UTC - TimeDelta::seconds(90),
            mono: Duration::ZERO,
        };
        let every = Schedule {
            at_start: false,
            ..schedule()
        };
        let agenda = Planner::new(every, near_the_end, 0.0);

        let shown = agenda.ticks(5);

        assert_eq!(shown, [near_the_end.wall + TimeDelta::seconds(60)]);
        let at_the_end = Moment {
            wall: DateTime::<Utc>::MAX_UTC,
            ..near_the_end
        };
        let agenda = Planner::new(agenda.schedule, at_the_end, 0.0);
        assert!(agenda.ticks(5).is_empty());
    }

    #[test]
    fn what_goes_by_the_monotonic_clock_is_late_by_it_however_the_wall_was_set_back() {
        let mut agenda = ticking();
        let tick = agenda.promised(at(-3_600, 100)).expect("it ticks");
        agenda.completed(at(0, 0), Some(&forecast(Some(5), None)));
        let deadline = agenda.promised(at(-3_600, 100)).expect("a row");

        assert_eq!((tick.mono, deadline.mono), (seconds(60), seconds(5)));
    }

    #[test]
    fn what_is_due_together_is_one_run_for_the_weightiest_reason() {
        let table = [
            (at(3, 3), Some(due(Trigger::Retry, 0))),
            (at(60, 60), Some(due(Trigger::Tick, 0))),
        ];

        for (now, expected) in table {
            let mut agenda = ticking();
            agenda.completed(at(0, 0), Some(&forecast(Some(5), None)));
            agenda.retry = Some(at(2, 2));

            let taken = agenda.take_due(now);

            assert_eq!(taken, expected);
            assert_eq!(agenda.take_due(now), None);
        }
    }

    #[test]
    fn a_start_outweighs_a_tick_and_a_deadline_outweighs_a_retry() {
        let mut starting = Planner::new(schedule(), at(0, 0), 0.0);
        let mut waiting = ticking();
        waiting.completed(at(0, 0), Some(&forecast(Some(5), None)));
        waiting.retry = Some(at(5, 5));

        let taken = (starting.take_due(at(60, 60)), waiting.take_due(at(5, 5)));

        assert_eq!(
            taken,
            (
                Some(due(Trigger::Start, 0)),
                Some(due(Trigger::Deadline, 0))
            )
        );
    }

    #[test]
    fn a_run_does_what_start_deadline_and_retry_still_wanted() {
        let mut agenda = ticking();
        agenda.start = Some(at(100, 100));
        agenda.deadline = Some(at(100, 100));
        agenda.retry = Some(at(100, 100));

        agenda.take_due(at(60, 60));

        assert_eq!(agenda.take_due(at(110, 110)), None);
        assert_eq!(agenda.next(), Some((at(120, 120), Trigger::Tick)));
    }

    #[test]
    fn a_tick_that_is_served_late_does_not_move_the_ones_behind_it() {
        let mut agenda = ticking();

        let taken = agenda.take_due(at(67, 67));

        assert_eq!(taken, Some(due(Trigger::Tick, 0)));
        assert_eq!(agenda.next(), Some((at(120, 120), Trigger::Tick)));
    }

    #[test]
    fn a_suspended_machine_wakes_to_one_run_and_the_count_of_what_it_missed() {
        let mut agenda = ticking();

        let taken = agenda.take_due(at(60 * 5 + 10, 30));

        assert_eq!(taken, Some(due(Trigger::Tick, 4)));
        assert_eq!(agenda.wait(at(60 * 5 + 10, 30)), Some(seconds(50)));
    }

    #[test]
    fn a_clock_set_back_neither_delays_nor_repeats_a_tick() {
        let mut agenda = ticking();

        let early = agenda.take_due(at(-3_541, 59));
        let on_time = agenda.take_due(at(-3_540, 60));
        let caught_up = agenda.take_due(at(-3_481, 119));
        let corrected = agenda.take_due(at(-3_480, 120));

        assert_eq!(early, None);
        assert_eq!(on_time, Some(due(Trigger::Tick, 0)));
        assert_eq!(caught_up, None);
        assert_eq!(corrected, Some(due(Trigger::Tick, 0)));
    }

    #[test]
    fn a_clock_set_back_after_a_tick_does_not_bring_the_tick_again() {
        let mut agenda = ticking();
        agenda.take_due(at(60, 60));

        let again = agenda.take_due(at(60, 90));

        assert_eq!(again, None);
    }

    #[test]
    fn the_sleep_ends_with_the_first_plan_on_either_clock() {
        let mut agenda = ticking();
        agenda.completed(at(-3_550, 50), Some(&forecast(Some(20), None)));

        let (next, wait) = (agenda.next(), agenda.wait(at(-3_550, 50)));

        assert_eq!(next, Some((at(-3_530, 70), Trigger::Deadline)));
        assert_eq!(wait, Some(seconds(10)));
    }

    #[test]
    fn the_deadline_is_the_next_row_or_the_age_and_at_least_the_resolution_away() {
        let table = [
            (None, None, None),
            (Some(7), None, Some(7)),
            (None, Some(9), Some(9)),
            (Some(7), Some(9), Some(7)),
            (Some(9), Some(7), Some(7)),
            (Some(0), Some(9), Some(2)),
            (Some(9), Some(1), Some(2)),
        ];

        for (next_due, age, expected) in table {
            let mut agenda = Planner::new(
                Schedule {
                    every: None,
                    ..schedule()
                },
                at(0, 0),
                0.0,
            );
            agenda.take_due(at(0, 0));

            agenda.completed(at(100, 100), Some(&forecast(next_due, age)));

            let wait = agenda.wait(at(100, 100)).map(|wait| wait.as_secs());
            assert_eq!(wait, expected, "next due {next_due:?}, age {age:?}");
        }
    }

    #[test]
    fn a_run_that_could_not_look_ahead_leaves_no_deadline() {
        let mut agenda = ticking();
        agenda.completed(at(0, 0), Some(&forecast(Some(5), None)));

        agenda.completed(at(1, 1), None);

        assert_eq!(agenda.next(), Some((at(60, 60), Trigger::Tick)));
    }

    #[test]
    fn a_failed_run_is_tried_again_instead_of_its_deadline_until_one_completes() {
        let mut agenda = ticking();
        agenda.completed(at(0, 0), Some(&forecast(Some(5), None)));

        let retry = agenda.failed(at(1, 1), seconds(10));
        let planned = agenda.next();
        agenda.completed(at(3, 3), None);

        assert_eq!(retry, at(11, 11));
        assert_eq!(planned, Some((at(11, 11), Trigger::Retry)));
        assert_eq!(agenda.next(), Some((at(60, 60), Trigger::Tick)));
    }

    #[test]
    fn a_cancelled_run_waits_for_the_tick() {
        let mut agenda = ticking();
        agenda.completed(at(0, 0), Some(&forecast(Some(5), None)));

        agenda.cancelled(at(1, 1));

        assert_eq!(agenda.next(), Some((at(60, 60), Trigger::Tick)));
    }

    #[test]
    fn nothing_is_due_while_paused() {
        let mut agenda = ticking();

        agenda.pause();

        assert!(agenda.is_paused());
        assert_eq!(agenda.next(), None);
        assert_eq!(agenda.wait(at(0, 0)), None);
        assert_eq!(agenda.take_due(at(1_000, 1_000)), None);
    }

    #[test]
    fn a_resumed_job_owes_only_what_is_still_ahead() {
        let mut overdue = ticking();
        overdue.start = Some(at(10, 10));
        overdue.deadline = Some(at(11, 11));
        overdue.retry = Some(at(12, 12));
        let mut ahead = ticking();
        ahead.retry = Some(at(1_010, 1_010));

        for agenda in [&mut overdue, &mut ahead] {
            agenda.pause();
            agenda.resume(at(1_000, 1_000));
        }

        assert!(!overdue.is_paused());
        assert_eq!(overdue.take_due(at(1_000, 1_000)), None);
        assert_eq!(overdue.next(), Some((at(1_060, 1_060), Trigger::Tick)));
        assert_eq!(ahead.next(), Some((at(1_010, 1_010), Trigger::Retry)));
    }

    #[test]
    fn a_new_schedule_counts_from_now_and_drops_what_it_switches_off() {
        let mut agenda = ticking();
        agenda.start = Some(at(50, 50));
        agenda.deadline = Some(at(40, 40));
        agenda.retry = Some(at(55, 55));
        let mut kept = agenda.clone();
        let faster = Schedule {
            every: Some(seconds(45)),
            ..schedule()
        };

        agenda.reschedule(messages_only(), at(10, 10));
        kept.reschedule(faster.clone(), at(10, 10));

        assert_eq!(agenda.next(), Some((at(55, 55), Trigger::Retry)));
        assert_eq!((agenda.start, agenda.deadline), (None, None));
        assert_eq!(kept.schedule(), &faster);
        assert_eq!(kept.tick, Some(at(55, 55)));
        assert_eq!(kept.start, Some(at(50, 50)));
        assert_eq!(kept.deadline, Some(at(40, 40)));
    }

    #[test]
    fn a_new_schedule_does_not_end_a_pause() {
        let mut agenda = ticking();
        agenda.pause();

        agenda.reschedule(schedule(), at(10, 10));

        assert_eq!(agenda.take_due(at(1_000, 1_000)), None);
    }

    proptest! {
        #[test]
        fn replicas_started_together_stay_apart_by_as_much_as_their_jitter(
            replicas in 2..50_u32,
            start_jitter in 1..600_u64,
            ticks in 0..20,
        ) {
            let schedule = Schedule {
                start_jitter: seconds(start_jitter),
                every: Some(seconds(900)),
                ..schedule()
            };
            let agendas = (0..replicas).map(|place| {
                let jitter = f64::from(place) / f64::from(replicas);
                Planner::new(schedule.clone(), at(0, 0), jitter)
            });

            let runs = agendas.map(|mut agenda| {
                for _ in 0..ticks {
                    let (next, _) = agenda.next().expect("a run is ahead");
                    agenda.take_due(next);
                }
                agenda.next().expect("a run is ahead").0.mono
            });

            let runs: Vec<Duration> = runs.collect();
            let share = seconds(start_jitter) / replicas;
            for pair in runs.windows(2) {
                let apart = pair[1].abs_diff(pair[0]);
                // Rounded to nanoseconds.
                prop_assert!(apart.abs_diff(share) < Duration::from_micros(1), "{apart:?} for {share:?}");
            }
        }

        #[test]
        fn ticks_agree_with_a_walk_along_the_grid(
            every in 1..100_i64,
            steps in prop::collection::vec(step(), 1..100),
        ) {
            let mut agenda = ticking_every(every);
            let (mut wall, mut mono, mut leapt) = (0, 0, 0);
            let (mut tick_by_wall, mut tick_by_mono) = (every, every);
            let mut counted = 0;

            for step in steps {
                match step {
                    Step::BatchRequest(wait) => (wall, mono) = (wall + wait, mono + wait),
                    Step::Leap(wait) => (wall, leapt) = (wall + wait, leapt + wait),
                    Step::SetBack(wait) => wall -= wait,
                }
                let mut late = (wall - tick_by_wall).max(mono - tick_by_mono);
                let mut places: u64 = 0;
                while late >= 0 {
                    late -= every;
                    places += 1;
                }
                if places > 0 {
                    (tick_by_wall, tick_by_mono) = (wall - late, mono - late);
                }
                counted += places;
                let now = at(wall, mono.unsigned_abs());

                let taken = agenda.take_due(now);

                let expected = places.checked_sub(1).map(|missed| due(Trigger::Tick, missed));
                prop_assert_eq!(taken, expected);
                prop_assert_eq!(agenda.take_due(now), None, "one tick ran twice");
                let wait = agenda.wait(now).map(|wait| wait.as_secs());
                prop_assert!((1..=every.unsigned_abs()).contains(&wait.unwrap_or(0)), "{wait:?}");
                // Whatever the wall clock does: no interval that passed is lost, and none is
                // counted that did not pass on any clock.
                prop_assert!(counted >= (mono / every).unsigned_abs());
                prop_assert!(counted <= ((mono + leapt) / every).unsigned_abs());
            }
        }

        #[test]
        fn what_is_taken_was_waited_for_whatever_happens(
            every in 1..100_i64,
            acts in prop::collection::vec(act(), 1..100),
        ) {
            let mut agenda = ticking_every(every);
            let (mut wall, mut mono) = (0, 0);

            for act in acts {
                let now = at(wall, mono);
                match act {
                    Act::Time(Step::BatchRequest(wait)) => (wall, mono) = (wall + wait, mono + wait.unsigned_abs()),
                    Act::Time(Step::Leap(wait)) => wall += wait,
                    Act::Time(Step::SetBack(wait)) => wall -= wait,
                    Act::Complete(next_due, age) => agenda.completed(now, Some(&forecast(next_due, age))),
                    Act::Fail(wait) => {
                        agenda.failed(now, seconds(wait));
                    }
                    Act::Cancel => agenda.cancelled(now),
                    Act::Pause => agenda.pause(),
                    Act::Resume => agenda.resume(now),
                }
                let now = at(wall, mono);
                let (wait, paused) = (agenda.wait(now), agenda.is_paused());

                let taken = agenda.take_due(now);

                prop_assert_eq!(taken.is_some(), wait == Some(Duration::ZERO));
                prop_assert_eq!(wait.is_none(), paused);
                prop_assert_eq!(agenda.next().is_none(), paused);
                prop_assert!(wait <= Some(seconds(every.unsigned_abs())), "{wait:?}");
                prop_assert_eq!(agenda.take_due(now), None, "one run was taken twice");
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Time passes on both clocks.
        BatchRequest(i64),
        /// The machine was suspended, or its clock was set forward.
        Leap(i64),
        SetBack(i64),
    }

    #[derive(Debug, Clone)]
    enum Act {
        Time(Step),
        Complete(Option<u64>, Option<u64>),
        Fail(u64),
        Cancel,
        Pause,
        Resume,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..60_i64).prop_map(Step::BatchRequest),
            1 => (0..600_i64).prop_map(Step::BatchRequest),
            1 => (0..600_i64).prop_map(Step::Leap),
            1 => (0..600_i64).prop_map(Step::SetBack),
        ]
    }

    fn act() -> impl Strategy<Value = Act> {
        let wait = || prop::option::of(0..100_u64);
        prop_oneof![
            6 => step().prop_map(Act::Time),
            2 => (wait(), wait()).prop_map(|(next_due, age)| Act::Complete(next_due, age)),
            1 => (0..100_u64).prop_map(Act::Fail),
            1 => Just(Act::Cancel),
            1 => Just(Act::Pause),
            1 => Just(Act::Resume),
        ]
    }

    /// Ticks each minute and starts without jitter; deadlines keep two seconds' distance.
    fn schedule() -> Schedule {
        Schedule {
            every: Some(seconds(60)),
            cron: None,
            at_start: true,
            start_jitter: Duration::ZERO,
            at_deadline: true,
            min_interval: seconds(2),
        }
    }

    fn messages_only() -> Schedule {
        Schedule {
            every: None,
            at_start: false,
            at_deadline: false,
            ..schedule()
        }
    }

    fn ticking() -> Planner {
        ticking_every(60)
    }

    fn ticking_every(every: i64) -> Planner {
        let schedule = Schedule {
            every: Some(seconds(every.unsigned_abs())),
            at_start: false,
            ..schedule()
        };
        Planner::new(schedule, at(0, 0), 0.0)
    }

    fn forecast(next_due: Option<u64>, age: Option<u64>) -> Forecast {
        Forecast {
            next_due: next_due.map(seconds),
            max_age: age.map(seconds),
            ..Forecast::default()
        }
    }

    fn due(trigger: Trigger, missed: u64) -> Due {
        Due { trigger, missed }
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
