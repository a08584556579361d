//! How many deaths are one too many, and how long a worker rests after each.

use std::time::Duration;

use ractor_housekeeper::model::WorkerStatus;
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::{Outcome, Scope};
use uuid::Uuid;

use crate::support::host::{Host, Setup, seconds};

#[tokio::test(start_paused = true)]
async fn as_many_deaths_as_are_allowed_are_restarted_and_one_more_is_not() {
    let mut host = start(3).await;

    let mut restarted = 0;
    while host.kill_worker().await.is_some() {
        restarted += 1;
    }

    assert_eq!(restarted, 3);
    assert_eq!(host.status().await.restarts, 4);
}

#[tokio::test(start_paused = true)]
async fn no_restart_is_allowed_if_none_is() {
    let mut host = start(0).await;

    let rest = host.kill_worker().await;

    assert_eq!(rest, None);
}

#[tokio::test(start_paused = true)]
async fn deaths_older_than_the_window_are_not_held_against_a_worker() {
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
async fn a_worker_rests_twice_as_long_after_each_death_in_a_row() {
    let mut host = start(u32::MAX).await;

    for whole in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
        let rest = host.kill_worker().await.expect("is restarted");

        assert_rests(rest, whole);
    }
}

#[tokio::test(start_paused = true)]
async fn a_completed_run_shortens_the_rest_but_the_deaths_before_it_still_count() {
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
async fn a_recovery_forgives_the_deaths_before_it() {
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
async fn workers_that_die_at_one_instant_do_not_come_back_at_one() {
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
async fn a_worker_that_dies_in_its_first_message_again_and_again_leaves_nobody_waiting() {
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
async fn the_attempt_of_a_degraded_job_gets_no_restart_even_if_its_deaths_are_long_ago() {
    let mut host = start(2).await;
    while host.kill_worker().await.is_some() {}
    tokio::time::sleep(seconds(120)).await;
    host.faults.always(Step::Open, Fault::Panic);

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
    assert_eq!(host.faults.calls(Step::Open), 1);
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
