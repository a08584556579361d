//! A worker that crashes: its run is answered, and it restarts.

use ractor::ActorCell;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::model::{Event, FailureKind, Health, Trigger, WorkerStatus};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event, next_report};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, Outcome, Scope};

use crate::support::host::{Setup, seconds};

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_batch_reports_earlier_rows_and_a_retry_finishes() {
    let mut host = Setup::new().start().await;
    host.add_overdue(5);
    host.faults.once(Step::Batch, 2, Fault::Panic);

    let report = host.run_now(Scope::All).await.expect("is not refused");
    let retried = next_report(&mut host.events, |next| next.run != report.run).await;

    let Outcome::Crashed {
        reason,
        rows_at_least,
    } = report.outcome
    else {
        panic!("{report}");
    };
    assert!(reason.contains("a fault of Batch"), "{reason}");
    assert_eq!((rows_at_least, report.counts.of("bookings")), (2, 2));
    assert_eq!(retried.outcome, Outcome::Completed);
    assert_eq!(retried.trigger, Trigger::Retry);
    assert_eq!(retried.counts.of("bookings"), 3);
    assert_eq!(host.expired().len(), 5);
    assert_eq!(host.status().await.restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn killing_or_stopping_a_worker_in_a_batch_is_a_crash() {
    type Death = (fn(&ActorCell), &'static str, u64);
    let deaths: [Death; 2] = [
        (|worker| worker.kill(), "killed", 2),
        // A stop lets the batch in flight end, and its rows are known.
        (|worker| worker.stop(None), "stopped", 4),
    ];

    for (end, expected_reason, expected_rows) in deaths {
        let mut host = Setup::new().start().await;
        host.add_overdue(5);
        let gate = Gate::closed();
        host.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
        let answer = host.run_now(Scope::All);
        gate.reached().await;

        end(&host.worker());
        gate.open();
        let report = answer.await.expect("is not refused");
        let retried = next_report(&mut host.events, |next| next.run != report.run).await;

        let Outcome::Crashed {
            reason,
            rows_at_least,
        } = report.outcome
        else {
            panic!("{report}");
        };
        assert_eq!(
            (reason.as_str(), rows_at_least),
            (expected_reason, expected_rows)
        );
        assert_eq!(retried.outcome, Outcome::Completed);
        assert_eq!(retried.counts.of("bookings"), 5 - expected_rows);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_any_step_of_a_run_is_a_crash_and_is_retried() {
    for (step, rows) in [(Step::Check, 0), (Step::BeginRun, 0), (Step::Forecast, 3)] {
        let mut host = Setup::new().start().await;
        host.add_overdue(3);
        host.faults.once(step, 1, Fault::Panic);

        let report = host.run_now(Scope::All).await.expect("is not refused");
        let retried = next_report(&mut host.events, |next| next.run != report.run).await;

        assert!(
            matches!(&report.outcome, Outcome::Crashed { rows_at_least, .. } if *rows_at_least == rows),
            "{step:?}: {report}"
        );
        assert_eq!(retried.outcome, Outcome::Completed, "{step:?}");
        assert_eq!(host.expired().len(), 3, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_worker_checks_its_database_once() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Batch, 2, Fault::Panic);

    for _ in 0..4 {
        let _ = host.run_now(Scope::All).await;
    }

    assert_eq!(host.faults.calls(Step::Check), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_costs_no_restart_and_is_retried_as_reported() {
    for step in [Step::Check, Step::BeginRun, Step::Batch, Step::Forecast] {
        let mut host = Setup::new().start().await;
        host.add_overdue(1);
        host.faults
            .once(step, 1, Fault::Fail("no route".to_owned()));

        let asked_at = host.clock.now();
        let report = host.run_now(Scope::All).await.expect("is not refused");
        let failing = host.status().await;
        let retried = next_report(&mut host.events, |next| next.run != report.run).await;

        let Outcome::Failed {
            failure,
            error,
            retry_at,
        } = report.outcome
        else {
            panic!("{step:?}: {report}");
        };
        assert_eq!(
            (failure, error.as_str()),
            (FailureKind::Job, "no route"),
            "{step:?}"
        );
        let wait = (retry_at.expect("is retried") - asked_at)
            .to_std()
            .expect("is ahead");
        assert!((seconds(1) / 2..=seconds(1)).contains(&wait), "{wait:?}");
        assert!(
            matches!(failing.health, Health::Failing { .. }),
            "{failing:?}"
        );
        assert_eq!(retried.outcome, Outcome::Completed, "{step:?}");
        assert_eq!(retried.trigger, Trigger::Retry, "{step:?}");
        let late = retried.started_at - retry_at.expect("is retried");
        assert!(late.num_milliseconds() <= 2, "{late}");
        let status = host.status().await;
        assert_eq!((status.restarts, status.health), (0, Health::Healthy));
    }
}

#[tokio::test(start_paused = true)]
async fn retries_after_failures_back_off_up_to_the_maximum() {
    let mut host = Setup::new().start().await;
    host.faults
        .always(Step::BeginRun, Fault::Fail("no route".to_owned()));
    let mut answer = Some(host.run_now(Scope::All));

    for whole in [1, 2, 4, 8, 16, 32, 60, 60] {
        if let Some(answer) = answer.take() {
            let _ = answer.await;
        }
        let report = next_report(&mut host.events, |_| true).await;

        let Outcome::Failed {
            retry_at: Some(at), ..
        } = report.outcome
        else {
            panic!("{report}");
        };
        let wait = (at - report.started_at).to_std().expect("is ahead");
        assert!(
            (seconds(whole) / 2..=seconds(whole)).contains(&wait),
            "{whole} s: {wait:?}"
        );
    }
    assert_eq!(host.status().await.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_success_makes_the_next_failure_the_first_again() {
    let host = Setup::new().start().await;
    let fail = || {
        host.faults
            .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
        host.run_now(Scope::All)
    };
    for _ in 0..5 {
        let _ = fail().await;
    }

    let succeeded = host.run_now(Scope::All).await.expect("is not refused");
    let failed = fail().await.expect("is not refused");

    assert!(succeeded.success());
    let Outcome::Failed {
        retry_at: Some(at), ..
    } = failed.outcome
    else {
        panic!("{failed}");
    };
    assert!(at - failed.started_at <= chrono::TimeDelta::seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_exits_after_its_report_has_not_crashed() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = u32::MAX;
    setup.config.restart.backoff.max = seconds(1);
    let host = setup.start().await;

    for round in 0..1_000 {
        let gate = Gate::closed();
        host.faults
            .once(Step::Forecast, 1, Fault::Hold(gate.clone()));
        let answer = host.run_now(Scope::All);
        gate.reached().await;

        host.worker().stop(None);
        gate.open();
        let report = answer.await.expect("is not refused");

        assert_eq!(report.outcome, Outcome::Completed, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_killed_worker_never_began_goes_to_the_next() {
    for round in 0..100 {
        let mut host = Setup::new().start().await;
        host.add_overdue(1);

        let answer = host.run_now(Scope::All);
        host.worker().kill();
        let report = answer.await.expect("is not refused");

        assert_eq!(report.outcome, Outcome::Completed, "round {round}");
        assert_eq!(report.trigger, Trigger::Manual, "round {round}");
        let started = next_event(&mut host.events, |news| {
            matches!(news, Event::RunStarted { .. })
        })
        .await;
        assert!(
            matches!(&*started, Event::RunStarted { run, .. } if *run == report.run),
            "round {round}"
        );
        assert_eq!(host.status().await.restarts, 1, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_requested_during_a_restart_waits_for_the_worker() {
    let mut setup = Setup::new();
    setup.config.restart.backoff.first = seconds(10);
    let mut host = setup.start().await;
    host.worker().kill();
    let restarting = next_event(&mut host.events, |news| {
        matches!(news, Event::WorkerRestarting { .. })
    })
    .await;
    let Event::WorkerRestarting { at, .. } = &*restarting else {
        unreachable!()
    };

    let answer = host.run_now(Scope::All);
    let meanwhile = host.status().await;
    let report = answer.await.expect("is not refused");

    assert!(
        matches!(meanwhile.worker, WorkerStatus::Restarting { .. }),
        "{meanwhile:?}"
    );
    assert_eq!(meanwhile.waiting, 1);
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(report.started_at >= *at);
}

#[tokio::test(start_paused = true)]
async fn a_crash_of_a_paused_job_is_not_retried() {
    let host = Setup::new().start().await;
    let _ = host
        .ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
        .await;
    host.faults.once(Step::BeginRun, 1, Fault::Panic);

    let report = host.run_now(Scope::All).await.expect("is not refused");
    tokio::time::sleep(seconds(60)).await;

    assert!(
        matches!(report.outcome, Outcome::Crashed { .. }),
        "{report}"
    );
    assert_eq!(host.faults.calls(Step::BeginRun), 1);
    let status = host.status().await;
    // Without a history no record is unsaved.
    assert_eq!(
        (status.worker, status.unsaved_runs),
        (WorkerStatus::Idle, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn status_shows_a_runs_rows_and_a_crash_reports_its_time() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let (_gate, answer) = host.in_second_batch().await;
    tokio::time::sleep(seconds(7)).await;

    let WorkerStatus::Running(run) = host.status().await.worker else {
        panic!("it is at the gate")
    };
    host.worker().kill();
    let report = answer.await.expect("is not refused");

    assert_eq!((run.batches, run.rows), (1, 2));
    assert_eq!(report.elapsed.as_secs(), 7);
}
