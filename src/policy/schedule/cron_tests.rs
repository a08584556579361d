//! Ticks of a cron expression.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::tests::{pause, wait};
use super::{Due, Planner};
use crate::config::Schedule;
use crate::config::cron::Cron;
use crate::model::Trigger;
use crate::time::Moment;

#[test]
fn cron_ticks_are_delayed_by_the_jitter_of_the_start() {
    let schedule = Schedule {
        at_start: true,
        start_jitter: seconds(8),
        ..nightly()
    };
    let begun = at("01-10T12:00", 0);
    let mut planner = Planner::new(schedule, begun, 0.25);

    let start = planner.next();
    planner.take_due(begun.after(seconds(2)));
    let ticks = planner.next_ticks(2);
    let early = planner.take_due(at("01-11T01:30", 3));

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
    assert_eq!(planner.take_due(on_time), due(0));
}

#[test]
fn a_delayed_tick_is_still_ahead_after_its_time() {
    let schedule = Schedule {
        start_jitter: seconds(8),
        ..nightly()
    };
    let between = at("01-11T01:30", 0).after(seconds(1));

    let planner = Planner::new(schedule, between, 0.25);

    assert_eq!(planner.next_ticks(1), [wall("01-11T01:30") + seconds(2)]);
}

#[test]
fn a_clock_before_the_calendar_ticks_once_corrected() {
    let before = Moment {
        wall: DateTime::<Utc>::MIN_UTC,
        mono: seconds(0),
    };
    let mut planner = Planner::new(by("*/15 * * * *"), before, 0.0);

    let shown = planner.next_ticks(5);
    planner.observe(at("01-10T12:20", 20));

    assert!(shown.is_empty());
    assert_eq!(planner.next_ticks(1), [wall("01-10T12:30")]);
}

#[test]
fn a_cron_tick_is_reached_by_the_wall_clock_alone() {
    let mut planner = quarterly("01-10T12:00");

    let by_mono = planner.take_due(at("01-10T12:14", 100_000));
    let by_wall = planner.take_due(at("01-10T12:15", 0));

    assert_eq!((by_mono, by_wall), (None, due(0)));
}

#[test]
fn the_wait_is_short_enough_to_notice_a_corrected_clock() {
    let mut planner = Planner::new(nightly(), at("01-10T12:00", 0), 0.0);

    let far = wait(&planner, at("01-10T12:00", 0));
    let near = wait(&planner, at("01-11T01:29", 0).after(seconds(50)));
    planner.pause(pause(), at("01-10T12:00", 0));

    assert_eq!((far, near), (Some(seconds(60)), Some(seconds(10))));
    assert_eq!(wait(&planner, at("01-11T01:30", 0)), None);
    assert!(planner.next_ticks(5).is_empty());
}

#[test]
fn a_clock_set_back_by_three_hours_or_more_starts_afresh() {
    let table = [
        ("01-10T12:14", ["01-10T12:30", "01-10T12:45"]),
        ("01-10T10:00", ["01-10T12:30", "01-10T12:45"]),
        ("01-10T09:21", ["01-10T12:30", "01-10T12:45"]),
        ("01-10T09:20", ["01-10T09:30", "01-10T09:45"]),
        ("01-09T23:59", ["01-10T00:00", "01-10T00:15"]),
    ];

    for (set_back, ticks) in table {
        let mut planner = quarterly("01-10T12:00");
        planner.take_due(at("01-10T12:20", 20 * 60));

        let taken = planner.take_due(at(set_back, 21 * 60));

        assert_eq!(taken, None, "{set_back}");
        assert_eq!(planner.next_ticks(2), ticks.map(wall), "{set_back}");
    }
}

#[test]
fn small_set_backs_add_up_until_ticks_start_afresh() {
    let mut planner = quarterly("01-10T12:00");
    planner.observe(at("01-10T12:10", 0));

    planner.observe(at("01-10T10:10", 0));
    let waits = planner.next_ticks(1);
    planner.observe(at("01-10T09:10", 0));

    assert_eq!(waits, [wall("01-10T12:15")]);
    assert_eq!(planner.next_ticks(1), [wall("01-10T09:15")]);
}

#[test]
fn a_suspended_machine_runs_once_and_counts_missed_cron_ticks() {
    let mut planner = quarterly("01-10T12:00");

    let taken = planner.take_due(at("01-10T14:05", 30));

    assert_eq!(taken, due(7));
    assert_eq!(planner.next_ticks(1), [wall("01-10T14:15")]);
}

#[test]
fn missed_ticks_are_counted_to_a_thousand() {
    let mut planner = Planner::new(by("* * * * * *"), at("01-10T12:00", 0), 0.0);
    let asleep = TimeDelta::days(365);

    let woken = Moment {
        wall: wall("01-10T12:00") + asleep,
        mono: seconds(5),
    };
    let taken = planner.take_due(woken);

    assert_eq!(taken, due(1_000));
    assert_eq!(planner.next_ticks(1), [woken.wall + seconds(1)]);
}

#[test]
fn a_repeated_hour_is_missed_twice() {
    let mut planner = Planner::new(berlin("*/30 * * * *"), at("10-24T23:50", 0), 0.0);

    let taken = planner.take_due(at("10-25T02:05", 0));

    // 02:00, 02:30, 02:00, 02:30 and 03:00.
    assert_eq!(taken, due(4));
}

#[test]
fn five_ticks_are_listed_over_a_change_of_clocks() {
    let planner = Planner::new(nightly(), at("03-27T12:00", 0), 0.0);

    let shown = [
        "03-28T01:30",
        "03-29T01:00",
        "03-30T00:30",
        "03-31T00:30",
        "04-01T00:30",
    ];
    assert_eq!(planner.next_ticks(5), shown.map(wall));
}

#[test]
fn a_resume_or_the_same_cron_repeats_no_tick_after_a_set_back() {
    let mut planner = quarterly("01-10T12:00");
    planner.take_due(at("01-10T12:20", 0));
    let set_back = at("01-10T12:10", 0);

    planner.pause(pause(), set_back);
    planner.resume(set_back);
    let resumed = planner.next_ticks(1);
    let same = Schedule {
        min_interval: seconds(5),
        ..by("*/15 * * * *")
    };
    planner.reschedule(same, set_back);
    let same = planner.next_ticks(1);
    planner.reschedule(by("* * * * *"), set_back);
    let other = planner.next_ticks(1);

    assert_eq!(
        (resumed, same),
        (vec![wall("01-10T12:30")], vec![wall("01-10T12:30")])
    );
    assert_eq!(other, [wall("01-10T12:11")]);
}

#[test]
fn another_jitter_repeats_no_served_tick() {
    let delayed = |by| Schedule {
        start_jitter: seconds(by),
        ..nightly()
    };
    let mut planner = Planner::new(delayed(1), at("01-10T12:00", 0), 0.5);
    let night = at("01-11T01:30", 0).after(Duration::from_millis(500));
    planner.take_due(night);

    planner.reschedule(delayed(20), night.after(seconds(5)));

    assert_eq!(planner.next_ticks(1), [wall("01-12T01:30") + seconds(10)]);
}

#[test]
fn a_schedule_is_changed_to_cron_and_back() {
    let every = Schedule {
        every: Some(seconds(600)),
        cron: None,
        ..nightly()
    };
    let mut planner = Planner::new(every.clone(), at("01-10T12:00", 0), 0.0);

    planner.reschedule(nightly(), at("01-10T12:01", 60));
    let to_cron = (
        planner.take_due(at("01-10T12:30", 1_800)),
        planner.next_ticks(1),
    );
    planner.reschedule(every, at("01-10T12:30", 1_800));
    let back = planner.next_ticks(2);

    assert_eq!(to_cron, (None, vec![wall("01-11T01:30")]));
    assert_eq!(back, ["01-10T12:40", "01-10T12:50"].map(wall));
    assert_eq!(planner.take_due(at("01-10T12:31", 2_400)), due(0));
}

#[test]
fn the_same_schedule_again_neither_repeats_nor_loses_a_tick() {
    let schedule = Schedule {
        start_jitter: seconds(1_200),
        ..by("*/15 * * * *")
    };
    // Delays each tick by ten minutes.
    let mut planner = Planner::new(schedule.clone(), at("01-10T12:00", 0), 0.5);
    let taken = planner.take_due(at("01-10T12:25", 1_500));

    planner.reschedule(schedule, at("01-10T12:26", 1_560));

    assert_eq!(taken, due(1));
    assert_eq!(planner.next_ticks(1), [wall("01-10T12:40")]);
}

#[test]
fn a_clock_at_the_end_of_the_calendar_ticks_once_corrected() {
    let mut planner = quarterly("01-10T12:00");
    let end = Moment {
        wall: DateTime::<Utc>::MAX_UTC,
        mono: seconds(10),
    };

    let at_the_end = planner.take_due(end);
    let (wait, shown) = (wait(&planner, end), planner.next_ticks(5));
    planner.observe(at("01-10T12:20", 20));

    assert_eq!(at_the_end.map(|due| due.trigger), Some(Trigger::Tick));
    assert_eq!((wait, shown), (Some(seconds(60)), vec![]));
    assert_eq!(planner.next_ticks(1), [wall("01-10T12:30")]);
}

#[test]
fn a_cron_tick_is_late_when_both_clocks_say_so() {
    let planner = quarterly("01-10T12:00");
    let late = |now: Moment| {
        let late_from = planner.late_from(now).expect("it ticks");
        now.mono.saturating_sub(late_from.mono)
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
fn two_cron_ticks_are_measured_on_the_calendar() {
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
    fn replicas_tick_apart_by_their_jitter(replicas in 2..20_u32, start_jitter in 1..600_u64) {
        let schedule = Schedule { start_jitter: seconds(start_jitter), ..nightly() };

        let ticks: Vec<_> = (0..replicas)
            .map(|place| {
                let jitter = f64::from(place) / f64::from(replicas);
                Planner::new(schedule.clone(), at("01-10T12:00", 0), jitter).next_ticks(1)[0]
            })
            .collect();

        let share = seconds(start_jitter) / replicas;
        for pair in ticks.windows(2) {
            let apart = crate::time::until(pair[0], pair[1]);
            prop_assert!(apart.abs_diff(share) <= Duration::from_millis(1), "{apart:?} for {share:?}");
        }
    }

    /// Models an observed clock plainly: counts the quarters of an hour that it passes for the
    /// first time.
    #[test]
    fn cron_ticks_agree_with_a_walk_along_the_clock(steps in prop::collection::vec(step(), 1..100)) {
        let mut planner = quarterly("01-10T12:00");
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
            let wait = wait(&planner, moment);

            let taken = planner.take_due(moment);

            prop_assert_eq!(taken, passed.checked_sub(1).and_then(due));
            prop_assert_eq!(taken.is_some(), wait == Some(Duration::ZERO));
            prop_assert_eq!(planner.take_due(moment), None, "one tick ran twice");
        }
    }
}

/// Minutes that pass, that the machine sleeps, or by which the wall clock is set back.
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

/// Takes a minute of 2026 on the wall clock and seconds on the monotonic clock.
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
