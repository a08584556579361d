//! The restart limit, and the backoff after each crash.

use std::time::Duration;

use ractor_housekeeper::model::WorkerStatus;
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::{Outcome, Scope};
use uuid::Uuid;

use crate::support::host::{Host, Setup, seconds};

#[tokio::test(start_paused = true)]
async fn a_crash_beyond_max_restarts_is_not_restarted() {
    let mut host = start(3).await;

    let mut restarted = 0;
    while host.kill_worker().await.is_some() {
        restarted += 1;
    }

    assert_eq!(restarted, 3);
    assert_eq!(host.status().await.restarts, 4);
}

#[tokio::test(start_paused = true)]
async fn max_restarts_of_zero_allows_no_restart() {
    let mut host = start(0).await;

    let rest = host.kill_worker().await;

    assert_eq!(rest, None);
}

#[tokio::test(start_paused = true)]
async fn deaths_older_than_the_window_do_not_count() {
    let mut host = start(2).await;
    let mut restarted = 0;

    for _ in 0..10 {
        assert!(host.kill_worker().await.is_some());
        assert!(host.kill_worker().await.is_some());
        restarted += 2;
        tokio::time::sleep(seconds(61)).await;
    }
    while host.kill_worker().await.is_some() {
        restarted += 1;
    }

    assert_eq!(restarted, 22);
}

#[tokio::test(start_paused = true)]
async fn the_restart_backoff_doubles_with_each_consecutive_crash() {
    let mut host = start(u32::MAX).await;

    for whole in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
        let rest = host.kill_worker().await.expect("is restarted");

        assert_rests(rest, whole);
    }
}

#[tokio::test(start_paused = true)]
async fn a_completed_run_resets_the_backoff_but_earlier_crashes_count() {
    let mut host = start(4).await;

    for whole in [100, 200, 400] {
        assert_rests(host.kill_worker().await.expect("is restarted"), whole);
    }
    let reset_backoff = host.run_now(Scope::All).await.expect("is not refused");
    let after = host.kill_worker().await.expect("is restarted");
    let one_more = host.kill_worker().await;

    assert_eq!(reset_backoff.outcome, Outcome::Completed);
    assert_rests(after, 100);
    assert_eq!(one_more, None);
}

#[tokio::test(start_paused = true)]
async fn a_recovery_clears_the_crashes_before_it() {
    let mut host = start(2).await;
    while host.kill_worker().await.is_some() {}

    let recovered = host.run_now(Scope::All).await.expect("is not refused");
    let mut restarted = 0;
    while host.kill_worker().await.is_some() {
        restarted += 1;
    }

    assert_eq!(recovered.outcome, Outcome::Completed);
    assert_eq!(restarted, 2);
}

#[tokio::test(start_paused = true)]
async fn workers_that_crash_together_restart_apart() {
    let mut rests = Vec::new();

    for _ in 0..20 {
        let mut host = start(1).await;
        rests.push(host.kill_worker().await.expect("is restarted"));
    }

    rests.sort();
    rests.dedup();
    assert!(rests.len() > 15, "{rests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_always_crashes_leaves_no_caller_waiting() {
    let host = start(5).await;
    host.faults.always(Step::Check, Fault::Panic);

    let asked = [
        host.run_now(Scope::All),
        host.run_now(Scope::user(Uuid::nil())),
        host.run_now(Scope::user(Uuid::max())),
    ];
    for answer in asked {
        let report = answer.await.expect("is not refused");

        assert!(
            matches!(&report.outcome, Outcome::Crashed { reason, rows_at_least: 0 } if reason.contains("Check")),
            "{report}"
        );
    }
    tokio::time::sleep(seconds(60)).await;

    let status = host.status().await;
    assert!(
        matches!(status.worker, WorkerStatus::Degraded { .. }),
        "{status:?}"
    );
    assert_eq!((status.restarts, status.waiting), (6, 0));
    assert_eq!(host.faults.calls(Step::Check), 6);
}

#[tokio::test(start_paused = true)]
async fn the_attempt_of_a_degraded_job_gets_no_restart() {
    let mut host = start(2).await;
    while host.kill_worker().await.is_some() {}
    tokio::time::sleep(seconds(120)).await;
    host.faults.always(Step::BeginRun, Fault::Panic);

    let report = host.run_now(Scope::All).await.expect("is not refused");
    tokio::time::sleep(seconds(60)).await;

    assert!(
        matches!(report.outcome, Outcome::Crashed { .. }),
        "{report}"
    );
    let status = host.status().await;
    assert!(
        matches!(status.worker, WorkerStatus::Degraded { .. }),
        "{status:?}"
    );
    assert_eq!(host.faults.calls(Step::BeginRun), 1);
}

async fn start(max_restarts: u32) -> Host {
    let mut setup = Setup::new();
    setup.config.restart.max_restarts = max_restarts;
    setup.start().await
}

fn assert_rests(rest: Duration, whole_ms: u64) {
    let whole = Duration::from_millis(whole_ms);
    assert!((whole / 2..=whole).contains(&rest), "{rest:?} of {whole:?}");
}
