//! Starts, intervals, deadlines and retries.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

#[test]
fn a_job_starts_within_the_jitter_and_ticks_from_there() {
    let schedule = Schedule {
        start_jitter: seconds(8),
        ..schedule()
    };
    let mut planner = Planner::new(schedule, at(0, 0), 0.25);

    let first = planner.next();
    let start = planner.take_due(at(2, 2));
    let second = planner.next();

    assert_eq!(first, Some((at(2, 2), Trigger::Start)));
    assert_eq!(start, Some(due(Trigger::Start, 0)));
    assert_eq!(second, Some((at(62, 62), Trigger::Tick)));
}

#[test]
fn a_schedule_with_every_part_off_plans_nothing() {
    let mut planner = Planner::new(messages_only(), at(0, 0), 0.0);
    planner.completed(at(1, 1), Some(&forecast(Some(5), Some(5))));

    let taken = planner.take_due(at(1_000_000, 1_000_000));

    assert_eq!(planner.next(), None);
    assert_eq!(wait(&planner, at(0, 0)), None);
    assert_eq!(taken, None);
}

#[test]
fn ticks_beyond_the_calendar_are_not_listed() {
    let near_the_end = Moment {
        wall: DateTime::<Utc>::MAX_UTC - TimeDelta::seconds(90),
        mono: Duration::ZERO,
    };
    let every = Schedule {
        at_start: false,
        ..schedule()
    };
    let planner = Planner::new(every, near_the_end, 0.0);

    let shown = planner.next_ticks(5);

    assert_eq!(shown, [near_the_end.wall + TimeDelta::seconds(60)]);
    let at_the_end = Moment {
        wall: DateTime::<Utc>::MAX_UTC,
        ..near_the_end
    };
    let planner = Planner::new(planner.schedule, at_the_end, 0.0);
    assert!(planner.next_ticks(5).is_empty());
}

#[test]
fn lateness_goes_by_the_monotonic_clock_but_for_cron() {
    let mut planner = ticking();
    let tick = planner.late_from(at(-3_600, 100)).expect("it ticks");
    planner.completed(at(0, 0), Some(&forecast(Some(5), None)));
    let deadline = planner.late_from(at(-3_600, 100)).expect("a row");

    assert_eq!((tick.mono, deadline.mono), (seconds(60), seconds(5)));
}

#[test]
fn plans_due_together_merge_into_one_run_of_the_highest_trigger() {
    let table = [
        (at(3, 3), Some(due(Trigger::Retry, 0))),
        (at(60, 60), Some(due(Trigger::Tick, 0))),
    ];

    for (now, expected) in table {
        let mut planner = ticking();
        planner.completed(at(0, 0), Some(&forecast(Some(5), None)));
        planner.retry = Some(at(2, 2));

        let taken = planner.take_due(now);

        assert_eq!(taken, expected);
        assert_eq!(planner.take_due(now), None);
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
fn a_run_clears_start_deadline_and_retry() {
    let mut planner = ticking();
    planner.start = Some(at(100, 100));
    planner.deadline = Some(at(100, 100));
    planner.retry = Some(at(100, 100));

    planner.take_due(at(60, 60));

    assert_eq!(planner.take_due(at(110, 110)), None);
    assert_eq!(planner.next(), Some((at(120, 120), Trigger::Tick)));
}

#[test]
fn a_tick_served_late_does_not_move_the_next() {
    let mut planner = ticking();

    let taken = planner.take_due(at(67, 67));

    assert_eq!(taken, Some(due(Trigger::Tick, 0)));
    assert_eq!(planner.next(), Some((at(120, 120), Trigger::Tick)));
}

#[test]
fn a_suspended_machine_runs_once_and_counts_missed_ticks() {
    let mut planner = ticking();

    let taken = planner.take_due(at(60 * 5 + 10, 30));

    assert_eq!(taken, Some(due(Trigger::Tick, 4)));
    assert_eq!(wait(&planner, at(60 * 5 + 10, 30)), Some(seconds(50)));
}

#[test]
fn a_clock_set_back_neither_delays_nor_repeats_a_tick() {
    let mut planner = ticking();

    let early = planner.take_due(at(-3_541, 59));
    let on_time = planner.take_due(at(-3_540, 60));
    let caught_up = planner.take_due(at(-3_481, 119));
    let corrected = planner.take_due(at(-3_480, 120));

    assert_eq!(early, None);
    assert_eq!(on_time, Some(due(Trigger::Tick, 0)));
    assert_eq!(caught_up, None);
    assert_eq!(corrected, Some(due(Trigger::Tick, 0)));
}

#[test]
fn a_clock_set_back_after_a_tick_does_not_bring_the_tick_again() {
    let mut planner = ticking();
    planner.take_due(at(60, 60));

    let again = planner.take_due(at(60, 90));

    assert_eq!(again, None);
}

#[test]
fn the_wait_ends_with_the_first_plan_on_either_clock() {
    let mut planner = ticking();
    planner.completed(at(-3_550, 50), Some(&forecast(Some(20), None)));

    let (next, wait) = (planner.next(), wait(&planner, at(-3_550, 50)));

    assert_eq!(next, Some((at(-3_530, 70), Trigger::Deadline)));
    assert_eq!(wait, Some(seconds(10)));
}

#[test]
fn the_deadline_is_the_next_row_or_max_age_after_min_interval() {
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
        let mut planner = Planner::new(
            Schedule {
                every: None,
                ..schedule()
            },
            at(0, 0),
            0.0,
        );
        planner.take_due(at(0, 0));

        planner.completed(at(100, 100), Some(&forecast(next_due, age)));

        let wait = wait(&planner, at(100, 100)).map(|wait| wait.as_secs());
        assert_eq!(wait, expected, "next due {next_due:?}, age {age:?}");
    }
}

#[test]
fn a_run_without_a_forecast_leaves_no_deadline() {
    let mut planner = ticking();
    planner.completed(at(0, 0), Some(&forecast(Some(5), None)));

    planner.completed(at(1, 1), None);

    assert_eq!(planner.next(), Some((at(60, 60), Trigger::Tick)));
}

#[test]
fn a_failed_run_plans_a_retry_instead_of_its_deadline() {
    let mut planner = ticking();
    planner.completed(at(0, 0), Some(&forecast(Some(5), None)));

    let retry = planner.failed(at(1, 1), seconds(10));
    let next = planner.next();
    planner.completed(at(3, 3), None);

    assert_eq!(retry, at(11, 11));
    assert_eq!(next, Some((at(11, 11), Trigger::Retry)));
    assert_eq!(planner.next(), Some((at(60, 60), Trigger::Tick)));
}

#[test]
fn a_cancelled_run_waits_for_the_tick() {
    let mut planner = ticking();
    planner.completed(at(0, 0), Some(&forecast(Some(5), None)));

    planner.cancelled(at(1, 1));

    assert_eq!(planner.next(), Some((at(60, 60), Trigger::Tick)));
}

#[test]
fn nothing_is_due_while_paused() {
    let mut planner = ticking();

    planner.pause(pause(), at(0, 0));

    assert!(planner.is_paused());
    assert_eq!(planner.next(), None);
    assert_eq!(wait(&planner, at(0, 0)), None);
    assert_eq!(planner.take_due(at(1_000, 1_000)), None);
}

#[test]
fn a_resume_drops_overdue_plans() {
    let mut overdue = ticking();
    overdue.start = Some(at(10, 10));
    overdue.deadline = Some(at(11, 11));
    overdue.retry = Some(at(12, 12));
    let mut ahead = ticking();
    ahead.retry = Some(at(1_010, 1_010));

    for planner in [&mut overdue, &mut ahead] {
        planner.pause(pause(), at(0, 0));
        planner.resume(at(1_000, 1_000));
    }

    assert!(!overdue.is_paused());
    assert_eq!(overdue.take_due(at(1_000, 1_000)), None);
    assert_eq!(overdue.next(), Some((at(1_060, 1_060), Trigger::Tick)));
    assert_eq!(ahead.next(), Some((at(1_010, 1_010), Trigger::Retry)));
}

#[test]
fn a_job_runs_again_once_no_pause_is_left() {
    let replicas = Pause {
        all_replicas: true,
        ..pause()
    };
    let mut planner = ticking();
    planner.pause(pause(), at(0, 0));
    planner.pause(replicas.clone(), at(0, 0));

    let of_replicas = planner.resume_replicas(at(100, 100));
    let paused = planner.is_paused();
    let of_instance = planner.resume(at(200, 200));

    assert_eq!((of_replicas, paused, of_instance), (false, true, true));
    assert_eq!(planner.next(), Some((at(260, 260), Trigger::Tick)));
    planner.pause(replicas, at(200, 200));
    assert!(!planner.resume(at(210, 210)) && planner.is_paused());
    assert!(planner.resume_replicas(at(220, 220)));
    assert_eq!(planner.next(), Some((at(280, 280), Trigger::Tick)));
}

#[test]
fn a_new_schedule_counts_from_now_and_drops_disabled_plans() {
    let mut planner = ticking();
    planner.start = Some(at(50, 50));
    planner.deadline = Some(at(40, 40));
    planner.retry = Some(at(55, 55));
    let mut kept = planner.clone();
    let faster = Schedule {
        every: Some(seconds(45)),
        ..schedule()
    };

    planner.reschedule(messages_only(), at(10, 10));
    kept.reschedule(faster.clone(), at(10, 10));

    assert_eq!(planner.next(), Some((at(55, 55), Trigger::Retry)));
    assert_eq!((planner.start, planner.deadline), (None, None));
    assert_eq!(kept.schedule(), &faster);
    assert_eq!(kept.ticks.next(), Some(at(55, 55)));
    assert_eq!(kept.start, Some(at(50, 50)));
    assert_eq!(kept.deadline, Some(at(40, 40)));
}

#[test]
fn a_new_schedule_does_not_end_a_pause() {
    let mut planner = ticking();
    planner.pause(pause(), at(0, 0));

    planner.reschedule(schedule(), at(10, 10));

    assert_eq!(planner.take_due(at(1_000, 1_000)), None);
}

proptest! {
    #[test]
    fn replicas_started_together_stay_apart_by_their_jitter(
        replicas in 2..50_u32,
        start_jitter in 1..600_u64,
        ticks in 0..20,
    ) {
        let schedule = Schedule {
            start_jitter: seconds(start_jitter),
            every: Some(seconds(900)),
            ..schedule()
        };
        let planners = (0..replicas).map(|place| {
            let jitter = f64::from(place) / f64::from(replicas);
            Planner::new(schedule.clone(), at(0, 0), jitter)
        });

        let runs = planners.map(|mut planner| {
            for _ in 0..ticks {
                let (next, _) = planner.next().expect("a run is ahead");
                planner.take_due(next);
            }
            planner.next().expect("a run is ahead").0.mono
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
    fn interval_ticks_agree_with_a_walk_along_the_grid(
        every in 1..100_i64,
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let mut planner = ticking_every(every);
        let (mut wall, mut mono, mut leapt) = (0, 0, 0);
        let (mut tick_by_wall, mut tick_by_mono) = (every, every);
        let mut counted = 0;

        for step in steps {
            match step {
                Step::Pass(wait) => (wall, mono) = (wall + wait, mono + wait),
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

            let taken = planner.take_due(now);

            let expected = places.checked_sub(1).map(|missed| due(Trigger::Tick, missed));
            prop_assert_eq!(taken, expected);
            prop_assert_eq!(planner.take_due(now), None, "one tick ran twice");
            let wait = wait(&planner, now).map(|wait| wait.as_secs());
            prop_assert!((1..=every.unsigned_abs()).contains(&wait.unwrap_or(0)), "{wait:?}");
            // However the wall clock moves, no passed interval is lost, and none is counted that
            // passed on neither clock.
            prop_assert!(counted >= (mono / every).unsigned_abs());
            prop_assert!(counted <= ((mono + leapt) / every).unsigned_abs());
        }
    }

    #[test]
    fn a_run_is_due_exactly_when_the_wait_is_zero(
        every in 1..100_i64,
        acts in prop::collection::vec(act(), 1..100),
    ) {
        let mut planner = ticking_every(every);
        let (mut wall, mut mono) = (0, 0);

        for act in acts {
            let now = at(wall, mono);
            let (armed, passes) = (planner.wake_at(now), matches!(act, Act::Time(_)));
            match act {
                Act::Time(Step::Pass(wait)) => (wall, mono) = (wall + wait, mono + wait.unsigned_abs()),
                Act::Time(Step::Leap(wait)) => wall += wait,
                Act::Time(Step::SetBack(wait)) => wall -= wait,
                Act::Complete(next_due, age) => planner.completed(now, Some(&forecast(next_due, age))),
                Act::Fail(wait) => {
                    planner.failed(now, seconds(wait));
                }
                Act::Cancel => planner.cancelled(now),
                Act::Pause => {
                    planner.pause(pause(), now);
                }
                Act::Resume => {
                    planner.resume(now);
                }
            }
            let now = at(wall, mono);
            let (wait, paused) = (wait(&planner, now), planner.is_paused());

            let taken = planner.take_due(now);

            prop_assert_eq!(taken.is_some(), wait == Some(Duration::ZERO));
            if passes {
                // The timer wakes for a run that is due, and for no other, on whichever clock.
                prop_assert_eq!(taken.is_some(), armed.is_some_and(|at| at.reached(now)));
            }
            prop_assert_eq!(wait.is_none(), paused);
            prop_assert_eq!(planner.next().is_none(), paused);
            prop_assert!(wait <= Some(seconds(every.unsigned_abs())), "{wait:?}");
            prop_assert_eq!(planner.take_due(now), None, "one run was taken twice");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Time passes on both clocks.
    Pass(i64),
    /// The machine was suspended, or its wall clock set forward.
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
        6 => (0..60_i64).prop_map(Step::Pass),
        1 => (0..600_i64).prop_map(Step::Pass),
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

/// Ticks each minute, without jitter; deadlines keep a distance of two seconds.
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

/// A pause of this instance.
pub(super) fn pause() -> Pause {
    Pause {
        since: DateTime::UNIX_EPOCH,
        by: None,
        all_replicas: false,
    }
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

pub(super) fn wait(planner: &Planner, now: Moment) -> Option<Duration> {
    Some(planner.wake_at(now)?.until(now))
}
