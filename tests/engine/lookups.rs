//! Runs by their id, and the pages of a history.

use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::model::{Event, HistoryQuery, OutcomeKind, RequestError, RunId, RunStatus};
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event, next_report};
use ractor_housekeeper::{HousekeeperMsg, JobName, Scope};
use uuid::Uuid;

use crate::support::host::{Host, Setup, seconds};

const JOB: JobName = BookingExpirer::NAME;

#[tokio::test(start_paused = true)]
async fn a_requested_run_is_followed_by_its_id_to_its_report() {
    let mut host = with_history().start().await;
    host.add_overdue(3);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));

    let first = host.enqueue(Scope::All).await;
    let second = host.enqueue(Scope::user(Uuid::nil())).await;
    let merged = host.enqueue(Scope::user(Uuid::nil())).await;
    let started = |news: &Event| matches!(news, Event::RunStarted { .. });
    next_event(&mut host.events, started).await;
    let running = host.look_up(first).await.expect("it runs");
    let queued = host.look_up(second).await.expect("it waits");
    let awaited =
        [first, second].map(|run| host.ask(move |reply| HousekeeperMsg::AwaitRun(run, reply)));
    gate.open();
    let [ended, quiet] = awaited;
    let (ended, quiet) = (
        ended.await.expect("it ended"),
        quiet.await.expect("it ended"),
    );

    assert_eq!(merged, second);
    assert!(matches!(running, RunStatus::Running { current, .. } if current.run == first));
    assert!(matches!(queued, RunStatus::Queued { run, ahead: 1, .. } if run == second));
    assert_eq!(ended.report().map(|report| report.counts.total()), Some(3));
    assert_eq!(quiet.report().map(|report| report.counts.total()), Some(0));
    assert_eq!(host.look_up(first).await, Ok(ended.clone()));
    assert_eq!(host.look_up(second).await, Ok(quiet));
    let late = host.ask(|reply| HousekeeperMsg::AwaitRun(first, reply));
    assert_eq!(late.await, Ok(ended));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_an_earlier_housekeeper_comes_from_the_history() {
    let setup = with_history();
    let (store, clock) = (setup.store.clone(), setup.clock.clone());
    let host = setup.start().await;
    host.add_overdue(1);
    let report = host.run_now(Scope::All).await.expect("a report");
    host.housekeeper.stop(None);
    host.housekeeper
        .wait(Some(seconds(60)))
        .await
        .expect("it stops");
    let mut later = Setup::new();
    later.arguments = later.arguments.with_history(store).with_clock(clock);
    let later = later.start().await;

    let found = later.look_up(report.run).await.expect("it is known");
    let unknown: RunId = Uuid::from_u128(1).to_string().parse().expect("is an id");

    let found = found.report().expect("it ended");
    assert_eq!((found.run, &found.counts), (report.run, &report.counts));
    let error = RequestError::UnknownRun { run: unknown };
    assert_eq!(later.look_up(unknown).await, Err(error));
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_worker_crashes_first_keeps_its_id() {
    let mut host = Setup::new().start().await;
    host.add_overdue(1);
    host.child("worker").kill();

    let run = host.enqueue(Scope::All).await;
    let report = next_report(&mut host.events, |_| true).await;

    assert_eq!(report.run, run);
}

#[tokio::test(start_paused = true)]
async fn pages_of_a_history_hold_each_run_once() {
    let host = with_history().start().await;
    for _ in 0..5 {
        host.add_overdue(1);
        host.clock.advance_wall(chrono::TimeDelta::seconds(10));
        host.run_now(Scope::All).await.expect("a report");
    }
    let mut query = HistoryQuery::newest(2);
    let mut sizes = Vec::new();
    let mut starts = Vec::new();

    loop {
        let page = query.clone();
        let page = host.ask(|reply| HousekeeperMsg::HistoryPage(JOB, page, reply));
        let page = page.await.expect("a history");
        sizes.push(page.runs.len());
        starts.extend(page.runs.iter().map(|run| run.report.started_at));
        let Some(next) = page.next else { break };
        query = query.after(next);
    }
    let failed = HistoryQuery::newest(9).outcomes([OutcomeKind::Failed]);
    let failed = host.ask(|reply| HousekeeperMsg::HistoryPage(JOB, failed, reply));

    assert_eq!(sizes, [2, 2, 1]);
    assert!(starts.is_sorted_by(|newer, older| newer > older));
    assert!(failed.await.expect("a history").runs.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_status_has_the_ends_of_the_newest_runs() {
    let host = Setup::new().start().await;
    host.faults
        .once(Step::BeginRun, 2, Fault::Fail("away".to_owned()));

    for _ in 0..3 {
        host.run_now(Scope::All).await.expect("a report");
    }
    let outcomes = host.status().await.outcomes;
    for _ in 0..30 {
        host.run_now(Scope::All).await.expect("a report");
    }

    assert_eq!(
        outcomes,
        [
            OutcomeKind::Completed,
            OutcomeKind::Failed,
            OutcomeKind::Completed
        ]
    );
    assert_eq!(host.status().await.outcomes, [OutcomeKind::Completed; 20]);
    let sibling = host.ask(HousekeeperMsg::Status).await;
    assert_eq!(sibling.jobs[&SessionCleaner::NAME].outcomes, []);
}

fn with_history() -> Setup {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(setup.store.clone());
    setup
}

impl Host {
    async fn enqueue(&self, scope: Scope) -> RunId {
        let run = self.ask(|reply| HousekeeperMsg::Enqueue(JOB, scope, reply));
        run.await.expect("it is queued")
    }

    async fn look_up(&self, run: RunId) -> Result<RunStatus, RequestError> {
        self.ask(|reply| HousekeeperMsg::Run(run, reply)).await
    }
}
