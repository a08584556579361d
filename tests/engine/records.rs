//! Records of runs that are saved at a shutdown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::OnRestartLimit;
use ractor_housekeeper::model::{Event, RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::{Fault, Gate, MemoryStore, Step, next_event};
use ractor_housekeeper::{HousekeeperMsg, JobName, Outcome, Scope};
use tokio::time::Instant;

use crate::support::host::{Setup, minutes, seconds};

#[tokio::test(start_paused = true)]
async fn unsaved_runs_of_an_outage_are_recorded_during_shutdown() {
    let (history, setup) = setup();
    let host = setup.start().await;
    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
    let failed = host.run_now(Scope::All).await.expect("is not refused");

    host.shut_down(seconds(10)).await;

    assert_eq!(history.outcomes().await, [failed.outcome]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_recorded_even_if_its_job_waits_or_is_degraded() {
    for max_restarts in [5, 0] {
        let (history, mut setup) = setup();
        setup.config.restart.max_restarts = max_restarts;
        let mut host = setup.start().await;
        host.faults.once(Step::Batch, 1, Fault::Panic);
        let crashed = host.run_now(Scope::All).await.expect("is not refused");
        next_event(&mut host.events, |news| {
            matches!(
                news,
                Event::WorkerRestarting { .. } | Event::JobDegraded { .. }
            )
        })
        .await;

        host.shut_down(seconds(10)).await;

        assert!(
            matches!(crashed.outcome, Outcome::Crashed { .. }),
            "{crashed}"
        );
        assert_eq!(
            history.outcomes().await,
            [crashed.outcome],
            "{max_restarts}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_or_crashes_during_shutdown_is_recorded() {
    for crashes in [false, true] {
        let (history, setup) = setup();
        let host = setup.start().await;
        let gate = Gate::closed();
        host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
        let running = host.run_now(Scope::All);
        gate.reached().await;

        // Longer than the limit of a step, which ends the run if nothing else does.
        let stopped = host.shut_down(minutes(2));
        if crashes {
            host.worker().kill();
        }
        stopped.await;

        let outcome = running.await.expect("is not refused").outcome;
        assert_eq!(outcome.as_str(), if crashes { "crashed" } else { "failed" });
        assert_eq!(history.outcomes().await, [outcome]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_worker_saves_the_unsaved_runs_itself() {
    let (history, setup) = setup();
    let host = setup.start().await;
    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
    let failed = host.run_now(Scope::All).await.expect("is not refused");
    // The history is ordered by time.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let running = host.run_now(Scope::All);
    gate.reached().await;
    let (worker, asked) = (host.worker(), Instant::now());

    let stopped = host.shut_down(minutes(2));
    let _begun = host.ask(HousekeeperMsg::Status).await;
    worker.kill();
    stopped.await;

    // Had there been another, this one would have been killed at the end, and its run called off.
    let crashed = running.await.expect("is not refused");
    assert!(matches!(crashed.outcome, Outcome::Crashed { .. }));
    assert_eq!(history.outcomes().await, [crashed.outcome, failed.outcome]);
    assert_eq!(asked.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_crash_that_escalates_is_recorded() {
    let (history, mut setup) = setup();
    setup.config.restart.max_restarts = 0;
    setup.config.restart.on_limit = OnRestartLimit::Escalate;
    let host = setup.start().await;
    host.faults.once(Step::Batch, 1, Fault::Panic);

    let crashed = host.run_now(Scope::All).await.expect("is not refused");
    host.housekeeper.wait(None).await.expect("it stops");

    assert_eq!(history.outcomes().await, [crashed.outcome]);
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_history_delays_shutdown_within_its_timeout() {
    let (history, setup) = setup();
    history.hangs.store(true, Ordering::SeqCst);
    let host = setup.start().await;
    host.faults
        .once(Step::BeginRun, 1, Fault::Fail("no route".to_owned()));
    let _ = host.run_now(Scope::All).await;
    let asked = Instant::now();

    host.shut_down(minutes(5)).await;

    assert_eq!(asked.elapsed().as_secs(), 2);
    assert_eq!(history.outcomes().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_run_recorded_twice_stands_once_in_the_history() {
    let (history, setup) = setup();
    history.answers_too_late.store(true, Ordering::SeqCst);
    let host = setup.start().await;
    host.add_overdue(1);

    let run = host.run_now(Scope::All).await.expect("is not refused").run;
    let ask = |reply| HousekeeperMsg::History(BookingExpirer::NAME, 10, reply);
    let history = host.ask(ask).await.expect("it can be read");

    assert_eq!(host.status().await.unsaved_runs, 1);
    let runs: Vec<_> = history.runs.iter().map(|line| line.report.run).collect();
    assert_eq!(runs, [run]);
}

fn setup() -> (HangingHistory, Setup) {
    let history = HangingHistory::default();
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(history.clone());
    (history, setup)
}

/// A history that can hang, before it writes or after.
#[derive(Clone, Default)]
struct HangingHistory {
    runs: MemoryStore,
    hangs: Arc<AtomicBool>,
    answers_too_late: Arc<AtomicBool>,
}

impl HangingHistory {
    /// Outcomes of the expirer's runs.
    async fn outcomes(&self) -> Vec<Outcome> {
        let runs = self.runs.runs(&BookingExpirer::NAME, 100).await;
        let runs = runs.expect("memory answers").into_iter();
        runs.map(|record| record.report.outcome).collect()
    }
}

#[async_trait]
impl RunHistory for HangingHistory {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.runs.record(runs, keep).await?;
        if self.answers_too_late.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.runs.runs(job, limit).await
    }
}
