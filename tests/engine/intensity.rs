//! A worker that crashes too often.

use ractor::{Actor, ActorStatus};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::OnRestartLimit;
use ractor_housekeeper::model::{Event, Health, Trigger, WorkerStatus};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{Housekeeper, HousekeeperMsg, Outcome, Scope};
use tokio::time::Instant;
use uuid::Uuid;

use crate::helpers::{degraded, parent_actor};
use crate::support::host::{Setup, children, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn too_many_crashes_degrade_a_job_and_no_other() {
    let mut host = Setup::new().start().await;
    host.faults.always(Step::BeginRun, Fault::Panic);

    let _ = host.run_now(Scope::All).await;
    next_event(&mut host.events, |event| {
        matches!(event, Event::JobDegraded { .. })
    })
    .await;
    let sibling = host
        .ask(|reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply))
        .await
        .expect("is not refused");
    let status = host.ask(HousekeeperMsg::Status).await;

    assert_eq!(host.faults.calls(Step::BeginRun), 6);
    let job = &status.jobs[&BookingExpirer::NAME];
    assert!(
        matches!(&job.worker, WorkerStatus::Degraded { reason, .. } if reason.contains("a fault of BeginRun")),
        "{job:?}"
    );
    assert!(
        matches!(&job.health, Health::Degraded { reason } if reason.contains("a fault of BeginRun")),
        "{job:?}"
    );
    assert_eq!(sibling.outcome, Outcome::Completed);
    assert_eq!(status.jobs[&SessionCleaner::NAME].restarts, 0);
    assert_eq!(status.timer_restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn degrading_a_job_answers_its_waiting_callers() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 0;
    let host = setup.start().await;
    let gate = Gate::closed();
    host.faults
        .once(Step::BeginRun, 1, Fault::Hold(gate.clone()));
    let running = host.run_now(Scope::All);
    gate.reached().await;
    let queued = [
        host.run_now(Scope::All),
        host.run_now(Scope::user(Uuid::nil())),
    ];

    host.worker().kill();

    for answer in [running].into_iter().chain(queued) {
        let report = answer.await.expect("is not refused");
        assert!(
            matches!(
                report.outcome,
                Outcome::Crashed {
                    rows_at_least: 0,
                    ..
                }
            ),
            "{report}"
        );
    }
    assert_eq!(host.status().await.waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_completed_run_ends_the_degradation_even_for_one_user() {
    for scope in [Scope::All, Scope::user(Uuid::nil())] {
        let mut host = degraded().await;
        host.faults.clear();

        let report = host.run_now(scope).await.expect("is not refused");
        next_event(&mut host.events, |event| {
            matches!(event, Event::JobRecovered { .. })
        })
        .await;

        assert_eq!(report.outcome, Outcome::Completed);
        let status = host.status().await;
        // One user's run is followed by one of everything, which may be on its way.
        let works = matches!(status.worker, WorkerStatus::Idle | WorkerStatus::Running(_));
        assert!(works, "{:?}", status.worker);
        assert_ne!(status.health.as_str(), "degraded");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manual_run_of_a_degraded_job_is_one_attempt() {
    for fault in [Fault::Panic, Fault::Fail("no route".to_owned())] {
        let host = degraded().await;
        host.faults.clear();
        host.faults.always(Step::BeginRun, fault.clone());
        tokio::time::sleep(minutes(2)).await;

        let report = host.run_now(Scope::All).await.expect("is not refused");
        let status = host.status().await;

        assert_eq!(host.faults.calls(Step::BeginRun), 2, "{fault:?}");
        match (&fault, &report.outcome) {
            (Fault::Panic, Outcome::Crashed { .. }) => {}
            (
                Fault::Fail(_),
                Outcome::Failed {
                    retry_at: Some(at), ..
                },
            ) => {
                assert_eq!(*at - host.clock.now(), chrono::TimeDelta::minutes(5));
            }
            _ => panic!("{fault:?}: {report}"),
        }
        let WorkerStatus::Degraded { until, .. } = status.worker else {
            panic!("{fault:?}: {status:?}");
        };
        assert_eq!(
            until - host.clock.now(),
            chrono::TimeDelta::minutes(5),
            "{fault:?}"
        );
        // The worker of the attempt is gone: the other job's, and the timer.
        assert_eq!(host.housekeeper.get_children().len(), 2, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_degraded_job_is_tried_once_after_each_cool_down() {
    let mut host = degraded().await;
    let gate = Gate::closed();
    host.add_overdue(1);
    let rested = Instant::now();

    next_event(&mut host.events, |event| {
        matches!(event, Event::JobDegraded { .. })
    })
    .await;
    let again = rested.elapsed();
    host.faults.clear();
    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
    host.faults
        .once(Step::BeginRun, 2, Fault::Hold(gate.clone()));
    gate.reached().await;
    let third = rested.elapsed();
    tokio::time::sleep(seconds(5)).await;
    gate.open();
    next_event(&mut host.events, |event| {
        matches!(event, Event::JobRecovered { .. })
    })
    .await;

    assert_eq!((again.as_secs(), third.as_secs()), (5 * 60, 15 * 60));
    tokio::time::sleep(minutes(10)).await;
    assert_eq!(host.faults.calls(Step::BeginRun), 4);
    assert_eq!(host.expired().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_paused_degraded_job_is_tried_when_it_is_resumed() {
    let mut host = degraded().await;
    host.faults.clear();
    let _ = host
        .ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
        .await;

    tokio::time::sleep(minutes(20)).await;
    let calls = host.faults.calls(Step::BeginRun);
    let _ = host
        .ask(|reply| HousekeeperMsg::Resume(BookingExpirer::NAME, reply))
        .await;
    next_event(&mut host.events, |event| {
        matches!(event, Event::JobRecovered { .. })
    })
    .await;

    assert_eq!(calls, 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_users_run_ends_a_degradation_a_full_run_follows() {
    for paused in [false, true] {
        let mut host = degraded().await;
        host.faults.clear();
        if paused {
            let _ = host
                .ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
                .await;
        }

        let recovered = host.run_now(Scope::user(Uuid::nil())).await;
        tokio::time::sleep(seconds(60)).await;

        assert!(recovered.expect("is not refused").success());
        let mut others = 0;
        while let Ok(event) = host.events.try_recv() {
            others += u32::from(
                matches!(&*event.event, Event::RunFinished(report) if report.trigger == Trigger::Retry),
            );
        }
        assert_eq!(others, u32::from(!paused));
    }
}

#[tokio::test(start_paused = true)]
async fn escalation_fails_the_housekeeper_and_answers_every_caller() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 0;
    setup.config.restart.on_limit = OnRestartLimit::Escalate;
    let gate = Gate::closed();
    setup
        .faults
        .once(Step::BeginRun, 1, Fault::Hold(gate.clone()));
    setup
        .sibling_faults
        .once(Step::BeginRun, 1, Fault::Hold(gate.clone()));
    let arguments = setup.arguments.with_config(setup.config);
    let (parent_actor, mut seen) = parent_actor().await;
    let (housekeeper, handle) =
        Actor::spawn_linked(None, Housekeeper, arguments, parent_actor.get_cell())
            .await
            .expect("it starts");
    let ask = |job, scope| {
        let (reply, answer) = ractor::concurrency::oneshot();
        housekeeper
            .cast(HousekeeperMsg::RunNow(job, scope, reply.into()))
            .expect("it runs");
        answer
    };
    let crashing = ask(BookingExpirer::NAME, Scope::All);
    let queued = ask(BookingExpirer::NAME, Scope::All);
    gate.reached().await;
    let sibling = ask(SessionCleaner::NAME, Scope::All);
    let workers = children(&housekeeper);

    workers[0].kill();
    let crashed = crashing.await.expect("an answer").expect("is not refused");
    let others = [queued.await, sibling.await];
    let reason = seen.recv().await.expect("the parent_actor sees it");
    handle.await.expect("it stops");

    assert!(
        matches!(crashed.outcome, Outcome::Crashed { .. }),
        "{crashed}"
    );
    for answer in others {
        let report = answer.expect("an answer").expect("is not refused");
        assert_eq!(report.outcome, Outcome::ShuttingDown);
    }
    assert_eq!(reason, "booking-expirer crashed too often: killed");
    assert!(
        workers
            .iter()
            .all(|child| child.get_status() == ActorStatus::Stopped)
    );
}
