//! Rows that could not be handled: known even if the worker crashes before it reports, and until
//! the next tick.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;
use ractor::{ActorRef, call};
use ractor_housekeeper::job::{
    Batch, BatchRequest, Cursor, Forecast, JobError, Page, PreviewRows, RejectedRow, RunBounds,
};
use ractor_housekeeper::model::{Event, FailureKind, Health, JobStatus, Trigger};
use ractor_housekeeper::testing::{Fault, FaultyJob, Step, next_report};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Job, JobName, Outcome, Report, Scope, Subscriber, start,
};

use tokio::time::Instant;

use crate::support::host::{Setup, seconds};

#[tokio::test(start_paused = true)]
async fn a_crashed_run_names_the_rows_that_its_batches_rejected() {
    let (job, faults) = FaultyJob::new(RejectsEveryRow);
    let arguments = HousekeeperArguments::new(vec![]).with_job(job);
    let arguments = arguments.with_config(Setup::new().config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let (subscriber, mut events) = Subscriber::channel();
    housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");
    faults.once(Step::Batch, 3, Fault::Panic);

    let report = call!(
        housekeeper,
        HousekeeperMsg::RunNow,
        RejectsEveryRow.name(),
        Scope::All
    )
    .expect("it runs")
    .expect("is not refused");

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
    assert_eq!((report.rejected_count, report.batches), (2, 2));
    assert_eq!(report.rejected, [refused(1), refused(2)]);
    while let Ok(event) = events.try_recv() {
        // Nothing was committed.
        assert!(!matches!(&*event.event, Event::BatchCommitted { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn rejected_rows_are_kept_until_the_next_full_run() {
    let stubborn = RejectsChosenRows::default();
    let arguments = HousekeeperArguments::new(vec![]).with_job(stubborn.clone());
    let arguments = arguments.with_config(Setup::new().config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let (subscriber, mut events) = Subscriber::channel();
    housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");
    let mut remembered = Vec::new();

    stubborn.keep(&[1, 2]);
    run(&housekeeper, Scope::All).await;
    remembered.push(rejected(&housekeeper).await);
    stubborn.keep(&[3]);
    run(&housekeeper, Scope::user(1)).await;
    remembered.push(rejected(&housekeeper).await);
    for pause in [HousekeeperMsg::Pause, HousekeeperMsg::Resume] {
        let _ = call!(housekeeper, pause, stubborn.name()).expect("it runs");
    }
    let ticked = |report: &Report| report.trigger == Trigger::Tick;
    next_report(&mut events, ticked).await;
    remembered.push(rejected(&housekeeper).await);
    stubborn.keep(&[]);
    run(&housekeeper, Scope::All).await;
    remembered.push(rejected(&housekeeper).await);

    // A question of one user's is no tick; a resume, and a question of everything, is.
    assert_eq!(remembered, [2, 3, 1, 0]);
    let left_out: [&[&str]; 4] = [&["1", "2"], &["1", "2", "3"], &["3"], &[]];
    assert_eq!(stubborn.left_out(), left_out);
}

/// A table whose every write fails, such as for want of a partition of an audit table.
#[tokio::test(start_paused = true)]
async fn rows_rejected_alike_fail_the_run_until_they_are_mended() {
    for rows in [20, 1_500] {
        let stubborn = RejectsChosenRows::default();
        let arguments = HousekeeperArguments::new(vec![]).with_job(stubborn.clone());
        let arguments = arguments.with_config(Setup::new().config);
        let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
        let (subscriber, mut events) = Subscriber::channel();
        housekeeper
            .cast(HousekeeperMsg::Subscribe(subscriber))
            .expect("it runs");
        stubborn.keep(&(0..rows).collect::<Vec<_>>());

        let (name, all) = (stubborn.name(), Scope::All);
        let report = call!(housekeeper, HousekeeperMsg::RunNow, name, all);
        let report = report.expect("it runs").expect("is not refused");
        let again = next_report(&mut events, |report| report.trigger == Trigger::Retry).await;
        let failing = status(&housekeeper).await;
        stubborn.keep(&[]);
        let mended = Instant::now();
        let after = next_report(&mut events, Report::success).await;

        let error = format!("{rows} of {rows} rows were rejected alike: an invoice needs it");
        for report in [&report, &again] {
            let Outcome::Failed {
                failure: FailureKind::RowsRejected,
                error: said,
                retry_at: Some(_),
            } = &report.outcome
            else {
                panic!("{report}");
            };
            assert_eq!(*said, error);
        }
        let reason = failing.health.reason().expect("it fails");
        assert_eq!(reason, format!("the last run failed: {error}"));
        assert!(mended.elapsed() <= seconds(61), "{:?}", mended.elapsed());
        assert_eq!(after.trigger, Trigger::Retry);
        let status = status(&housekeeper).await;
        assert_eq!((status.health, status.rejected), (Health::Healthy, 0));
    }
}

async fn status(housekeeper: &ActorRef<HousekeeperMsg>) -> JobStatus {
    let mut status = call!(housekeeper, HousekeeperMsg::Status).expect("it runs");
    let status = status.jobs.remove(&RejectsChosenRows::default().name());
    status.expect("the job is there")
}

pub(crate) async fn run(housekeeper: &ActorRef<HousekeeperMsg>, scope: Scope) {
    let name = RejectsChosenRows::default().name();
    let report = call!(housekeeper, HousekeeperMsg::RunNow, name, scope);
    let report = report.expect("it runs").expect("is not refused");
    assert!(report.success(), "{report}");
}

async fn rejected(housekeeper: &ActorRef<HousekeeperMsg>) -> usize {
    let status = call!(housekeeper, HousekeeperMsg::Status).expect("it runs");
    status.jobs[&RejectsChosenRows::default().name()].rejected
}

/// The host's job, of which some rows cannot be handled for now.
#[derive(Clone, Default)]
pub(crate) struct RejectsChosenRows(Arc<Mutex<RejectionLog>>);

#[derive(Default)]
struct RejectionLog {
    kept: Vec<i64>,
    left_out: Vec<Vec<String>>,
}

impl RejectsChosenRows {
    pub(crate) fn keep(&self, rows: &[i64]) {
        self.account(|account| rows.clone_into(&mut account.kept));
    }

    /// The rows that each forecast leaves out.
    fn left_out(&self) -> Vec<Vec<String>> {
        self.account(|account| account.left_out.clone())
    }

    fn account<T>(&self, look: impl FnOnce(&mut RejectionLog) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Job for RejectsChosenRows {
    fn name(&self) -> JobName {
        JobName::new("stubborn")
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        RejectsEveryRow.begin_run().await
    }

    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        let kept = self.account(|account| account.kept.clone());
        Ok(Batch::default().with_rejected(kept.into_iter().map(refused).collect()))
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        RejectsEveryRow.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.account(|account| account.left_out.push(rejected.to_vec()));
        Ok(Forecast::default())
    }
}

/// The host's job that never gets a row done.
struct RejectsEveryRow;

fn refused(row: i64) -> RejectedRow {
    RejectedRow {
        id: row.to_string(),
        error: "an invoice needs it".to_owned(),
    }
}

#[async_trait]
impl Job for RejectsEveryRow {
    fn name(&self) -> JobName {
        JobName::new("stuck")
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(RunBounds::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let row = request
            .after
            .as_ref()
            .map_or(1, |last| last.since().timestamp() + 1);
        let since = DateTime::from_timestamp(row, 0);
        let next_cursor = since.map(|since| Cursor::new(since, String::new()));
        Ok(Batch::new(Vec::new(), next_cursor).with_rejected(vec![refused(row)]))
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(Forecast::default())
    }
}
