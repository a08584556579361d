//! What dies, what is started again, and that everybody is answered.

use std::time::Duration;

use async_trait::async_trait;
use ractor::{
    Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, MessagingErr, SupervisionEvent,
    call,
};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event, next_report};
use ractor_housekeeper::{
    Batch, Beyond, BookingExpirer, Clock, ConfigError, Health, HistorySource, Housekeeper,
    HousekeeperArguments, HousekeeperMsg, Job, JobError, JobName, Life, News, Outcome, Outlook,
    Page, Pass, Preview, PreviewRows, Refusal, Report, Scope, SessionCleaner, StartError,
    Subscriber, Trigger, Window, WorkerStatus, start, status, stop,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use support::{Host, Setup, children, minutes, seconds};

mod support;

// ---- Deaths of a worker

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_batch_is_answered_with_the_rows_before_it_and_the_rest_is_done_by_itself() {
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
    assert!(reason.contains("Batch was told to panic"), "{reason}");
    assert_eq!((rows_at_least, report.counts.of("bookings")), (2, 2));
    assert_eq!(retried.outcome, Outcome::Completed);
    assert_eq!(retried.trigger, Trigger::Retry);
    assert_eq!(retried.counts.of("bookings"), 3);
    assert_eq!(host.expired().len(), 5);
    assert_eq!(host.status().await.restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_killed_or_stopped_in_a_batch_is_a_crash_with_what_it_committed() {
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
    for (step, rows) in [(Step::Check, 0), (Step::Open, 0), (Step::Outlook, 3)] {
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
async fn every_life_of_a_worker_checks_its_database_once() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Batch, 2, Fault::Panic);

    for _ in 0..4 {
        let _ = host.run_now(Scope::All).await;
    }

    assert_eq!(host.faults.calls(Step::Check), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expected_failure_costs_no_restart_and_is_retried_when_the_report_says() {
    for step in [Step::Check, Step::Open, Step::Batch, Step::Outlook] {
        let mut host = Setup::new().start().await;
        host.add_overdue(1);
        host.faults
            .once(step, 1, Fault::Fail("no route".to_owned()));

        let asked_at = host.clock.now();
        let report = host.run_now(Scope::All).await.expect("is not refused");
        let failing = host.status().await;
        let retried = next_report(&mut host.events, |next| next.run != report.run).await;

        let Outcome::Failed { error, retry_at } = report.outcome else {
            panic!("{step:?}: {report}");
        };
        assert_eq!(error, "no route", "{step:?}");
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
async fn failures_in_a_row_are_retried_ever_later_up_to_the_longest_wait() {
    let mut host = Setup::new().start().await;
    host.faults
        .always(Step::Open, Fault::Fail("no route".to_owned()));
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
async fn a_worker_that_dies_right_after_its_report_has_not_crashed() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = u32::MAX;
    setup.config.restart.backoff.longest = seconds(1);
    let host = setup.start().await;

    for round in 0..1_000 {
        let gate = Gate::closed();
        host.faults
            .once(Step::Outlook, 1, Fault::Hold(gate.clone()));
        let answer = host.run_now(Scope::All);
        gate.reached().await;

        host.worker().stop(None);
        gate.open();
        let report = answer.await.expect("is not refused");

        assert_eq!(report.outcome, Outcome::Completed, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_worker_is_killed_before_it_takes_it_up_is_run_by_the_next_worker() {
    for round in 0..100 {
        let mut host = Setup::new().start().await;
        host.add_overdue(1);

        let answer = host.run_now(Scope::All);
        host.worker().kill();
        let report = answer.await.expect("is not refused");

        assert_eq!(report.outcome, Outcome::Completed, "round {round}");
        assert_eq!(report.trigger, Trigger::Manual, "round {round}");
        let started = next_event(&mut host.events, |news| {
            matches!(news, News::RunStarted { .. })
        })
        .await;
        assert!(
            matches!(&*started, News::RunStarted { run, .. } if *run == report.run),
            "round {round}"
        );
        assert_eq!(host.status().await.restarts, 1, "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_asked_for_while_the_worker_restarts_waits_for_it() {
    let mut setup = Setup::new();
    setup.config.restart.backoff.first = seconds(10);
    let mut host = setup.start().await;
    host.worker().kill();
    let restarting = next_event(&mut host.events, |news| {
        matches!(news, News::WorkerRestarting { .. })
    })
    .await;
    let News::WorkerRestarting { at, .. } = &*restarting else {
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

// ---- Beyond the intensity

#[tokio::test(start_paused = true)]
async fn a_job_that_dies_too_often_is_degraded_while_siblings_and_timer_go_on() {
    let mut host = Setup::new().start().await;
    host.faults.always(Step::Open, Fault::Panic);

    let _ = host.run_now(Scope::All).await;
    next_event(&mut host.events, |news| {
        matches!(news, News::JobDegraded { .. })
    })
    .await;
    let sibling = host
        .ask(|reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply))
        .await
        .expect("is not refused");
    let status = host.ask(HousekeeperMsg::Status).await;

    assert_eq!(host.faults.calls(Step::Open), 6);
    let job = &status.jobs[&BookingExpirer::NAME];
    assert!(
        matches!(&job.worker, WorkerStatus::Degraded { reason, .. } if reason.contains("Open was told to panic")),
        "{job:?}"
    );
    assert!(
        matches!(&job.health, Health::Degraded { reason } if reason.contains("panic")),
        "{job:?}"
    );
    assert_eq!(sibling.outcome, Outcome::Completed);
    assert_eq!(status.jobs[&SessionCleaner::NAME].restarts, 0);
    assert_eq!(status.timer_restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_job_are_answered_when_it_is_degraded() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 0;
    let host = setup.start().await;
    let gate = Gate::closed();
    host.faults.once(Step::Open, 1, Fault::Hold(gate.clone()));
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
async fn a_run_that_completes_ends_the_degradation_also_one_for_a_user() {
    for scope in [Scope::All, Scope::user(Uuid::nil())] {
        let mut host = degraded().await;
        host.faults.clear();

        let report = host.run_now(scope).await.expect("is not refused");
        next_event(&mut host.events, |news| {
            matches!(news, News::JobRecovered { .. })
        })
        .await;

        assert_eq!(report.outcome, Outcome::Completed);
        let status = host.status().await;
        assert_eq!(status.worker, WorkerStatus::Idle);
        assert_ne!(status.health.word(), "degraded");
    }
}

#[tokio::test(start_paused = true)]
async fn asking_a_degraded_job_to_run_is_one_attempt_after_which_it_rests_anew() {
    for fault in [Fault::Panic, Fault::Fail("no route".to_owned())] {
        let host = degraded().await;
        host.faults.clear();
        host.faults.always(Step::Open, fault.clone());
        tokio::time::sleep(minutes(2)).await;

        let report = host.run_now(Scope::All).await.expect("is not refused");
        let status = host.status().await;

        assert_eq!(host.faults.calls(Step::Open), 2, "{fault:?}");
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
    }
}

#[tokio::test(start_paused = true)]
async fn a_degraded_job_is_tried_once_after_each_cool_down() {
    let mut host = degraded().await;
    let gate = Gate::closed();
    host.add_overdue(1);
    let rested = Instant::now();

    next_event(&mut host.events, |news| {
        matches!(news, News::JobDegraded { .. })
    })
    .await;
    let again = rested.elapsed();
    host.faults.clear();
    host.faults
        .once(Step::Open, 1, Fault::Fail("no route".to_owned()));
    host.faults.once(Step::Open, 2, Fault::Hold(gate.clone()));
    gate.reached().await;
    let third = rested.elapsed();
    tokio::time::sleep(seconds(5)).await;
    gate.open();
    next_event(&mut host.events, |news| {
        matches!(news, News::JobRecovered { .. })
    })
    .await;

    assert_eq!((again.as_secs(), third.as_secs()), (5 * 60, 15 * 60));
    tokio::time::sleep(minutes(10)).await;
    assert_eq!(host.faults.calls(Step::Open), 4);
    assert_eq!(host.expired().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_degraded_job_that_is_paused_is_not_tried_by_itself_but_at_the_resume() {
    let mut host = degraded().await;
    host.faults.clear();
    let _ = host
        .ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
        .await;

    tokio::time::sleep(minutes(20)).await;
    let calls = host.faults.calls(Step::Open);
    let _ = host
        .ask(|reply| HousekeeperMsg::Resume(BookingExpirer::NAME, reply))
        .await;
    next_event(&mut host.events, |news| {
        matches!(news, News::JobRecovered { .. })
    })
    .await;

    assert_eq!(calls, 1);
}

#[tokio::test(start_paused = true)]
async fn escalation_stops_the_housekeeper_with_an_error_and_everybody_is_answered() {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 0;
    setup.config.restart.beyond = Beyond::Escalate;
    let gate = Gate::closed();
    setup.faults.once(Step::Open, 1, Fault::Hold(gate.clone()));
    setup
        .sibling_faults
        .once(Step::Open, 1, Fault::Hold(gate.clone()));
    let arguments = setup.arguments.with_config(setup.config);
    let (overseer, mut seen) = overseer().await;
    let (housekeeper, handle) =
        Actor::spawn_linked(None, Housekeeper, arguments, overseer.get_cell())
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
    let reason = seen.recv().await.expect("the overseer sees it");
    handle.await.expect("it stops");

    assert!(
        matches!(crashed.outcome, Outcome::Crashed { .. }),
        "{crashed}"
    );
    for answer in others {
        let report = answer.expect("an answer").expect("is not refused");
        assert_eq!(report.outcome, Outcome::ShuttingDown);
    }
    assert_eq!(reason, "booking-expirer died too often: killed");
    assert!(
        workers
            .iter()
            .all(|child| child.get_status() == ActorStatus::Stopped)
    );
}

// ---- The readers

#[tokio::test(start_paused = true)]
async fn a_preview_that_panics_is_refused_and_costs_no_worker() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Preview, 1, Fault::Panic);

    let refused = host.preview().await;
    let answered = host.preview().await;

    let Err(Refusal::Failed { error, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.contains("Preview was told to panic"), "{error}");
    assert!(answered.is_ok());
    assert_eq!(host.status().await.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_preview_that_hangs_is_refused_after_the_step_limit() {
    let host = Setup::new().start().await;
    host.faults.once(Step::Preview, 1, Fault::Hang);

    let refused = host.preview().await;

    assert_eq!(
        refused.expect_err("is refused").to_string(),
        "could not preview booking-expirer: could not read the preview within 30s"
    );
}

#[tokio::test(start_paused = true)]
async fn status_preview_and_history_are_answered_at_once_in_every_state() {
    type State = (&'static str, fn(&WorkerStatus) -> bool);
    let table: [State; 4] = [
        ("restarting", |worker| {
            matches!(worker, WorkerStatus::Restarting { .. })
        }),
        ("degraded", |worker| {
            matches!(worker, WorkerStatus::Degraded { .. })
        }),
        ("hung", |worker| matches!(worker, WorkerStatus::Running(_))),
        ("paused", |worker| matches!(worker, WorkerStatus::Idle)),
    ];

    for (name, is_state) in table {
        let mut host = if name == "degraded" {
            degraded().await
        } else {
            Setup::new().start().await
        };
        host.add_overdue(3);
        match name {
            "restarting" => {
                host.worker().kill();
                next_event(&mut host.events, |news| {
                    matches!(news, News::WorkerRestarting { .. })
                })
                .await;
            }
            "hung" => {
                let gate = Gate::closed();
                host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
                drop(host.run_now(Scope::All));
                gate.reached().await;
            }
            "paused" => {
                let _ = host
                    .ask(|reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply))
                    .await;
            }
            _ => {}
        }
        let asked = Instant::now();

        let status = host.status().await;
        let preview = host.preview().await.expect("is not refused");
        let history = host
            .ask(|reply| HousekeeperMsg::History(BookingExpirer::NAME, 10, reply))
            .await
            .expect("is not refused");

        assert!(is_state(&status.worker), "{name}: {status:?}");
        assert_eq!(preview.due.count, 3, "{name}");
        assert!(
            matches!(history.source, HistorySource::Memory { .. }),
            "{name}"
        );
        assert_eq!(asked.elapsed(), Duration::ZERO, "{name}");
    }
}

// ---- Stopping

#[tokio::test(start_paused = true)]
async fn a_shutdown_lets_the_batch_in_flight_end_and_reports_what_was_done() {
    let host = Setup::new().start().await;
    host.add_overdue(5);
    let (gate, answer) = host.in_second_batch().await;

    let stopped = host.shut_down(seconds(10));
    tokio::time::sleep(seconds(3)).await;
    let refused = host.run_now(Scope::All).await;
    let life = host.ask(HousekeeperMsg::Status).await.life;
    gate.open();
    let report = answer.await.expect("is not refused");
    stopped.await;
    host.housekeeper.wait(None).await.expect("it stops");

    assert_eq!(refused, Err(Refusal::ShuttingDown));
    assert_eq!(life, Life::ShuttingDown);
    assert_eq!(report.outcome, Outcome::ShuttingDown);
    assert_eq!((report.counts.of("bookings"), report.batches), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_outlasts_the_grace_is_killed_and_its_waiter_answered() {
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
async fn two_shutdowns_at_once_are_both_answered_and_the_shorter_grace_counts() {
    for graces in [[3, 60], [60, 3]] {
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
async fn a_shutdown_while_a_worker_restarts_answers_what_is_queued() {
    let mut host = Setup::new().start().await;
    host.worker().kill();
    next_event(&mut host.events, |news| {
        matches!(news, News::WorkerRestarting { .. })
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
async fn a_plain_stop_answers_everybody_and_leaves_no_child() {
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
        assert_eq!(previewed, Err(Refusal::ShuttingDown));
        assert_eq!(children.len(), 4);
        for child in children {
            child.wait(Some(seconds(1))).await.expect("it is gone");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_housekeeper_takes_its_children_along_and_its_askers_see_the_closed_channel() {
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
    let refused = host
        .housekeeper
        .cast(HousekeeperMsg::RunAll(ractor_housekeeper::unanswered()));
    assert!(
        matches!(refused, Err(MessagingErr::SendErr(_))),
        "{refused:?}"
    );
    for child in children {
        child.wait(Some(seconds(1))).await.expect("it is gone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_no_worker_took_up_before_the_shutdown_did_not_crash() {
    let host = Setup::new().start().await;

    let answer = host.run_now(Scope::All);
    let stopped = host.shut_down(seconds(10));
    host.worker().kill();
    let report = answer.await.expect("is not refused");
    stopped.await;

    assert_eq!(report.outcome, Outcome::ShuttingDown);
}

// ---- Bugs of the host's

#[tokio::test(start_paused = true)]
async fn a_job_or_subscriber_that_panics_in_the_housekeepers_hands_costs_only_itself() {
    let setup = Setup::new();
    let arguments = setup.arguments.with_job(Touchy).with_config(setup.config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let (overseer, _seen) = overseer().await;
    let subscriber = Subscriber::actor(&overseer, |_| panic!("the subscriber is touchy"));
    housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");

    let run = call!(
        housekeeper,
        HousekeeperMsg::RunNow,
        Touchy.name(),
        Scope::All
    );
    let page = Page::default();
    let preview = call!(
        housekeeper,
        HousekeeperMsg::Preview,
        Touchy.name(),
        Scope::All,
        page
    );
    let sibling = call!(
        housekeeper,
        HousekeeperMsg::RunNow,
        BookingExpirer::NAME,
        Scope::All
    );

    let refusal = Refusal::Scope {
        job: Touchy.name(),
        problem: "the job panicked: the job is touchy".to_owned(),
    };
    assert_eq!(run.expect("it runs"), Err(refusal.clone()));
    assert_eq!(preview.expect("it runs"), Err(refusal));
    assert_eq!(
        sibling.expect("it runs").expect("is not refused").outcome,
        Outcome::Completed
    );
}

// ---- Names and settings

#[tokio::test(start_paused = true)]
async fn a_second_start_under_a_name_hands_back_the_first() {
    let name = Some("twice");

    let first = start(name, Setup::new().arguments)
        .await
        .expect("it starts");
    let second = start(name, Setup::new().arguments).await.expect("it runs");

    assert!(!first.was_running());
    assert!(second.was_running());
    assert_eq!(first.housekeeper.get_id(), second.housekeeper.get_id());
    stop("twice", seconds(1)).await.expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn a_start_while_the_old_one_shuts_down_waits_and_starts_a_new_one() {
    let setup = Setup::new();
    let gate = Gate::closed();
    setup.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let old = start(Some("successor"), setup.arguments)
        .await
        .expect("it starts");
    let run = HousekeeperMsg::RunNow(
        BookingExpirer::NAME,
        Scope::All,
        ractor_housekeeper::unanswered(),
    );
    old.housekeeper.cast(run).expect("it runs");
    gate.reached().await;
    let shutdown = HousekeeperMsg::Shutdown(seconds(30), ractor_housekeeper::unanswered());
    old.housekeeper.cast(shutdown).expect("it runs");

    let starting = tokio::spawn(start(Some("successor"), Setup::new().arguments));
    tokio::time::sleep(seconds(1)).await;
    let still_waits = !starting.is_finished();
    gate.open();
    let new = starting.await.expect("no panic").expect("it starts");

    assert!(still_waits);
    assert!(!new.was_running());
    assert_ne!(old.housekeeper.get_id(), new.housekeeper.get_id());
    assert_eq!(status("successor").await.life, Life::Running);
    stop("successor", seconds(1)).await.expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn many_starts_at_once_under_one_name_start_one() {
    let starts = (0..20).map(|_| tokio::spawn(start(Some("race"), Setup::new().arguments)));
    let starts: Vec<_> = starts.collect();

    let mut started = Vec::new();
    for one in starts {
        started.push(one.await.expect("no panic").expect("it runs"));
    }

    assert_eq!(started.iter().filter(|one| !one.was_running()).count(), 1);
    assert!(
        started
            .iter()
            .all(|one| one.housekeeper.get_id() == started[0].housekeeper.get_id())
    );
    stop("race", seconds(1)).await.expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_name_tells_never_started_from_stopped() {
    let before = status("once").await;
    start(Some("once"), Setup::new().arguments)
        .await
        .expect("it starts");
    let during = status("once").await;
    stop("once", seconds(1)).await.expect("it runs");
    let after = status("once").await;
    let again = stop("once", seconds(1)).await;

    assert_eq!(before.life, Life::NeverStarted);
    assert_eq!((during.life, during.jobs.len()), (Life::Running, 2));
    assert_eq!(after.life, Life::Stopped);
    assert_eq!(again.expect_err("none runs").name, "once");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_says_why() {
    let mut zero = Setup::new();
    zero.config.retry.first = Duration::ZERO;
    let twice = Setup::new().arguments;
    let jobs = twice.jobs.iter().chain(&twice.jobs).cloned().collect();
    let (somebody, _) = Actor::spawn(
        Some("somebody".to_owned()),
        Overseer,
        mpsc::unbounded_channel().0,
    )
    .await
    .expect("it starts");

    let zero = start(None, zero.arguments.with_config(zero.config)).await;
    let twice = start(None, HousekeeperArguments::new(jobs)).await;
    let taken = start(Some("somebody"), Setup::new().arguments).await;

    assert!(
        matches!(&zero, Err(StartError::Config(ConfigError { setting, .. })) if setting == "retry.first"),
        "{zero:?}"
    );
    assert!(
        matches!(&twice, Err(StartError::SameName { job }) if *job == BookingExpirer::NAME),
        "{twice:?}"
    );
    assert!(
        matches!(&taken, Err(StartError::NameTaken { name }) if name == "somebody"),
        "{taken:?}"
    );
    somebody.stop(None);
}

// ---- Helpers

impl Host {
    fn worker(&self) -> ActorCell {
        self.child("worker")
    }

    fn preview(&self) -> impl Future<Output = Result<Preview, Refusal>> + use<> {
        self.ask(|reply| {
            HousekeeperMsg::Preview(BookingExpirer::NAME, Scope::All, Page::default(), reply)
        })
    }

    fn shut_down(&self, grace: Duration) -> impl Future<Output = ()> + use<> {
        self.ask(move |reply| HousekeeperMsg::Shutdown(grace, reply))
    }

    /// A run that has committed two rows and waits at the gate with the next two.
    async fn in_second_batch(
        &self,
    ) -> (Gate, impl Future<Output = Result<Report, Refusal>> + use<>) {
        let gate = Gate::closed();
        self.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
        let answer = self.run_now(Scope::All);
        gate.reached().await;
        (gate, answer)
    }
}

/// A host whose job was given up after one panic, and would panic again.
async fn degraded() -> Host {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = 0;
    setup.faults.always(Step::Open, Fault::Panic);
    let mut host = setup.start().await;
    let _ = host.run_now(Scope::All).await;
    next_event(&mut host.events, |news| {
        matches!(news, News::JobDegraded { .. })
    })
    .await;
    host
}

/// A job of the host's with a bug where the housekeeper asks it.
struct Touchy;

#[async_trait]
impl Job for Touchy {
    fn name(&self) -> JobName {
        JobName::new("touchy")
    }

    fn check_scope(&self, _: &Scope) -> Result<(), String> {
        panic!("the job is touchy")
    }

    async fn open(&self) -> Result<Window, JobError> {
        unreachable!("its scope is refused")
    }

    async fn batch(&self, _: &Pass) -> Result<Batch, JobError> {
        unreachable!("it is not opened")
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        unreachable!("its scope is refused")
    }

    async fn outlook(&self, _: &[String]) -> Result<Outlook, JobError> {
        unreachable!("it is not opened")
    }
}

/// An actor of the host's that supervises a housekeeper and tells how it failed.
struct Overseer;

async fn overseer() -> (ActorRef<()>, mpsc::UnboundedReceiver<String>) {
    let (sender, seen) = mpsc::unbounded_channel();
    let (overseer, _) = Actor::spawn(None, Overseer, sender)
        .await
        .expect("it starts");
    (overseer, seen)
}

#[ractor::actor(message = (), state = mpsc::UnboundedSender<String>, arguments = mpsc::UnboundedSender<String>)]
impl Overseer {
    async fn pre_start(
        &self,
        _: ActorRef<()>,
        sender: mpsc::UnboundedSender<String>,
    ) -> Result<mpsc::UnboundedSender<String>, ActorProcessingErr> {
        Ok(sender)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        sender: &mut mpsc::UnboundedSender<String>,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(_, error) = event {
            let _ = sender.send(error.to_string());
        }
        Ok(())
    }
}
