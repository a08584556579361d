//! How a housekeeper can end, and when.

use std::time::Duration;

use ractor::{ActorCell, ActorStatus, Message};
use ractor_housekeeper::actors::{status, stop};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::{JobConfig, Pace};
use ractor_housekeeper::model::{Event, HousekeeperState, WorkerStatus};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::{HousekeeperMsg, Outcome, RequestError, Scope, start};
use tokio::time::Instant;
use uuid::Uuid;

use crate::helpers::{TIMERS_COUNT_IN, degraded};
use crate::support::host::{Host, Setup, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn hanging_children_are_killed_when_the_grace_period_ends() {
    for grace in [Duration::ZERO, seconds(7)] {
        let host = Setup::new().start().await;
        host.add_overdue(5);
        let (_gate, running) = host.in_second_batch().await;
        host.sibling_faults.once(Step::BeginRun, 1, Fault::Hang);
        host.faults.once(Step::Preview, 1, Fault::Hang);
        let cleaning =
            host.ask(|reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply));
        let queued = host.run_now(Scope::All);
        let previewed = host.preview();
        let asked = Instant::now();

        let stopped = host.shut_down(grace);
        let reports = [queued.await, running.await, cleaning.await];
        let previewed = previewed.await;
        stopped.await;
        host.housekeeper.wait(None).await.expect("it stops");

        for report in reports {
            let outcome = report.expect("is not refused").outcome;
            assert_eq!(outcome, Outcome::ShuttingDown, "{grace:?}");
        }
        assert_eq!(previewed, Err(RequestError::ShuttingDown), "{grace:?}");
        let took = asked.elapsed();
        assert!(
            (grace..grace + TIMERS_COUNT_IN).contains(&took),
            "{took:?} with {grace:?}"
        );
        assert_nothing_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_children_in_any_state() {
    for at in ["rest", "degradation", "trial", "pause", "preview", "timer"] {
        let mut host = match at {
            "degradation" | "trial" => degraded().await,
            _ => unhurried().start().await,
        };
        host.add_overdue(5);
        let gate = Gate::closed();
        let mut running = None;
        match at {
            "rest" => {
                host.worker().kill();
                next_restart(&mut host).await;
                running = Some(host.run_now(Scope::All));
            }
            "trial" => {
                host.faults
                    .once(Step::BeginRun, 1, Fault::Hold(gate.clone()));
                running = Some(host.run_now(Scope::All));
                gate.reached().await;
            }
            "pause" => {
                running = Some(host.run_now(Scope::All));
                next_event(&mut host.events, |news| {
                    matches!(news, Event::BatchCommitted { .. })
                })
                .await;
            }
            "preview" => host.faults.once(Step::Preview, 1, Fault::Hang),
            "timer" => {
                host.child("timer").kill();
                next_event(&mut host.events, |news| {
                    matches!(news, Event::TimerRestarted { .. })
                })
                .await;
            }
            _ => {}
        }
        let previewed = (at == "preview").then(|| host.preview());
        let asked = Instant::now();

        let stopped = host.shut_down(minutes(5));
        let refused = host.run_now(Scope::All).await;
        gate.open();
        stopped.await;
        host.housekeeper.wait(None).await.expect("it stops");

        assert_eq!(refused, Err(RequestError::ShuttingDown), "{at}");
        if let Some(answer) = running {
            let outcome = answer.await.expect("is not refused").outcome;
            assert_eq!(outcome, Outcome::ShuttingDown, "{at}");
        }
        if let Some(answer) = previewed {
            assert_eq!(answer.await, Err(RequestError::ShuttingDown));
        }
        assert_eq!(asked.elapsed(), Duration::ZERO, "{at}");
        assert_nothing_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn draining_answers_earlier_messages_and_lets_batches_end() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let (gate, running) = host.in_second_batch().await;
    let queued = host.run_now(Scope::user(Uuid::nil()));
    let asked = host.ask(HousekeeperMsg::Status);

    host.housekeeper.drain().expect("it runs");
    let status = asked.await;
    gate.open();
    let outcomes = [running.await, queued.await].map(|report| report.map(|it| it.outcome));
    host.housekeeper.wait(None).await.expect("it stops");

    let status = &status.jobs[&BookingExpirer::NAME];
    assert!(
        matches!(status.worker, WorkerStatus::Running(_)),
        "{status:?}"
    );
    assert_eq!(
        outcomes,
        [Ok(Outcome::ShuttingDown), Ok(Outcome::ShuttingDown)]
    );
    assert_eq!(host.expired().len(), 4);
    assert_nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn an_aborted_housekeeper_ends_its_children_and_frees_its_name() {
    for aborted in [true, false] {
        let setup = Setup::new();
        setup.faults.once(Step::BeginRun, 1, Fault::Hang);
        setup.faults.once(Step::Preview, 1, Fault::Hang);
        let arguments = setup.arguments.with_config(setup.config);
        let first = start(Some("cut off"), arguments).await.expect("it starts");
        let (run, running) =
            ask(|reply| HousekeeperMsg::RunNow(BookingExpirer::NAME, Scope::All, reply));
        let (shutdown, stopping) = ask(|reply| HousekeeperMsg::Shutdown(minutes(1), reply));
        let page = ractor_housekeeper::job::Page::default();
        let (preview, previewing) =
            ask(|reply| HousekeeperMsg::Preview(BookingExpirer::NAME, Scope::All, page, reply));
        for message in [run, preview, shutdown] {
            first.housekeeper.cast(message).expect("it runs");
        }
        tokio::time::sleep(seconds(1)).await;
        let children = first.housekeeper.get_children();

        let handle = first.handle;
        if aborted {
            handle.abort();
        } else {
            first.housekeeper.kill();
        }
        let ended = handle.await;
        let life = status("cut off").await.state;
        let _second = start(Some("cut off"), Setup::new().arguments)
            .await
            .expect("it starts");

        assert_eq!(ended.is_err(), aborted);
        assert!(running.await.is_err() && previewing.await.is_err() && stopping.await.is_err());
        assert_eq!(life, HousekeeperState::Stopped);
        // The timer and the other worker had left by then.
        assert_eq!(children.len(), 2);
        for child in children {
            assert_eq!(child.get_status(), ActorStatus::Stopped, "{aborted}");
        }
        stop("cut off", seconds(1)).await.expect("it runs");
        assert_nothing_is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_stops_by_name_are_all_answered() {
    let started = start(Some("popular"), Setup::new().arguments)
        .await
        .expect("it starts");

    let stops: Vec<_> = (0..20)
        .map(|grace| tokio::spawn(stop("popular", seconds(grace))))
        .collect();
    for one in stops {
        // Later callers get an error.
        let _ = one.await.expect("no panic");
    }

    started.housekeeper.wait(None).await.expect("it is gone");
    assert_eq!(status("popular").await.state, HousekeeperState::Stopped);
    assert!(stop("popular", seconds(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_may_shorten_the_grace_but_not_lengthen_it() {
    for (second, ends_s) in [(2, 3), (60, 10)] {
        let host = Setup::new().start().await;
        host.add_overdue(5);
        let (_gate, running) = host.in_second_batch().await;
        let asked = Instant::now();

        let first = host.shut_down(seconds(10));
        tokio::time::sleep(seconds(1)).await;
        let second = host.shut_down(seconds(second));
        first.await;
        second.await;

        assert_eq!(
            running.await.expect("is not refused").outcome,
            Outcome::ShuttingDown
        );
        assert_eq!(asked.elapsed().as_secs(), ends_s);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_stop_does_not_lengthen_the_grace() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let (_gate, running) = host.in_second_batch().await;
    let asked = Instant::now();

    let stopped = host.shut_down(seconds(3));
    tokio::time::sleep(seconds(1)).await;
    host.housekeeper.stop(None);
    stopped.await;

    assert_eq!(
        running.await.expect("is not refused").outcome,
        Outcome::ShuttingDown
    );
    assert_eq!(asked.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_worker_crash_during_shutdown_delays_nothing() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let (_gate, running) = host.in_second_batch().await;
    let asked = Instant::now();

    let stopped = host.shut_down(minutes(5));
    let worker: ActorCell = host.worker();
    worker.kill();
    let report = running.await.expect("is not refused");
    stopped.await;

    assert!(
        matches!(
            report.outcome,
            Outcome::Crashed {
                rows_at_least: 2,
                ..
            }
        ),
        "{report}"
    );
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

/// Pauses of minutes between batches, and rests of minutes.
fn unhurried() -> Setup {
    let mut setup = Setup::new();
    setup.config.restart.backoff.first = minutes(2);
    setup.config.restart.backoff.max = minutes(2);
    let expirer = JobConfig {
        pace: Pace {
            min_pause: minutes(1),
            max_pause: minutes(1),
            ..setup.config.job.pace.clone()
        },
        ..setup.config.job.clone()
    };
    setup.config.jobs.insert(BookingExpirer::NAME, expirer);
    setup
}

async fn next_restart(host: &mut Host) {
    next_event(&mut host.events, |news| {
        matches!(news, Event::WorkerRestarting { .. })
    })
    .await;
}

/// No actor, no timer, no message on its way.
async fn assert_nothing_is_left() {
    // A task that has ended is still counted until the runtime has had its turn.
    tokio::time::sleep(minutes(10)).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0);
}

fn ask<T: Message, M>(
    message: impl FnOnce(ractor::RpcReplyPort<T>) -> M,
) -> (M, ractor::concurrency::OneshotReceiver<T>) {
    let (reply, answer) = ractor::concurrency::oneshot();
    (message(reply.into()), answer)
}
