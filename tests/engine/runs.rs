//! The life of a run: requested, merged, cut short, reported, emitted to subscribers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_housekeeper::actors::Delivery;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::job::Page;
use ractor_housekeeper::model::{
    Event, FailureKind, History, HistorySource, RunHistory, RunRecord, StoreError, Trigger,
    WorkerStatus,
};
use ractor_housekeeper::testing::{
    Fault, Gate, MemoryBooking, MemoryStore, Step, next_event, next_report,
};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{
    HousekeeperMsg, JobName, Outcome, RequestError, Scope, Subscriber, start,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::support::host::{Host, Setup, messages_only, minutes, seconds};

// ---- The jobs

#[tokio::test(start_paused = true)]
async fn the_cleaner_deletes_idle_sessions_and_forecasts_the_next() {
    let host = Setup::new().start().await;
    let day = TimeDelta::days(1);
    let now = host.clock.now();
    host.store
        .add_session("idle", Uuid::nil(), now - day - TimeDelta::microseconds(1));
    host.store
        .add_session("live", Uuid::nil(), now - day + TimeDelta::hours(1));
    host.store.add_image("idle");
    host.store.add_video("idle");

    let clean = |reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply);
    let report = host.ask(clean).await.expect("is not refused");

    let left = host.store.sessions();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, "live");
    let handled = ["sessions", "image_records", "video_records"].map(|kind| report.counts.of(kind));
    assert_eq!(handled, [1, 1, 1]);
    let next = report.forecast.expect("it looked ahead").next_due;
    let next = next.expect("the other session");
    assert!((minutes(60)..minutes(61)).contains(&next), "{next:?}");
}

/// Its stored activity may be behind by the throttle, so twice of it must fit into the age.
#[tokio::test(start_paused = true)]
async fn a_throttle_longer_than_the_age_fails_the_run_first() {
    let host = Setup::new().start().await;
    host.store.set_activity_throttle(minutes(13 * 60));

    let clean = |reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply);
    let report = host.ask(clean).await.expect("is not refused");

    let Outcome::Failed { error, .. } = &report.outcome else {
        panic!("{report}");
    };
    assert!(error.contains("throttle"), "{error}");
    assert_eq!(host.sibling_faults.calls(Step::BeginRun), 0);
}

// ---- Merging

#[tokio::test(start_paused = true)]
async fn three_triggers_during_a_run_cause_one_more_run() {
    let host = Setup::new().start().await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let first = host.run_now(Scope::All);
    gate.reached().await;

    let three = [(); 3].map(|()| host.run_now(Scope::All));
    host.add_overdue(1);
    gate.open();
    let first = first.await.expect("is not refused");
    let mut runs = Vec::new();
    for answer in three {
        runs.push(answer.await.expect("is not refused").run);
    }

    assert_ne!(runs[0], first.run);
    assert!(runs.iter().all(|run| *run == runs[0]));
    assert_eq!(host.faults.calls(Step::BeginRun), 2);
}

#[tokio::test(start_paused = true)]
async fn a_caller_gets_a_run_that_began_after_its_request() {
    let mut host = Setup::new().start().await;

    for _ in 0..50 {
        host.add_overdue(3);
        let answers = [(); 5].map(|()| {
            host.add_overdue(1);
            (host.store.bookings().len(), host.run_now(Scope::All))
        });
        for (known, answer) in answers {
            let report = answer.await.expect("is not refused");
            assert_eq!(report.outcome, Outcome::Completed);
            assert!(host.expired().len() >= known);
        }
    }

    // The first of five runs at once, the others behind it together.
    assert_eq!(host.faults.calls(Step::BeginRun), 100);
    assert!(host.events.try_recv().is_ok());
}

#[tokio::test(start_paused = true)]
async fn runs_merge_per_user_and_touch_only_that_users_rows() {
    let host = Setup::new().start().await;
    host.add_overdue(3);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let running = host.run_now(Scope::user(Uuid::max()));
    gate.reached().await;

    let guest = [(); 2].map(|()| host.run_now(Scope::user(Uuid::nil())));
    let other = host.run_now(Scope::user(Uuid::max()));
    let waiting = host.status().await.waiting;
    gate.open();
    let [one, two] = guest;
    let (one, two) = (
        one.await.expect("is not refused"),
        two.await.expect("is not refused"),
    );
    let (running, other) = (
        running.await.expect("is not refused"),
        other.await.expect("is not refused"),
    );

    assert_eq!(waiting, 2);
    assert_eq!(one, two);
    assert_eq!(
        (one.counts.of("bookings"), one.scope),
        (3, Scope::user(Uuid::nil()))
    );
    assert_eq!(
        (running.counts.of("bookings"), other.counts.of("bookings")),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_users_run_is_no_last_success_and_is_not_retried() {
    let host = Setup::new().start().await;
    let of_user = || host.run_now(Scope::user(Uuid::nil()));

    let completed = of_user().await.expect("is not refused");
    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
    let failed = of_user().await.expect("is not refused");
    let gate = Gate::closed();
    host.faults
        .once(Step::BeginRun, 1, Fault::Hold(gate.clone()));
    let crashed = of_user();
    gate.reached().await;
    host.child("worker").kill();
    let crashed = crashed.await.expect("is not refused");
    tokio::time::sleep(minutes(60)).await;

    assert_eq!(completed.outcome, Outcome::Completed);
    assert!(
        matches!(failed.outcome, Outcome::Failed { retry_at: None, .. }),
        "{failed}"
    );
    assert!(
        matches!(crashed.outcome, Outcome::Crashed { .. }),
        "{crashed}"
    );
    let status = host.status().await;
    assert_eq!((status.last, status.last_success), (None, None));
    assert_eq!(host.faults.calls(Step::BeginRun), 3);
}

#[tokio::test(start_paused = true)]
async fn with_a_thousand_users_queued_a_run_of_everything_is_accepted() {
    let host = Setup::new().start().await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let running = host.run_now(Scope::All);
    gate.reached().await;

    let users: Vec<_> = (0..1_000)
        .map(|user| host.run_now(Scope::user(Uuid::from_u128(user))))
        .collect();
    let one_more = host.run_now(Scope::user(Uuid::max())).await;
    let waiting_user = host.run_now(Scope::user(Uuid::nil()));
    let everything = host.run_now(Scope::All);
    gate.open();

    let refusal = RequestError::TooManyScopes {
        job: BookingExpirer::NAME,
        waiting: 1_000,
    };
    assert_eq!(one_more, Err(refusal));
    for answer in users.into_iter().chain([running, waiting_user, everything]) {
        assert_eq!(
            answer.await.expect("is not refused").outcome,
            Outcome::Completed
        );
    }
}

#[tokio::test(start_paused = true)]
async fn run_all_reports_every_job_even_if_one_fails_or_crashes() {
    let host = Setup::new().start().await;
    host.add_overdue(3);
    for fault in [Fault::Fail("no route".to_owned()), Fault::Panic] {
        host.sibling_faults.once(Step::BeginRun, 1, fault);

        let reports = host
            .ask(HousekeeperMsg::RunAll)
            .await
            .expect("is not refused");

        let jobs: Vec<_> = reports.iter().map(|report| report.job.clone()).collect();
        assert_eq!(jobs, [BookingExpirer::NAME, SessionCleaner::NAME]);
        assert_eq!(reports[0].outcome, Outcome::Completed);
        assert!(!reports[1].success(), "{}", reports[1]);
    }
    assert_eq!(host.expired().len(), 3);
}

// ---- Refusals

#[tokio::test(start_paused = true)]
async fn two_concurrent_run_alls_are_both_answered() {
    let host = Setup::new().start().await;

    let both = [(); 2].map(|()| host.ask(HousekeeperMsg::RunAll));

    for answer in both {
        let reports = answer.await.expect("is not refused");
        assert_eq!(reports.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_run_is_rejected_with_the_reason() {
    let host = Setup::new().start().await;
    let unknown = JobName::new("booking-expire");
    let large = Page::first(1_001.try_into().expect("is not zero"));

    let job = host
        .ask(|reply| HousekeeperMsg::RunNow(unknown.clone(), Scope::All, reply))
        .await;
    let user = host.run_now(Scope::user("guest 7")).await;
    let page = host
        .ask(|reply| HousekeeperMsg::Preview(BookingExpirer::NAME, Scope::All, large, reply))
        .await;
    let schedule = host
        .ask(|reply| {
            let schedule = Schedule {
                every: Some(seconds(0)),
                ..messages_only()
            };
            HousekeeperMsg::Reschedule(BookingExpirer::NAME, schedule, reply)
        })
        .await;

    assert_eq!(
        job.expect_err("is refused").to_string(),
        "unknown job \"booking-expire\"; this housekeeper has booking-expirer, session-cleaner"
    );
    assert!(matches!(user, Err(RequestError::Scope { .. })), "{user:?}");
    assert_eq!(
        page.expect_err("is refused"),
        RequestError::Page {
            size: 1_001,
            max: 1_000
        }
    );
    assert!(
        matches!(schedule, Err(RequestError::Schedule { .. })),
        "{schedule:?}"
    );
    assert_eq!(host.faults.calls(Step::BeginRun), 0);
}

#[tokio::test(start_paused = true)]
async fn a_disabled_job_is_rejected_and_left_out_of_run_all() {
    for (off, on) in [
        (BookingExpirer::NAME, SessionCleaner::NAME),
        (SessionCleaner::NAME, BookingExpirer::NAME),
    ] {
        let mut setup = Setup::new();
        let store = Arc::new(setup.store.clone());
        if off == BookingExpirer::NAME {
            let expirer = BookingExpirer::new(store, None).expect("off is right");
            setup.arguments.jobs[0] = Arc::new(expirer);
        } else {
            let cleaner = SessionCleaner::new(store, None).expect("off is right");
            setup.arguments.jobs[1] = Arc::new(cleaner);
        }
        let started = start(None, setup.arguments.with_config(setup.config)).await;
        let housekeeper = started.expect("it starts").housekeeper;

        let refused = ractor::call!(housekeeper, HousekeeperMsg::RunNow, off.clone(), Scope::All);
        let all = ractor::call!(housekeeper, HousekeeperMsg::RunAll);
        let status = ractor::call!(housekeeper, HousekeeperMsg::Status).expect("it runs");

        assert_eq!(
            refused.expect("it runs"),
            Err(RequestError::Disabled { job: off.clone() })
        );
        let all = all.expect("it runs").expect("is not refused");
        assert_eq!(
            all.iter().map(|report| &report.job).collect::<Vec<_>>(),
            [&on]
        );
        assert_eq!(status.jobs[&off].worker, WorkerStatus::Disabled);
    }
}

// ---- Cut short

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_between_batches_until_the_next_tick() {
    let mut setup = Setup::new();
    setup.config.job.schedule.every = Some(minutes(15));
    setup.config.job.schedule.start_jitter = Duration::ZERO;
    setup.config.job.schedule.at_deadline = true;
    let mut host = setup.start().await;
    let soon = host.clock.now() - minutes(10);
    host.store
        .add_booking(MemoryBooking::pending("soon", Uuid::nil(), soon));
    let _ = host.run_now(Scope::All).await;
    host.add_overdue(5);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let answer = host.run_now(Scope::All);
    gate.reached().await;

    let cancelled = host
        .ask(|reply| HousekeeperMsg::Cancel(BookingExpirer::NAME, reply))
        .await;
    gate.open();
    let report = answer.await.expect("is not refused");
    let none = host
        .ask(|reply| HousekeeperMsg::Cancel(BookingExpirer::NAME, reply))
        .await;
    let rest = next_report(&mut host.events, |next| next.counts.of("bookings") == 4).await;

    assert_eq!(cancelled, Ok(Some(report.run)));
    assert_eq!(none, Ok(None));
    assert_eq!(
        (report.outcome, report.counts.of("bookings")),
        (Outcome::Cancelled { by: None }, 2)
    );
    assert_eq!(rest.trigger, Trigger::Tick);
    assert_eq!((rest.started_at - report.started_at).num_minutes(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_run_at_its_batch_limit_stops_and_continues_soon() {
    let mut setup = Setup::new();
    setup.config.job.run_timeout = Some(seconds(10));
    setup.config.job.pace.min_pause = seconds(5);
    setup.config.job.pace.max_pause = seconds(5);
    setup.config.job.schedule.every = Some(seconds(3_600));
    setup.config.job.schedule.at_deadline = true;
    let mut host = setup.start().await;
    host.add_overdue(7);

    let report = host.run_now(Scope::All).await.expect("is not refused");
    let rest = next_report(&mut host.events, |next| {
        next.run != report.run && next.job == report.job
    })
    .await;

    assert_eq!(
        (report.outcome, report.counts.of("bookings")),
        (Outcome::TimedOut, 6)
    );
    let forecast = report.forecast.expect("it looked ahead");
    assert_eq!(forecast.due.count, 1);
    assert_eq!(
        (rest.outcome, rest.counts.of("bookings")),
        (Outcome::Completed, 1)
    );
    assert_eq!(
        (rest.started_at - report.started_at).num_milliseconds(),
        11_000
    );
}

#[tokio::test(start_paused = true)]
async fn a_hanging_batch_fails_at_the_step_timeout_and_is_retried() {
    let mut host = Setup::new().start().await;
    host.add_overdue(3);
    host.faults.once(Step::Batch, 2, Fault::Hang);

    let report = host.run_now(Scope::All).await.expect("is not refused");
    let rest = next_report(&mut host.events, |next| next.run != report.run).await;

    assert_eq!(
        report.outcome.to_string(),
        "failed: could not handle a batch within 30s"
    );
    assert!(matches!(
        report.outcome,
        Outcome::Failed {
            failure: FailureKind::StepTimeout,
            ..
        }
    ));
    assert_eq!(
        (report.counts.of("bookings"), rest.counts.of("bookings")),
        (2, 1)
    );
    assert_eq!(host.status().await.restarts, 0);
}

// ---- Reports, events and history

#[tokio::test(start_paused = true)]
async fn a_report_keeps_the_first_ids_and_says_that_there_were_more() {
    let mut setup = Setup::new();
    setup.config.job.max_reported_ids = 3;
    let mut host = setup.start().await;
    host.add_overdue(5);

    let report = host.run_now(Scope::All).await.expect("is not refused");
    host.add_overdue(3);
    let exact = host.run_now(Scope::All).await.expect("is not refused");
    let mut shown = Vec::new();
    while let Ok(event) = host.events.try_recv() {
        if let Event::BatchCommitted { ids, .. } = &*event.event {
            shown.extend(ids.clone());
        }
    }

    assert_eq!(report.ids, ["b000", "b001", "b002"]);
    assert!(report.more_ids);
    assert_eq!((exact.ids.len(), exact.more_ids), (3, false));
    assert_eq!(shown, host.expired());
}

#[tokio::test(start_paused = true)]
async fn subscribers_receive_the_events_of_a_run_in_order() {
    let mut host = Setup::new().start().await;
    host.add_overdue(5);

    let report = host.run_now(Scope::All).await.expect("is not refused");
    let mut recorded = Vec::new();
    while let Ok(event) = host.events.try_recv() {
        assert_eq!(event.missed, 0);
        recorded.push(match &*event.event {
            Event::RunStarted {
                run,
                trigger: Trigger::Manual,
                ..
            } if *run == report.run => "started",
            Event::BatchCommitted { run, .. } if *run == report.run => "batch",
            Event::RunFinished(shown) if **shown == report => "finished",
            other => panic!("{other:?}"),
        });
    }

    assert_eq!(recorded, ["started", "batch", "batch", "batch", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_emitted_before_it_is_answered() {
    let host = Setup::new().start().await;
    let (actor, _heard) = forwarding_subscriber().await;
    let (reply, answer) = ractor::concurrency::oneshot();
    let answer = Arc::new(Mutex::new(answer));
    let (seen, mut shown) = mpsc::unbounded_channel();
    let waiter = answer.clone();
    // This is called while the housekeeper emits the event.
    let subscriber = Subscriber::actor(&actor, move |event| {
        if matches!(&*event.event, Event::RunFinished(_)) {
            let answered = waiter
                .lock()
                .is_ok_and(|mut waiter| waiter.try_recv().is_ok());
            let _ = seen.send(answered);
        }
        DeliveryMsg(event)
    });
    host.housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");

    let run = HousekeeperMsg::RunNow(BookingExpirer::NAME, Scope::All, reply.into());
    host.housekeeper.cast(run).expect("it runs");
    let _ = host.run_now(Scope::All).await;

    // Of the first run, and of the one behind it.
    assert_eq!(shown.recv().await, Some(false));
    assert_eq!(shown.recv().await, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_slow_subscriber_learns_how_many_events_it_missed() {
    let host = Setup::new().start().await;
    host.add_overdue(20);
    let (subscriber, mut events) = Subscriber::channel();
    let subscriber = subscriber.with_buffer(3);
    host.housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");

    let _ = host.run_now(Scope::All).await;
    let held: Vec<Delivery> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    let _ = host.run_now(Scope::All).await;
    let while_held = events.try_recv().is_ok();
    let first = held[0].event.clone();
    drop(held);
    let _ = host.run_now(Scope::All).await;
    let after = events.recv().await.expect("it is subscribed");

    // A run of ten full batches is a start, ten batches and an end; an empty run a start and an
    // end.
    assert!(matches!(&*first, Event::RunStarted { .. }));
    assert!(!while_held);
    assert_eq!(after.missed, 9 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_is_gone_is_removed() {
    let host = Setup::new().start().await;
    let (actor, mut recorded) = forwarding_subscriber().await;
    let kept = Arc::new(());
    let seen = kept.clone();
    let subscriber = Subscriber::actor(&actor, move |event| {
        let _ = &seen;
        DeliveryMsg(event)
    });
    host.housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");
    let _ = host.run_now(Scope::All).await;
    let before = (Arc::strong_count(&kept), recorded.recv().await.is_some());

    actor.stop_and_wait(None, None).await.expect("it stops");
    let _ = host.run_now(Scope::All).await;

    assert_eq!(before, (2, true));
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_subscribes_twice_receives_each_event_once() {
    let host = Setup::new().start().await;
    let (actor, mut recorded) = forwarding_subscriber().await;

    for _ in 0..3 {
        let subscriber = Subscriber::actor(&actor, DeliveryMsg);
        host.housekeeper
            .cast(HousekeeperMsg::Subscribe(subscriber))
            .expect("it runs");
    }
    let report = host.run_now(Scope::All).await.expect("is not refused");

    let finished =
        |event: &Event| matches!(event, Event::RunFinished(shown) if shown.run == report.run);
    next_event(&mut recorded, finished).await;
    tokio::time::sleep(seconds(1)).await;
    assert!(recorded.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn without_a_store_the_history_is_marked_as_memory() {
    let host = Setup::new().start().await;
    host.add_overdue(1);
    let done = host.run_now(Scope::All).await.expect("is not refused");
    let _quiet = host.run_now(Scope::All).await;

    let history = host.history().await;

    let reason = "no history store was given".to_owned();
    assert_eq!(history.source, HistorySource::Memory { reason });
    assert_eq!(
        history
            .runs
            .iter()
            .map(|line| line.report.run)
            .collect::<Vec<_>>(),
        [done.run]
    );
}

#[tokio::test(start_paused = true)]
async fn the_history_in_memory_keeps_the_newest_and_folds_deadlines() {
    let mut setup = Setup::new();
    setup.config.job.schedule.at_deadline = true;
    let mut host = setup.start().await;
    let mut newest = Vec::new();
    for _ in 0..150 {
        host.add_overdue(1);
        newest.push(host.run_now(Scope::All).await.expect("is not refused").run);
    }
    let asked = host.history().await;

    // Noon, and so early in a minute.
    for due in [2, 4] {
        let made = host.clock.now() + TimeDelta::seconds(due) - TimeDelta::minutes(15);
        let booking = MemoryBooking::pending(format!("due in {due}"), Uuid::nil(), made);
        host.store.add_booking(booking);
    }
    let _looks_ahead = host.run_now(Scope::All).await;
    for _ in 0..2 {
        next_report(&mut host.events, |next| {
            (next.trigger, next.counts.total()) == (Trigger::Deadline, 1)
        })
        .await;
    }
    let folded = host.history().await;

    newest.reverse();
    newest.truncate(100);
    let runs: Vec<_> = asked.runs.iter().map(|line| line.report.run).collect();
    assert_eq!(runs, newest);
    assert_eq!(folded.runs.len(), 100);
    let [deadlines, asked, ..] = &folded.runs[..] else {
        panic!("{folded:?}")
    };
    assert_eq!((deadlines.runs, deadlines.report.counts.total()), (2, 2));
    assert_eq!((asked.runs, asked.report.run), (1, newest[0]));
}

#[tokio::test(start_paused = true)]
async fn only_a_failing_history_leaves_runs_unsaved() {
    for has_history in [false, true] {
        let mut setup = Setup::new();
        if has_history {
            setup.arguments = setup.arguments.with_history(FailingHistory::default());
        }
        let host = setup.start().await;
        let away = Fault::Fail("no route".to_owned());
        let mut missing = Vec::new();

        // The third completes and writes the unsaved records.
        for fault in [None, Some(away), None, Some(Fault::Panic)] {
            host.add_overdue(1);
            if let Some(fault) = fault {
                host.faults.once(Step::BeginRun, 1, fault);
            }
            let _ = host.run_now(Scope::user(Uuid::nil())).await;
            missing.push(host.status().await.unsaved_runs);
        }

        let expected = if has_history {
            [0, 1, 0, 1]
        } else {
            [0, 0, 0, 0]
        };
        assert_eq!(missing, expected, "{has_history}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_has_at_most_the_maximum_size() {
    let host = Setup::new().start().await;
    let preview = |size: u32| {
        let page = Page::first(size.try_into().expect("is not zero"));
        host.ask(|reply| HousekeeperMsg::Preview(BookingExpirer::NAME, Scope::All, page, reply))
    };

    let largest = preview(Page::MAX_SIZE).await;
    let larger = preview(Page::MAX_SIZE + 1).await;

    assert!(largest.is_ok(), "{largest:?}");
    let (size, max) = (Page::MAX_SIZE + 1, Page::MAX_SIZE);
    assert_eq!(larger, Err(RequestError::Page { size, max }));
}

#[tokio::test(start_paused = true)]
async fn runs_of_an_outage_are_recorded_on_recovery() {
    let mut setup = Setup::new();
    let history = FailingHistory::default();
    setup.arguments = setup.arguments.with_history(history.clone());
    let mut host = setup.start().await;
    host.add_overdue(1);
    history.away.store(true, Ordering::SeqCst);
    host.faults.once(Step::BeginRun, 1, Fault::Panic);
    host.faults
        .once(Step::BeginRun, 2, Fault::Fail("no route".to_owned()));

    let crashed = host.run_now(Scope::All).await.expect("is not refused");
    let failed = next_report(&mut host.events, |next| next.run != crashed.run).await;
    let done = next_report(&mut host.events, |_| true).await;
    let away = host.history().await;
    let unsaved = host.status().await.unsaved_runs;
    history.away.store(false, Ordering::SeqCst);
    let _recovered = host.run_now(Scope::All).await;
    let written = host.history().await;

    let runs =
        |history: &History| -> Vec<_> { history.runs.iter().map(|line| line.report.run).collect() };
    assert_eq!(unsaved, 3);
    assert!(
        matches!(&away.source, HistorySource::Memory { reason } if reason.contains("the history is away")),
        "{away:?}"
    );
    assert_eq!(runs(&away), [done.run, failed.run, crashed.run]);
    assert_eq!(written.source, HistorySource::Database);
    assert_eq!(runs(&written), runs(&away));
    assert_eq!(host.status().await.unsaved_runs, 0);
}

#[tokio::test(start_paused = true)]
async fn unsaved_runs_take_bounded_memory() {
    let mut setup = Setup::new();
    let history = FailingHistory::default();
    history.away.store(true, Ordering::SeqCst);
    setup.arguments = setup.arguments.with_history(history.clone());
    let host = setup.start().await;

    let mut last = None;
    for _ in 0..150 {
        host.add_overdue(1);
        last = host.run_now(Scope::All).await.ok();
        // The history is ordered by time.
        tokio::time::sleep(seconds(1)).await;
    }
    let unsaved = host.status().await.unsaved_runs;
    history.away.store(false, Ordering::SeqCst);
    let _recovered = host.run_now(Scope::All).await;
    let history = host.history().await;

    assert_eq!(unsaved, 100);
    assert_eq!(history.runs.len(), 100);
    assert_eq!(
        history.runs.first().map(|line| line.report.run),
        last.map(|report| report.run)
    );
}

// ---- Helpers

impl Host {
    async fn history(&self) -> History {
        self.ask(|reply| HousekeeperMsg::History(BookingExpirer::NAME, 1_000, reply))
            .await
            .expect("is not refused")
    }
}

/// A history that can be away.
#[derive(Clone, Default)]
struct FailingHistory {
    runs: MemoryStore,
    away: Arc<AtomicBool>,
}

impl FailingHistory {
    fn check(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Schema("the history is away".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl RunHistory for FailingHistory {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        self.check()?;
        self.runs.record(runs, keep).await
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.check()?;
        self.runs.runs(job, limit).await
    }
}

/// The host's own message.
struct DeliveryMsg(Delivery);

struct ForwardingSubscriber;

async fn forwarding_subscriber() -> (ActorRef<DeliveryMsg>, mpsc::UnboundedReceiver<Delivery>) {
    let (sender, recorded) = mpsc::unbounded_channel();
    let (actor, _) = Actor::spawn(None, ForwardingSubscriber, sender)
        .await
        .expect("it starts");
    (actor, recorded)
}

#[ractor::actor(message = DeliveryMsg, state = mpsc::UnboundedSender<Delivery>, arguments = mpsc::UnboundedSender<Delivery>)]
impl ForwardingSubscriber {
    async fn pre_start(
        &self,
        _: ActorRef<DeliveryMsg>,
        sender: mpsc::UnboundedSender<Delivery>,
    ) -> Result<mpsc::UnboundedSender<Delivery>, ActorProcessingErr> {
        Ok(sender)
    }

    async fn handle(
        &self,
        _: ActorRef<DeliveryMsg>,
        DeliveryMsg(event): DeliveryMsg,
        sender: &mut mpsc::UnboundedSender<Delivery>,
    ) -> Result<(), ActorProcessingErr> {
        Ok(sender.send(event)?)
    }
}
