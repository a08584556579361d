//! The end, in every way.

use ractor::{ActorStatus, MessagingErr};
use ractor_housekeeper::actors::ignore_reply;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::model::{Event, HousekeeperState, WorkerStatus};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event, next_report};
use ractor_housekeeper::{HousekeeperMsg, Outcome, RequestError, Scope};
use tokio::time::Instant;
use uuid::Uuid;

use crate::support::host::{Setup, children, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_batch_in_flight_end_and_reports_it() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let (gate, answer) = host.in_second_batch().await;

    let stopped = host.shut_down(seconds(10));
    tokio::time::sleep(seconds(3)).await;
    let refused = host.run_now(Scope::All).await;
    let life = host.ask(HousekeeperMsg::Status).await.state;
    gate.open();
    let report = answer.await.expect("is not refused");
    stopped.await;
    host.housekeeper.wait(None).await.expect("it stops");

    assert_eq!(refused, Err(RequestError::ShuttingDown));
    assert_eq!(life, HousekeeperState::ShuttingDown);
    assert_eq!(report.outcome, Outcome::ShuttingDown);
    assert_eq!((report.counts.of("bookings"), report.batches), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_beyond_the_grace_is_killed_and_its_caller_answered() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let (_gate, answer) = host.in_second_batch().await;
    let asked = Instant::now();

    let stopped = host.shut_down(seconds(3));
    let report = answer.await.expect("is not refused");
    stopped.await;
    host.housekeeper.wait(None).await.expect("it stops");

    assert_eq!(report.outcome, Outcome::ShuttingDown);
    assert_eq!(report.counts.of("bookings"), 2);
    assert_eq!(asked.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn concurrent_shutdowns_are_answered_after_the_shortest_grace() {
    for graces in [[3, 60, 30], [60, 3, 30], [60, 30, 3]] {
        let host = Setup::new().start().await;
        host.add_overdue(5);
        let (_gate, answer) = host.in_second_batch().await;
        let asked = Instant::now();

        let stopped = graces.map(|grace| host.shut_down(seconds(grace)));
        for one in stopped {
            one.await;
        }

        assert!(answer.await.is_ok());
        assert_eq!(asked.elapsed().as_secs(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_a_restart_answers_the_queue() {
    let mut host = Setup::new().start().await;
    host.worker().kill();
    next_event(&mut host.events, |event| {
        matches!(event, Event::WorkerRestarting { .. })
    })
    .await;
    let queued = [
        host.run_now(Scope::All),
        host.run_now(Scope::user(Uuid::nil())),
    ];

    host.shut_down(seconds(10)).await;

    for answer in queued {
        assert_eq!(
            answer.await.expect("is not refused").outcome,
            Outcome::ShuttingDown
        );
    }
    host.housekeeper.wait(None).await.expect("it stops");
}

/// The callers are dropped by then, the subscribers are not.
#[tokio::test(start_paused = true)]
async fn a_shutdown_emits_the_end_of_a_run_whose_caller_timed_out() {
    let mut setup = Setup::new();
    setup.config.job.step_timeout = minutes(10);
    let mut host = setup.start().await;
    host.add_overdue(5);
    let (_gate, _running) = host.in_second_batch().await;
    let user = Scope::user(Uuid::nil());
    let ask = HousekeeperMsg::RunNow(BookingExpirer::NAME, user.clone(), ignore_reply());
    host.housekeeper.cast(ask).expect("it runs");
    tokio::time::sleep(minutes(2)).await;

    let stopped = host.shut_down(seconds(1));
    let turned_away = next_report(&mut host.events, |report| report.scope == user).await;
    stopped.await;

    assert_eq!(turned_away.outcome, Outcome::ShuttingDown);
}

#[tokio::test(start_paused = true)]
async fn the_timer_stops_first_and_the_workers_in_reverse() {
    let host = Setup::new().start().await;
    let gate = Gate::closed();
    host.sibling_faults
        .once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let cleaning =
        host.ask(|reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply));
    gate.reached().await;
    let children = children(&host.housekeeper);
    let alive = || {
        children
            .clone()
            .map(|child| child.get_status() < ActorStatus::Stopped)
    };

    let stopped = host.shut_down(seconds(10));
    tokio::time::sleep(seconds(1)).await;
    let held_up = alive();
    gate.open();
    stopped.await;
    host.housekeeper.wait(None).await.expect("it stops");

    // Expirer, cleaner, timer: the cleaner in its batch holds up the expirer, but not the timer.
    assert_eq!(held_up, [true, true, false]);
    assert_eq!(alive(), [false; 3]);
    assert_eq!(
        cleaning.await.expect("is not refused").outcome,
        Outcome::Completed
    );
}

#[tokio::test(start_paused = true)]
async fn a_plain_stop_answers_every_caller_and_leaves_no_child() {
    for outlasts in [false, true] {
        let host = Setup::new().start().await;
        host.add_overdue(5);
        let (gate, running) = host.in_second_batch().await;
        let queued = host.run_now(Scope::user(Uuid::nil()));
        let gathered = host.ask(HousekeeperMsg::RunAll);
        host.faults.once(Step::Preview, 1, Fault::Hang);
        let previewed = host.preview();
        tokio::time::sleep(seconds(1)).await;
        let children = host.housekeeper.get_children();

        host.housekeeper.stop(None);
        if !outlasts {
            gate.open();
        }
        let (running, queued) = (running.await, queued.await);
        let (gathered, previewed) = (gathered.await, previewed.await);
        host.housekeeper.wait(None).await.expect("it stops");

        assert_eq!(
            running.expect("is not refused").outcome,
            Outcome::ShuttingDown
        );
        assert_eq!(
            queued.expect("is not refused").outcome,
            Outcome::ShuttingDown
        );
        assert_eq!(gathered.expect("is not refused").len(), 2);
        assert_eq!(previewed, Err(RequestError::ShuttingDown));
        assert_eq!(children.len(), 4);
        for child in children {
            child.wait(Some(seconds(1))).await.expect("it is gone");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_housekeeper_ends_its_children_and_closes_channels() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
    let (reply, answer) = ractor::concurrency::oneshot();
    let ask = HousekeeperMsg::RunNow(BookingExpirer::NAME, Scope::All, reply.into());
    host.housekeeper.cast(ask).expect("it runs");
    gate.reached().await;
    let children = children(&host.housekeeper);

    host.housekeeper.kill();
    host.housekeeper.wait(None).await.expect("it stops");

    assert!(answer.await.is_err());
    let refused = host.housekeeper.cast(HousekeeperMsg::RunAll(
        ractor_housekeeper::actors::ignore_reply(),
    ));
    assert!(
        matches!(refused, Err(MessagingErr::SendErr(_))),
        "{refused:?}"
    );
    for child in children {
        child.wait(Some(seconds(1))).await.expect("it is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_never_began_before_a_shutdown_did_not_crash() {
    let host = Setup::new().start().await;

    let answer = host.run_now(Scope::All);
    let stopped = host.shut_down(seconds(10));
    host.worker().kill();
    let report = answer.await.expect("is not refused");
    stopped.await;

    assert_eq!(report.outcome, Outcome::ShuttingDown);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_emits_nothing_of_scheduled_runs_that_never_began() {
    let mut host = Setup::new().start().await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let running = host.run_now(Scope::All);
    gate.reached().await;
    // A resume runs once, and waits for the run in progress.
    for pause in [HousekeeperMsg::Pause, HousekeeperMsg::Resume] {
        let _ = host.ask(|reply| pause(BookingExpirer::NAME, reply)).await;
    }
    let waiting = host.status().await.waiting;

    let stopped = host.shut_down(seconds(10));
    gate.open();
    stopped.await;

    let running = running.await.expect("is not refused");
    let mut reported = Vec::new();
    while let Ok(event) = host.events.try_recv() {
        if let Event::RunFinished(report) = &*event.event {
            reported.push(report.run);
        }
    }
    assert_eq!(waiting, 1);
    assert_eq!(reported, [running.run]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_starts_no_worker_that_has_nothing_to_save() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 0;
    let mut host = setup.start().await;
    host.worker().kill();
    next_event(&mut host.events, |event| {
        matches!(event, Event::JobDegraded { .. })
    })
    .await;
    let gate = Gate::closed();
    host.sibling_faults
        .once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let cleaning =
        host.ask(|reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply));
    gate.reached().await;

    let stopped = host.shut_down(seconds(10));
    tokio::time::sleep(seconds(1)).await;
    let left = host.housekeeper.get_children().len();
    gate.open();
    stopped.await;

    assert_eq!(left, 1, "the cleaner's worker");
    assert!(cleaning.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_stopped_shows_so_while_others_run() {
    let host = Setup::new().start().await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let running = host.run_now(Scope::All);
    gate.reached().await;

    let stopped = host.shut_down(seconds(10));
    tokio::time::sleep(seconds(1)).await;
    let status = host.ask(HousekeeperMsg::Status).await;
    gate.open();
    stopped.await;

    let worker = |job| &status.jobs[&job].worker;
    assert_eq!(*worker(SessionCleaner::NAME), WorkerStatus::Stopped);
    assert!(matches!(
        worker(BookingExpirer::NAME),
        WorkerStatus::Running(_)
    ));
    assert!(running.await.is_ok());
}
