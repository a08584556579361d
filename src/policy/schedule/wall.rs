//! Ticks that follow the wall clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::Schedule;
use crate::config::cron::Calendar;
use crate::time::{Moment, distance};

/// The ticks of a cron expression, each put off by the same draw.
#[derive(Debug, Clone)]
pub(super) struct WallTicks {
    calendar: Calendar,
    /// Drawn once: replicas would otherwise tick together for ever.
    offset: TimeDelta,
    /// The latest that the wall clock was seen to show. Ticks up to here were served, or merged.
    seen: DateTime<Utc>,
}

impl WallTicks {
    /// The ticks of a schedule that has a cron, from `now` on. `jitter` is drawn from 0 to 1.
    pub(super) fn of(schedule: &Schedule, now: Moment, jitter: f64) -> Option<Self> {
        let offset = schedule.start_jitter.mul_f64(jitter);
        // Timers count in milliseconds, and people read these instants.
        let offset = Duration::from_millis(u64::try_from(offset.as_millis()).unwrap_or(u64::MAX));
        Some(Self {
            // It was checked at the door.
            calendar: Calendar::of(schedule.cron.as_ref()?).ok()?,
            offset: TimeDelta::from_std(offset).ok()?,
            seen: now.wall,
        })
    }

    /// The first tick that is not served yet.
    pub(super) fn next(&self, now: Moment) -> Option<Moment> {
        let tick = self.after(self.seen.max(now.wall))?;
        Some(now.after(distance(now.wall, tick)))
    }

    /// Looks at the clock. Returns whether it was set back so far that ticks are to be followed
    /// once more.
    pub(super) fn look(&mut self, now: Moment) -> bool {
        let set_back = distance(now.wall, self.seen);
        if set_back >= FOLLOWED {
            self.seen = now.wall;
            return true;
        }
        self.seen = self.seen.max(now.wall);
        false
    }

    /// Takes over what another one has seen, if both mean the same ticks. They may be put off by
    /// another draw.
    pub(super) fn seen_by(self, other: &Self) -> Self {
        let later = self.offset - other.offset;
        let seen = other.seen.checked_add_signed(later).unwrap_or(other.seen);
        Self { seen, ..self }
    }

    /// How many ticks there are after `tick`, up to `now`. Beyond [`MOST_COUNTED`] none is counted.
    pub(super) fn missed(&self, tick: DateTime<Utc>, now: Moment) -> u64 {
        let passed = self.ticks(tick).take_while(|tick| *tick <= now.wall);
        passed.take(MOST_COUNTED).count() as u64
    }

    /// Ticks strictly after an instant, in order.
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

/// A clock that is set back by less waits until it is past what was served; one that is set back by
/// more starts afresh, as with cron(8).
const FOLLOWED: Duration = Duration::from_secs(3 * 60 * 60);

/// Missed ticks that are counted one by one; a year of seconds must not keep the housekeeper.
const MOST_COUNTED: usize = 1_000;

#[cfg(all(test, feature = "cron"))]
mod tests {
    use proptest::prelude::*;

    use super::super::{Due, Planner};
    use super::*;
    use crate::config::cron::Cron;
    use crate::model::Trigger;

    #[test]
    fn all_ticks_are_put_off_by_the_draw_of_the_start() {
        let schedule = Schedule {
            at_start: true,
            start_jitter: seconds(8),
            ..nightly()
        };
        let begun = at("01-10T12:00", 0);
        let mut agenda = Planner::new(schedule, begun, 0.25);

        let start = agenda.next();
        agenda.take_due(begun.after(seconds(2)));
        let ticks = agenda.ticks(2);
        let early = agenda.take_due(at("01-11T01:30", 3));

        assert_eq!(start, Some((begun.after(seconds(2)), Trigger::Start)));
        assert_eq!(
            ticks,
            [wall("01-11T01:30"), wall("01-12T01:30")].map(|tick| tick + seconds(2))
        );
        assert_eq!(early, None);
        let on_time = Moment {
            wall: ticks[0],
            mono: seconds(4),
        };
        assert_eq!(agenda.take_due(on_time), due(0));
    }

    #[test]
    fn a_tick_that_is_put_off_is_still_ahead_after_its_time() {
        let schedule = Schedule {
            start_jitter: seconds(8),
            ..nightly()
        };
        let between = at("01-11T01:30", 0).after(seconds(1));

        let agenda = Planner::new(schedule, between, 0.25);

        assert_eq!(agenda.ticks(1), [wall("01-11T01:30") + seconds(2)]);
    }

    #[test]
    fn a_clock_that_begins_before_the_calendar_ticks_when_it_is_right() {
        let before = Moment {
            wall: DateTime::<Utc>::MIN_UTC,
            mono: seconds(0),
        };
        let mut agenda = Planner::new(by("*/15 * * * *"), before, 0.0);

        let shown = agenda.ticks(5);
        agenda.look(at("01-10T12:20", 20));

        assert!(shown.is_empty());
        assert_eq!(agenda.ticks(1), [wall("01-10T12:30")]);
    }

    #[test]
    fn a_tick_is_reached_by_the_wall_clock_alone() {
        let mut agenda = quarterly("01-10T12:00");

        let by_the_other = agenda.take_due(at("01-10T12:14", 100_000));
        let by_the_wall = agenda.take_due(at("01-10T12:15", 0));

        assert_eq!((by_the_other, by_the_wall), (None, due(0)));
    }

    #[test]
    fn the_sleep_is_short_enough_to_notice_a_corrected_clock() {
        let mut agenda = Planner::new(nightly(), at("01-10T12:00", 0), 0.0);

        let far = agenda.wait(at("01-10T12:00", 0));
        let near = agenda.wait(at("01-11T01:29", 0).after(seconds(50)));
        agenda.pause();

        assert_eq!((far, near), (Some(seconds(60)), Some(seconds(10))));
        assert_eq!(agenda.wait(at("01-11T01:30", 0)), None);
        assert!(agenda.ticks(5).is_empty());
    }

    #[test]
    fn a_clock_set_back_by_less_than_three_hours_waits_and_one_set_back_by_more_is_followed() {
        let table = [
            ("01-10T12:14", ["01-10T12:30", "01-10T12:45"]),
            ("01-10T10:00", ["01-10T12:30", "01-10T12:45"]),
            ("01-10T09:21", ["01-10T12:30", "01-10T12:45"]),
            ("01-10T09:20", ["01-10T09:30", "01-10T09:45"]),
            ("01-09T23:59", ["01-10T00:00", "01-10T00:15"]),
        ];

        for (set_back, ticks) in table {
            let mut agenda = quarterly("01-10T12:00");
            agenda.take_due(at("01-10T12:20", 20 * 60));

            let taken = agenda.take_due(at(set_back, 21 * 60));

            assert_eq!(taken, None, "{set_back}");
            assert_eq!(agenda.ticks(2), ticks.map(wall), "{set_back}");
        }
    }

    #[test]
    fn a_clock_set_back_in_steps_is_followed_when_they_add_up() {
        let mut agenda = quarterly("01-10T12:00");
        agenda.look(at("01-10T12:10", 0));

        agenda.look(at("01-10T10:10", 0));
        let waits = agenda.ticks(1);
        agenda.look(at("01-10T09:10", 0));

        assert_eq!(waits, [wall("01-10T12:15")]);
        assert_eq!(agenda.ticks(1), [wall("01-10T09:15")]);
    }

    #[test]
    fn a_suspended_machine_wakes_to_one_run_and_the_count_of_what_it_missed() {
        let mut agenda = quarterly("01-10T12:00");

        let taken = agenda.take_due(at("01-10T14:05", 30));

        assert_eq!(taken, due(7));
        assert_eq!(agenda.ticks(1), [wall("01-10T14:15")]);
    }

    #[test]
    fn a_year_of_missed_seconds_is_counted_to_a_thousand() {
        let mut agenda = Planner::new(by("* * * * * *"), at("01-10T12:00", 0), 0.0);
        let asleep = TimeDelta::days(365);

        let woken = Moment {
            wall: wall("01-10T12:00") + asleep,
            mono: seconds(5),
        };
        let taken = agenda.take_due(woken);

        assert_eq!(taken, due(1_000));
        assert_eq!(agenda.ticks(1), [woken.wall + seconds(1)]);
    }

    #[test]
    fn the_hour_that_comes_twice_is_missed_twice() {
        let mut agenda = Planner::new(berlin("*/30 * * * *"), at("10-24T23:50", 0), 0.0);

        let taken = agenda.take_due(at("10-25T02:05", 0));

        // 02:00, 02:30, 02:00, 02:30 and 03:00.
        assert_eq!(taken, due(4));
    }

    #[test]
    fn five_ticks_are_shown_over_a_change_of_clocks() {
        let agenda = Planner::new(nightly(), at("03-27T12:00", 0), 0.0);

        let shown = [
            "03-28T01:30",
            "03-29T01:00",
            "03-30T00:30",
            "03-31T00:30",
            "04-01T00:30",
        ];
        assert_eq!(agenda.ticks(5), shown.map(wall));
    }

    #[test]
    fn a_resume_and_a_schedule_with_the_same_cron_repeat_no_tick_after_a_clock_set_back() {
        let mut agenda = quarterly("01-10T12:00");
        agenda.take_due(at("01-10T12:20", 0));
        let set_back = at("01-10T12:10", 0);

        agenda.pause();
        agenda.resume(set_back);
        let resumed = agenda.ticks(1);
        let same = Schedule {
            min_interval: seconds(5),
            ..by("*/15 * * * *")
        };
        agenda.reschedule(same, set_back);
        let same = agenda.ticks(1);
        agenda.reschedule(by("* * * * *"), set_back);
        let other = agenda.ticks(1);

        assert_eq!(
            (resumed, same),
            (vec![wall("01-10T12:30")], vec![wall("01-10T12:30")])
        );
        assert_eq!(other, [wall("01-10T12:11")]);
    }

    #[test]
    fn another_jitter_repeats_no_tick_that_was_served() {
        let put_off = |by| Schedule {
            start_jitter: seconds(by),
            ..nightly()
        };
        let mut agenda = Planner::new(put_off(1), at("01-10T12:00", 0), 0.5);
        let night = at("01-11T01:30", 0).after(Duration::from_millis(500));
        agenda.take_due(night);

        agenda.reschedule(put_off(20), night.after(seconds(5)));

        assert_eq!(agenda.ticks(1), [wall("01-12T01:30") + seconds(10)]);
    }

    #[test]
    fn a_schedule_is_changed_to_cron_and_back() {
        let every = Schedule {
            every: Some(seconds(600)),
            cron: None,
            ..nightly()
        };
        let mut agenda = Planner::new(every.clone(), at("01-10T12:00", 0), 0.0);

        agenda.reschedule(nightly(), at("01-10T12:01", 60));
        let to_cron = (agenda.take_due(at("01-10T12:30", 1_800)), agenda.ticks(1));
        agenda.reschedule(every, at("01-10T12:30", 1_800));
        let back = agenda.ticks(2);

        assert_eq!(to_cron, (None, vec![wall("01-11T01:30")]));
        assert_eq!(back, ["01-10T12:40", "01-10T12:50"].map(wall));
        assert_eq!(agenda.take_due(at("01-10T12:31", 2_400)), due(0));
    }

    #[test]
    fn a_tick_that_was_taken_is_not_repeated_and_the_next_is_not_lost_when_the_same_schedule_comes_again()
     {
        let schedule = Schedule {
            start_jitter: seconds(1_200),
            ..by("*/15 * * * *")
        };
        // Each tick is put off by ten minutes.
        let mut agenda = Planner::new(schedule.clone(), at("01-10T12:00", 0), 0.5);
        let taken = agenda.take_due(at("01-10T12:25", 1_500));

        agenda.reschedule(schedule, at("01-10T12:26", 1_560));

        assert_eq!(taken, due(1));
        assert_eq!(agenda.ticks(1), [wall("01-10T12:40")]);
    }

    #[test]
    fn a_clock_at_the_end_of_the_calendar_ticks_again_when_it_is_corrected() {
        let mut agenda = quarterly("01-10T12:00");
        let end = Moment {
            wall: DateTime::<Utc>::MAX_UTC,
            mono: seconds(10),
        };

        let at_the_end = agenda.take_due(end);
        let (wait, shown) = (agenda.wait(end), agenda.ticks(5));
        agenda.look(at("01-10T12:20", 20));

        assert_eq!(at_the_end.map(|due| due.trigger), Some(Trigger::Tick));
        assert_eq!((wait, shown), (Some(seconds(60)), vec![]));
        assert_eq!(agenda.ticks(1), [wall("01-10T12:30")]);
    }

    #[test]
    fn a_tick_is_late_when_both_clocks_say_so() {
        let agenda = quarterly("01-10T12:00");
        let late = |now: Moment| {
            let promised = agenda.promised(now).expect("it ticks");
            now.mono.saturating_sub(promised.mono)
        };

        let seen = [
            late(at("01-10T12:25", 25 * 60)),
            // Set forward, and set back.
            late(at("01-10T18:00", 16 * 60)),
            late(at("01-10T12:20", 60 * 60)),
            late(at("01-10T11:00", 60 * 60)),
        ];

        assert_eq!(seen.map(|late| late.as_secs() / 60), [10, 1, 5, 0]);
    }

    #[test]
    fn two_ticks_take_as_long_as_they_do_from_there() {
        let nightly = Planner::new(nightly(), at("03-27T12:00", 0), 0.0);

        let two = nightly.two_ticks(at("03-28T01:30", 0));

        // Over a change of clocks.
        assert_eq!(two, Some(seconds(47 * 60 * 60)));
        assert_eq!(
            quarterly("03-27T12:00").two_ticks(at("03-27T12:10", 0)),
            Some(seconds(20 * 60))
        );
    }

    proptest! {
        #[test]
        fn replicas_tick_apart_by_as_much_as_their_jitter(replicas in 2..20_u32, start_jitter in 1..600_u64) {
            let schedule = Schedule { start_jitter: seconds(start_jitter), ..nightly() };

            let ticks: Vec<_> = (0..replicas)
                .map(|place| {
                    let jitter = f64::from(place) / f64::from(replicas);
                    Planner::new(schedule.clone(), at("01-10T12:00", 0), jitter).ticks(1)[0]
                })
                .collect();

            let share = seconds(start_jitter) / replicas;
            for pair in ticks.windows(2) {
                let apart = distance(pair[0], pair[1]);
                prop_assert!(apart.abs_diff(share) <= Duration::from_millis(1), "{apart:?} for {share:?}");
            }
        }

        /// The plainest model of a clock that is looked at: quarters of an hour that it passed for
        /// the first time.
        #[test]
        fn ticks_agree_with_a_walk_along_the_clock(steps in prop::collection::vec(step(), 1..100)) {
            let mut agenda = quarterly("01-10T12:00");
            let start = wall("01-10T12:00").timestamp() / 60;
            let (mut now, mut seen) = (start, start);

            for step in steps {
                now += step;
                let moment = Moment {
                    wall: DateTime::from_timestamp(now * 60, 0).expect("is near"),
                    mono: seconds(0),
                };
                let mut passed = 0;
                if now <= seen - 180 {
                    seen = now;
                }
                while seen < now {
                    seen += 1;
                    passed += u64::from(seen % 15 == 0);
                }
                let wait = agenda.wait(moment);

                let taken = agenda.take_due(moment);

                prop_assert_eq!(taken, passed.checked_sub(1).and_then(due));
                prop_assert_eq!(taken.is_some(), wait == Some(Duration::ZERO));
                prop_assert_eq!(agenda.take_due(moment), None, "one tick ran twice");
            }
        }
    }

    /// Minutes that pass, in which the machine sleeps, or by which the clock is set back.
    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![6 => 0..20_i64, 1 => 0..900_i64, 1 => -179..0_i64, 1 => -2_000..0_i64]
    }

    fn quarterly(from: &str) -> Planner {
        Planner::new(by("*/15 * * * *"), at(from, 0), 0.0)
    }

    fn nightly() -> Schedule {
        berlin("30 2 * * *")
    }

    fn berlin(expression: &str) -> Schedule {
        let cron = Cron::new(expression).in_zone("Europe/Berlin");
        Schedule {
            cron: Some(cron),
            ..by(expression)
        }
    }

    fn by(expression: &str) -> Schedule {
        Schedule {
            at_start: false,
            ..Schedule::cron(expression)
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "compared with what is taken")]
    fn due(missed: u64) -> Option<Due> {
        let trigger = Trigger::Tick;
        Some(Due { trigger, missed })
    }

    /// A minute of 2026 on the wall clock, and seconds on the monotonic one.
    fn at(minute: &str, mono: u64) -> Moment {
        Moment {
            wall: wall(minute),
            mono: seconds(mono),
        }
    }

    fn wall(minute: &str) -> DateTime<Utc> {
        format!("2026-{minute}:00Z").parse().expect("is an instant")
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }
}
