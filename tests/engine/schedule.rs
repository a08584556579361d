//! When a job runs by itself: at start, at ticks, at deadlines, after failures, and not while
//! paused.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::{JobConfig, Pace, Schedule};
use ractor_housekeeper::model::{Event, NextRun, Trigger, WorkerStatus};
use ractor_housekeeper::testing::{Fault, Gate, MemoryBooking, Step, next_event, next_report};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, Outcome, Report, Scope};
use uuid::Uuid;

use crate::schedules::{deadlines, ticking};
use crate::support::host::{Host, Setup, messages_only, minutes, seconds};

// ---- Start and ticks

#[tokio::test(start_paused = true)]
async fn a_job_runs_within_the_jitter_of_the_start() {
    let mut delays = Vec::new();

    for _ in 0..20 {
        let schedule = Schedule {
            at_start: true,
            start_jitter: seconds(60),
            ..messages_only()
        };
        let mut host = start(schedule).await;
        let started = host.clock.now();
        let report = host.next().await;
        assert_eq!(report.trigger, Trigger::Start);
        delays.push((report.started_at - started).num_milliseconds());
    }

    assert!(
        delays.iter().all(|delay| (0..=60_001).contains(delay)),
        "{delays:?}"
    );
    let spread = delays
        .iter()
        .max()
        .zip(delays.iter().min())
        .map(|(most, least)| most - least);
    assert!(spread > Some(5_000), "{delays:?}");
}

#[tokio::test(start_paused = true)]
async fn a_job_ticks_every_quarter_of_an_hour_by_default() {
    let mut host = start(Schedule {
        at_deadline: false,
        ..Schedule::default()
    })
    .await;
    let started = host.clock.now();

    let first = host.next().await;
    let mut ticks = Vec::new();
    for _ in 0..4 {
        ticks.push(host.next().await);
    }

    assert_eq!(first.trigger, Trigger::Start);
    assert!(first.started_at - started <= TimeDelta::milliseconds(1_001));
    for (tick, quarter) in ticks.iter().zip(1..) {
        assert_eq!(tick.trigger, Trigger::Tick);
        let late = tick.started_at - (first.started_at + TimeDelta::minutes(15 * quarter));
        // Timers count in milliseconds, here and there.
        assert!(late.abs() <= TimeDelta::milliseconds(3), "{late}");
    }
    assert_eq!(host.status().await.missed_ticks, 0);
}

#[tokio::test(start_paused = true)]
async fn each_part_of_a_schedule_can_be_off() {
    let on = Schedule {
        every: Some(minutes(4)),
        at_start: true,
        ..Schedule::default()
    };
    let table: [(Schedule, &[Trigger]); 4] = [
        (messages_only(), &[]),
        (
            Schedule {
                at_start: false,
                at_deadline: false,
                ..on.clone()
            },
            &[Trigger::Tick, Trigger::Tick],
        ),
        (
            Schedule {
                every: None,
                at_deadline: false,
                ..on.clone()
            },
            &[Trigger::Start],
        ),
        (
            Schedule { every: None, ..on },
            // The booking falls due after five minutes.
            &[Trigger::Start, Trigger::Deadline],
        ),
    ];

    for (schedule, expected) in table {
        let mut host = start(schedule.clone()).await;
        host.add_due_in(minutes(5));

        tokio::time::sleep(minutes(10)).await;

        let triggers: Vec<Trigger> = host.reports().iter().map(|report| report.trigger).collect();
        assert_eq!(triggers, expected, "{schedule:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn ticks_during_a_run_merge_into_one_run_and_are_counted() {
    let mut host = start(ticking()).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let long = host.run_now(Scope::All);
    gate.reached().await;

    tokio::time::sleep(minutes(50)).await;
    gate.open();
    let long = long.await.expect("is not refused");
    let merged = next_report(&mut host.events, |next| next.run != long.run).await;
    let after = host.next().await;

    assert_eq!(merged.trigger, Trigger::Tick);
    assert_near(merged.started_at, long.started_at + TimeDelta::minutes(50));
    assert_near(after.started_at, long.started_at + TimeDelta::minutes(60));
    assert_eq!(host.status().await.missed_ticks, 3);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_job_delays_no_other() {
    let mut host = start(ticking()).await;
    let started = host.clock.now();
    host.sibling_faults.once(Step::Batch, 1, Fault::Hang);
    drop(host.ask(|reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply)));
    host.add_overdue(3);

    let tick = host.next().await;

    assert_eq!(tick.counts.total(), 3);
    assert_near(tick.started_at, started + TimeDelta::minutes(15));
}

// ---- Deadlines

#[tokio::test(start_paused = true)]
async fn a_booking_expires_within_a_second_of_its_deadline() {
    let mut host = start(deadlines()).await;
    for wait in [30, 90, 91, 600] {
        host.add_due_in(seconds(wait));
    }
    let started = host.clock.now();
    let _ = host.run_now(Scope::All).await;

    for wait in [30, 90, 91, 600] {
        let report = next_report(&mut host.events, |report| report.counts.total() > 0).await;

        let late = report.started_at - (started + TimeDelta::seconds(wait));
        assert_eq!(report.trigger, Trigger::Deadline);
        assert!(
            late >= TimeDelta::zero() && late <= TimeDelta::milliseconds(1_002),
            "{wait}: {late}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_runs_keep_the_min_interval_between_them() {
    let schedule = Schedule {
        min_interval: seconds(10),
        ..deadlines()
    };
    let mut host = start(schedule).await;
    for tenth in 0..100 {
        host.add_due_in(seconds(30) + Duration::from_millis(500 * tenth));
    }
    let _ = host.run_now(Scope::All).await;

    tokio::time::sleep(minutes(2)).await;
    let runs = host.reports();

    assert!(runs.len() <= 8, "{}", runs.len());
    for pair in runs.windows(2) {
        assert!(pair[1].started_at - pair[0].started_at >= TimeDelta::seconds(10));
    }
    assert_eq!(host.expired().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_pending_a_job_looks_again_after_its_age() {
    let mut host = start(deadlines()).await;
    let first = host.run_now(Scope::All).await.expect("is not refused");
    let _ = host.next().await;
    tokio::time::sleep(minutes(5)).await;
    host.add_due_in(minutes(15));
    let made = host.clock.now();

    let looked = host.next().await;
    let expired = host.next().await;

    assert_eq!(first.forecast.and_then(|forecast| forecast.next_due), None);
    assert_near(looked.started_at, first.started_at + TimeDelta::minutes(15));
    assert_eq!(
        (expired.trigger, expired.counts.total()),
        (Trigger::Deadline, 1)
    );
    assert_near(expired.started_at, made + TimeDelta::minutes(15));
}

#[tokio::test(start_paused = true)]
async fn thousands_due_together_are_one_run_of_bounded_batches() {
    let mut host = start_at_pace(deadlines(), Pace::polite()).await;
    host.add_arrivals(10_000, minutes(1), Duration::ZERO);
    let due = host.clock.now() + TimeDelta::minutes(1);
    let _ = host.run_now(Scope::All).await;

    tokio::time::sleep(minutes(2)).await;
    let event = host.events();

    let batches = event.iter().filter_map(|event| match event {
        Event::BatchCommitted { ids, .. } => Some(ids.len()),
        _ => None,
    });
    let batches: Vec<usize> = batches.collect();
    let runs: Vec<&Report> = reports_of(&event).filter(|run| run.batches > 0).collect();
    let busy: Vec<&&Report> = runs.iter().filter(|run| run.counts.total() > 0).collect();
    assert_eq!(batches.iter().sum::<usize>(), 10_000);
    assert!(batches.iter().all(|batch| *batch <= 1_000), "{batches:?}");
    assert_eq!(busy.len(), 1, "{busy:?}");
    assert!(busy[0].started_at - due <= TimeDelta::milliseconds(3));
    // The one that was asked for, the one that found them all, and no crowd behind it.
    assert!(runs.len() <= 3, "{}", runs.len());
}

#[tokio::test(start_paused = true)]
async fn at_any_arrival_rate_rows_expire_within_the_min_interval() {
    // A minute each; a quarter of the fastest, since the store in memory looks at every row.
    for (rate, span) in [(1, 60), (100, 60), (1_000, 15)] {
        let mut host = start_at_pace(deadlines(), Pace::polite()).await;
        host.add_arrivals(rate * span, seconds(30), seconds(span.into()));
        let _ = host.run_now(Scope::All).await;

        tokio::time::sleep(minutes(2)).await;
        let event = host.events();

        let runs: Vec<&Report> = reports_of(&event)
            .filter(|run| run.counts.total() > 0)
            .collect();
        let longest = runs.iter().map(|run| run.elapsed).max().unwrap_or_default();
        let late = host.store.bookings().into_iter().map(|booking| {
            assert_eq!(booking.status, "Expired");
            (booking.updated_at - (booking.created_at + minutes(15))).to_std()
        });
        let late = late.collect::<Result<Vec<Duration>, _>>();
        let late = late.expect("none expires early");
        let latest = late.into_iter().max().expect("there are bookings") + longest;
        assert!(
            latest <= Duration::from_millis(1_200),
            "{rate}/s: {latest:?}"
        );
        // One a second, which is the minimum interval.
        assert!(
            runs.len() <= span as usize + 1,
            "{rate}/s: {} runs",
            runs.len()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_job_queries_less_than_three_hundred_times_a_day() {
    let mut setup = Setup::new();
    setup.config.job.schedule = Schedule::default();
    let mut host = setup.start().await;

    tokio::time::sleep(minutes(24 * 60)).await;

    let runs = host.reports().len() as u64;
    assert!((96..=97).contains(&runs), "{runs}");
    for faults in [&host.faults, &host.sibling_faults] {
        let calls: u64 = [
            Step::Check,
            Step::BeginRun,
            Step::Batch,
            Step::Preview,
            Step::Forecast,
        ]
        .map(|step| faults.calls(step))
        .iter()
        .sum();
        assert_eq!(calls, 1 + 3 * runs);
        assert!(calls < 300, "{calls}");
    }
}

#[tokio::test(start_paused = true)]
async fn status_shows_the_next_run_and_why() {
    let host = start(Schedule {
        every: Some(minutes(15)),
        start_jitter: Duration::ZERO,
        ..deadlines()
    })
    .await;
    let started = host.clock.now();

    let tick = host.status().await.next_run;
    host.add_due_in(minutes(5));
    let _ = host.run_now(Scope::All).await;
    let deadline = host.status().await.next_run.expect("is ahead");

    assert_eq!(
        tick,
        Some(NextRun {
            at: started + TimeDelta::minutes(15),
            trigger: Trigger::Tick
        })
    );
    assert_eq!(deadline.trigger, Trigger::Deadline);
    assert_near(deadline.at, started + TimeDelta::minutes(5));
}

#[tokio::test(start_paused = true)]
async fn a_killed_timer_restarts_and_the_deadline_is_met() {
    let mut host = start(deadlines()).await;
    let due = host.clock.now() + minutes(10);
    host.add_due_in(minutes(10));
    let _ = host.run_now(Scope::All).await;

    host.child("timer").kill();
    next_event(&mut host.events, |event| {
        matches!(event, Event::TimerRestarted { .. })
    })
    .await;
    let report = next_report(&mut host.events, |report| report.counts.total() == 1).await;

    assert_eq!(report.trigger, Trigger::Deadline);
    assert_near(report.started_at, due);
    assert_eq!(host.ask(HousekeeperMsg::Status).await.timer_restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_timer_restarts_after_any_number_of_crashes() {
    let mut host = start(ticking()).await;

    for _ in 0..20 {
        host.child("timer").kill();
        next_event(&mut host.events, |event| {
            matches!(event, Event::TimerRestarted { .. })
        })
        .await;
        // Longer than the longest wait.
        tokio::time::sleep(seconds(11)).await;
    }
    let tick = host.next().await;

    assert_eq!(tick.trigger, Trigger::Tick);
    assert_eq!(host.ask(HousekeeperMsg::Status).await.timer_restarts, 20);
}

// ---- The wall clock

#[tokio::test(start_paused = true)]
async fn ticks_missed_in_a_suspension_are_one_run_and_are_counted() {
    let mut host = start(ticking()).await;
    let started = host.clock.now();

    host.clock.advance_wall(TimeDelta::minutes(15 * 4 + 5));
    let woken = host.next().await;
    let next = host.next().await;

    assert!(woken.started_at - started <= TimeDelta::minutes(15 * 4 + 5 + 1));
    assert_eq!(host.status().await.missed_ticks, 3);
    assert_near(next.started_at, started + TimeDelta::minutes(15 * 5));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_missed_in_a_suspension_is_met_within_a_minute() {
    let mut host = start(deadlines()).await;
    host.add_due_in(minutes(10));
    let _ = host.run_now(Scope::All).await;
    let asleep = tokio::time::Instant::now();

    host.clock.advance_wall(TimeDelta::hours(2));
    next_report(&mut host.events, |report| report.counts.total() == 1).await;

    assert!(asleep.elapsed() <= seconds(61), "{:?}", asleep.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_neither_doubles_nor_delays_a_tick() {
    let mut host = start(ticking()).await;
    let began = tokio::time::Instant::now();
    let mut ticks = Vec::new();

    for _ in 0..4 {
        let _ = host.next().await;
        ticks.push(began.elapsed().as_secs());
        host.clock.advance_wall(TimeDelta::hours(-1));
    }

    assert_eq!(ticks, [15 * 60, 30 * 60, 45 * 60, 60 * 60]);
    assert_eq!(host.status().await.missed_ticks, 0);
}

// ---- Pause, resume, reschedule

#[tokio::test(start_paused = true)]
async fn a_paused_job_runs_only_on_request_and_once_when_resumed() {
    let mut host = start(Schedule {
        every: Some(minutes(15)),
        ..deadlines()
    })
    .await;
    host.add_due_in(minutes(5));
    let _ = host.run_now(Scope::All).await;
    let _ = host.reports();

    let paused = [host.pause().await, host.pause().await];
    tokio::time::sleep(minutes(120)).await;
    let (held, shown) = (host.reports(), host.status().await.next_run);
    let asked = host.run_now(Scope::All).await.expect("is not refused");
    tokio::time::sleep(minutes(120)).await;
    let _ = host.reports();
    let resumed = [host.resume().await, host.resume().await];
    tokio::time::sleep(minutes(14)).await;
    let after = host.reports();
    let tick = host.next().await;

    assert_eq!((paused, resumed), ([true, false], [true, false]));
    assert!(held.is_empty(), "{held:?}");
    assert_eq!(shown, None);
    assert_eq!(
        (asked.outcome, asked.counts.total()),
        (Outcome::Completed, 1)
    );
    let [after] = &after[..] else {
        panic!("{after:?}")
    };
    assert_eq!(after.trigger, Trigger::Tick);
    assert_near(tick.started_at, after.started_at + TimeDelta::minutes(15));
    assert_eq!(host.status().await.missed_ticks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_or_resume_that_changes_nothing_emits_nothing() {
    let mut host = start(messages_only()).await;

    let mut recorded = Vec::new();
    for pauses in [false, true, true, false, false] {
        let answer = if pauses {
            host.pause().await
        } else {
            host.resume().await
        };
        let mut reported = None;
        while let Ok(event) = host.events.try_recv() {
            match &*event.event {
                Event::JobPaused { .. } => reported = Some("paused"),
                Event::JobResumed { .. } => reported = Some("resumed"),
                _ => {}
            }
        }
        recorded.push((answer, reported));
    }

    let (nothing, paused, resumed) = (
        (false, None),
        (true, Some("paused")),
        (true, Some("resumed")),
    );
    assert_eq!(recorded, [nothing, paused, nothing, resumed, nothing]);
}

#[tokio::test(start_paused = true)]
async fn a_resume_during_a_run_runs_once_more_and_is_no_missed_tick() {
    let mut host = start(messages_only()).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let _ = host.pause().await;
    let running = host.run_now(Scope::All);
    gate.reached().await;

    let _ = host.resume().await;
    gate.open();
    let running = running.await.expect("is not refused");
    let resumed = next_report(&mut host.events, |next| next.run != running.run).await;

    assert_eq!(resumed.outcome, Outcome::Completed);
    assert_eq!(host.faults.calls(Step::BeginRun), 2);
    assert_eq!(host.status().await.missed_ticks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_back_a_queued_run_without_callers() {
    let host = start(messages_only()).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let _ = host.pause().await;
    let running = host.run_now(Scope::All);
    gate.reached().await;
    let _ = host.resume().await;

    let _ = host.pause().await;
    gate.open();
    let running = running.await.expect("is not refused");
    let status = host.status().await;

    assert_eq!(running.outcome, Outcome::Completed);
    assert_eq!(host.faults.calls(Step::BeginRun), 1);
    assert_eq!((status.worker, status.waiting), (WorkerStatus::Idle, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_schedule_finds_the_first_deadline_by_itself() {
    let schedule = Schedule {
        at_deadline: true,
        ..messages_only()
    };

    let mut host = start(schedule).await;
    let first = next_report(&mut host.events, |_| true).await;

    assert_eq!(first.trigger, Trigger::Deadline);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_not_undone_by_a_queued_scheduled_run() {
    let host = start(messages_only()).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let _ = host.pause().await;
    let running = host.run_now(Scope::All);
    gate.reached().await;
    let _ = host.resume().await;

    let cancelled = host
        .ask(|reply| HousekeeperMsg::Cancel(BookingExpirer::NAME, reply))
        .await;
    gate.open();
    let _ = running.await.expect("is not refused");

    assert!(cancelled.is_ok_and(|run| run.is_some()));
    assert_eq!(host.status().await.waiting, 0);
    assert_eq!(host.faults.calls(Step::BeginRun), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_cancel_newer_rows_are_found_within_their_age() {
    let mut host = start(deadlines()).await;
    let _ = host.run_now(Scope::All).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let answer = host.run_now(Scope::All);
    gate.reached().await;
    let _ = host
        .ask(|reply| HousekeeperMsg::Cancel(BookingExpirer::NAME, reply))
        .await;
    host.add_overdue(3);
    gate.open();
    let cancelled = answer.await.expect("is not refused");

    let next = next_report(&mut host.events, |next| {
        next.started_at > cancelled.started_at
    })
    .await;

    assert_eq!(cancelled.outcome, Outcome::Cancelled { by: None });
    assert_near(next.started_at, cancelled.started_at + minutes(15));
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_neither_retries_nor_announces_a_retry() {
    for paused_before in [false, true] {
        let host = start(ticking()).await;
        host.faults
            .always(Step::BeginRun, Fault::Fail("no route".to_owned()));

        let paused = if paused_before {
            host.pause().await
        } else {
            false
        };
        let report = host.run_now(Scope::All).await.expect("is not refused");
        let _ = host.pause().await;
        tokio::time::sleep(minutes(60)).await;

        let Outcome::Failed { retry_at, .. } = report.outcome else {
            panic!("{report}");
        };
        assert_eq!(retry_at.is_none(), paused);
        assert_eq!(host.faults.calls(Step::BeginRun), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_schedule_counts_from_now_whether_the_job_runs_or_not() {
    for running in [false, true] {
        let mut host = start(ticking()).await;
        let gate = Gate::closed();
        if running {
            host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
            drop(host.run_now(Scope::All));
            gate.reached().await;
        }
        tokio::time::sleep(minutes(10)).await;
        let rescheduled = host.clock.now();

        host.reschedule(Schedule {
            every: Some(minutes(2)),
            ..messages_only()
        })
        .await;
        tokio::time::sleep(minutes(1)).await;
        gate.open();
        let first = next_report(&mut host.events, |report| report.trigger == Trigger::Tick).await;
        let second = host.next().await;
        host.reschedule(messages_only()).await;
        tokio::time::sleep(minutes(60)).await;

        assert_near(first.started_at, rescheduled + TimeDelta::minutes(2));
        assert_near(second.started_at, rescheduled + TimeDelta::minutes(4));
        assert!(host.reports().is_empty());
        assert_eq!(host.status().await.schedule, messages_only());
    }
}

// ---- Failures

#[tokio::test(start_paused = true)]
async fn a_failed_run_is_retried_before_the_next_tick() {
    let mut host = start(ticking()).await;
    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
    host.faults
        .once(Step::BeginRun, 2, Fault::Fail("no route".to_owned()));

    let runs = [
        host.next().await,
        host.next().await,
        host.next().await,
        host.next().await,
    ];

    let triggers = runs.each_ref().map(|run| run.trigger);
    assert_eq!(
        triggers,
        [Trigger::Tick, Trigger::Retry, Trigger::Retry, Trigger::Tick]
    );
    assert!(runs[2].success() && runs[3].success());
    assert!(runs[2].started_at - runs[0].started_at <= TimeDelta::milliseconds(3_003));
    assert_near(
        runs[3].started_at,
        runs[0].started_at + TimeDelta::minutes(15),
    );
}

#[tokio::test(start_paused = true)]
async fn replicas_that_fail_together_retry_apart() {
    let mut waits = Vec::new();

    for _ in 0..20 {
        let mut host = start(ticking()).await;
        host.faults
            .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
        let (failed, retried) = (host.next().await, host.next().await);
        assert_eq!(retried.trigger, Trigger::Retry);
        waits.push((retried.started_at - failed.started_at).num_milliseconds());
    }

    let spread = waits.iter().max().zip(waits.iter().min());
    let spread = spread.map(|(most, least)| most - least);
    // Over half a second; twenty draws that all lie within a fifth of that come once in 10^12
    // times.
    assert!(spread > Some(100), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_times_out_is_halved_and_grows_back() {
    let rows = |count| NonZeroU32::new(count).expect("a batch has rows");
    let pace = Pace {
        min_batch: rows(100),
        max_batch: rows(1_000),
        ..Pace::polite()
    };
    let mut host = start_at_pace(deadlines(), pace).await;
    host.add_overdue(20_000);
    let timeout = Fault::Fail("canceling statement due to lock timeout".to_owned());
    host.faults.once(Step::Batch, 12, timeout);

    let cut = host.run_now(Scope::All).await.expect("is not refused");
    let retry = next_batch_sizes(&mut host).await;

    let grown: Vec<usize> = (5..=10).map(|hundreds| hundreds * 100).collect();
    assert!(matches!(cut.outcome, Outcome::Failed { .. }), "{cut}");
    // 100, 800, and nine of 1,000.
    assert_eq!(cut.counts.total(), 9_900);
    assert_eq!(retry[..grown.len()], grown);
    assert_eq!(retry.iter().sum::<usize>(), 10_100);
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_at_most_the_backoff_after_its_end() {
    let mut host = start(deadlines()).await;
    host.add_due_in(minutes(5));
    let _ = host.run_now(Scope::All).await;
    host.faults
        .always(Step::BeginRun, Fault::Fail("no route".to_owned()));
    tokio::time::sleep(minutes(30)).await;
    let _ = host.reports();

    host.faults.clear();
    let ended = host.clock.now();
    let report = host.next().await;

    assert_eq!((report.trigger, report.counts.total()), (Trigger::Retry, 1));
    assert!(report.started_at - ended <= TimeDelta::minutes(1));
}

// ---- Helpers

impl Host {
    /// Adds a booking that is due this much from now.
    fn add_due_in(&self, wait: Duration) {
        let id = format!("b{:03}", self.store.bookings().len());
        let made = self.clock.now() + wait - minutes(15);
        self.store
            .add_booking(MemoryBooking::pending(id, Uuid::nil(), made));
    }

    /// Adds bookings that fall due one after the other, `wait` from now, over this span.
    fn add_arrivals(&self, bookings: u32, wait: Duration, over: Duration) {
        let first = self.clock.now() + wait - minutes(15);
        for number in 0..bookings {
            let made = first + over * number / bookings;
            let id = format!("a{number:06}");
            self.store
                .add_booking(MemoryBooking::pending(id, Uuid::nil(), made));
        }
    }

    /// The next report of the expirer.
    async fn next(&mut self) -> Report {
        next_report(&mut self.events, |report| {
            report.job == BookingExpirer::NAME
        })
        .await
    }

    /// All reports of the expirer so far.
    fn reports(&mut self) -> Vec<Report> {
        reports_of(&self.events()).cloned().collect()
    }

    /// All events so far.
    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(delivery) = self.events.try_recv() {
            assert_eq!(delivery.missed, 0);
            events.push(Event::clone(&delivery.event));
        }
        events
    }

    async fn pause(&self) -> bool {
        let paused = self
            .ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
            .await;
        paused.expect("is not refused")
    }

    async fn resume(&self) -> bool {
        let resumed = self
            .ask(|reply| HousekeeperMsg::Resume(BookingExpirer::NAME, reply))
            .await;
        resumed.expect("is not refused")
    }

    async fn reschedule(&self, schedule: Schedule) {
        let done = self
            .ask(|reply| HousekeeperMsg::Reschedule(BookingExpirer::NAME, schedule, reply))
            .await;
        done.expect("is not refused");
    }
}

/// Reports of the expirer.
fn reports_of(event: &[Event]) -> impl Iterator<Item = &Report> {
    event.iter().filter_map(|event| match event {
        Event::RunFinished(report) if report.job == BookingExpirer::NAME => Some(&**report),
        _ => None,
    })
}

/// Sizes of the batches until the next run that completes, without those of runs before.
async fn next_batch_sizes(host: &mut Host) -> Vec<usize> {
    let mut sizes = Vec::new();
    next_event(&mut host.events, |event| {
        match event {
            Event::RunStarted { .. } => sizes.clear(),
            Event::BatchCommitted { ids, .. } => sizes.push(ids.len()),
            _ => {}
        }
        matches!(event, Event::RunFinished(report) if report.success())
    })
    .await;
    sizes
}

/// A host whose expirer follows this schedule in batches of two rows; the other job runs by
/// messages only.
async fn start(schedule: Schedule) -> Host {
    start_at_pace(schedule, Pace::fixed(2.try_into().expect("is not zero"))).await
}

/// A host whose expirer follows this schedule at this pace; the other job runs by messages only.
async fn start_at_pace(schedule: Schedule, pace: Pace) -> Host {
    let mut setup = Setup::new();
    let expirer = JobConfig {
        schedule,
        pace,
        step_timeout: minutes(60),
        ..setup.config.job.clone()
    };
    setup.config.jobs.insert(BookingExpirer::NAME, expirer);
    setup.start().await
}

/// Timers count in milliseconds, and a row falls due a microsecond after its age.
fn assert_near(at: DateTime<Utc>, expected: DateTime<Utc>) {
    let late = at - expected;
    assert!(
        late >= TimeDelta::zero() && late <= TimeDelta::milliseconds(3),
        "{at} is {late} off {expected}"
    );
}
