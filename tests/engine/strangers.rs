//! Children that code of the host stops, drains or kills.

use ractor::ActorCell;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::{JobConfig, Schedule};
use ractor_housekeeper::model::{Event, Trigger};
use ractor_housekeeper::testing::{Fault, Step, next_event, next_report};
use ractor_housekeeper::{HousekeeperMsg, Outcome, RequestError, Scope};

use crate::support::host::{Setup, messages_only, minutes, seconds};

type End = (&'static str, fn(&ActorCell));

const ENDS: [End; 3] = [
    ("stopped", |child| child.stop(None)),
    ("killed", |child| child.kill()),
    ("Drained", |child| child.drain().expect("it lives")),
];

#[tokio::test(start_paused = true)]
async fn an_idle_worker_ended_from_outside_restarts() {
    for (how, end) in ENDS {
        let mut host = Setup::new().start().await;

        end(&host.worker());
        let restarting = next_event(&mut host.events, |news| {
            matches!(news, Event::WorkerRestarting { .. })
        })
        .await;
        let report = host.run_now(Scope::All).await.expect("is not refused");

        let Event::WorkerRestarting { reason, .. } = &*restarting else {
            unreachable!()
        };
        assert_eq!(reason, how);
        assert_eq!(report.outcome, Outcome::Completed, "{how}");
        assert_eq!(host.status().await.restarts, 1, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_drained_from_outside_crashes_with_all_it_committed() {
    let mut host = Setup::new().start().await;
    host.add_overdue(5);
    let (gate, answer) = host.in_second_batch().await;

    host.worker().drain().expect("it lives");
    gate.open();
    let report = answer.await.expect("is not refused");
    let retried = next_report(&mut host.events, |next| next.run != report.run).await;

    assert!(
        matches!(
            report.outcome,
            Outcome::Crashed {
                rows_at_least: 4,
                ..
            }
        ),
        "{report}"
    );
    assert_eq!(
        (retried.trigger, retried.counts.total()),
        (Trigger::Retry, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_timer_ended_from_outside_restarts_and_meets_the_deadline() {
    for (how, end) in ENDS {
        let mut setup = Setup::new();
        let deadlines = Schedule {
            every: Some(minutes(15)),
            start_jitter: std::time::Duration::ZERO,
            ..messages_only()
        };
        let expirer = JobConfig {
            schedule: deadlines,
            ..setup.config.job.clone()
        };
        setup.config.jobs.insert(BookingExpirer::NAME, expirer);
        let mut host = setup.start().await;
        let started = tokio::time::Instant::now();

        end(&host.child("timer"));
        let restarted = next_event(&mut host.events, |news| {
            matches!(news, Event::TimerRestarted { .. })
        })
        .await;
        let report = next_report(&mut host.events, |_| true).await;

        let Event::TimerRestarted { reason } = &*restarted else {
            unreachable!()
        };
        assert_eq!(reason, how);
        assert_eq!(report.trigger, Trigger::Tick, "{how}");
        assert_eq!(started.elapsed().as_secs(), 15 * 60, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_killed_in_a_preview_lets_the_next_reads_run() {
    let host = Setup::new().start().await;
    host.add_overdue(3);
    host.faults.once(Step::Preview, 1, Fault::Hang);
    let children = host.housekeeper.get_children().len();
    // A job's previews are read one after the other.
    let killed = host.preview();
    let waiting = [host.preview(), host.preview()];
    let _ = host.ask(HousekeeperMsg::Status).await;
    while host.faults.calls(Step::Preview) < 1 {
        tokio::task::yield_now().await;
    }

    let readers = host.housekeeper.get_children();
    let worker = host.worker().get_type_id();
    let timer = host.child("timer").get_type_id();
    for child in readers {
        if ![worker, timer].contains(&child.get_type_id()) {
            child.kill();
        }
    }

    let Err(RequestError::Failed { error, .. }) = killed.await else {
        panic!("it was killed");
    };
    assert_eq!(error, "the reader crashed: killed");
    for answer in waiting {
        assert_eq!(answer.await.expect("is not refused").due.count, 3);
    }
    tokio::time::sleep(seconds(1)).await;
    assert_eq!(host.housekeeper.get_children().len(), children);
    assert_eq!(host.status().await.restarts, 0);
}
