//! The host's bugs in what the housekeeper calls itself.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::DateTime;
use ractor::call;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Cursor, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::model::FailureKind;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Job, JobName, Outcome, RequestError, Scope, Subscriber,
    start,
};

use crate::helpers::parent_actor;
use crate::support::host::Setup;

#[tokio::test(start_paused = true)]
async fn a_panicking_scope_check_or_subscriber_harms_nothing_else() {
    let setup = Setup::new();
    let arguments = setup
        .arguments
        .with_job(PanicsInScopeCheck)
        .with_config(setup.config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let (parent_actor, _seen) = parent_actor().await;
    let subscriber = Subscriber::actor(&parent_actor, |_| panic!("the subscriber is touchy"));
    housekeeper
        .cast(HousekeeperMsg::Subscribe(subscriber))
        .expect("it runs");

    let run = call!(
        housekeeper,
        HousekeeperMsg::RunNow,
        PanicsInScopeCheck.name(),
        Scope::All
    );
    let page = Page::default();
    let preview = call!(
        housekeeper,
        HousekeeperMsg::Preview,
        PanicsInScopeCheck.name(),
        Scope::All,
        page
    );
    let sibling = call!(
        housekeeper,
        HousekeeperMsg::RunNow,
        BookingExpirer::NAME,
        Scope::All
    );

    let refusal = RequestError::Scope {
        job: PanicsInScopeCheck.name(),
        problem: "the job panicked: the job is touchy".to_owned(),
    };
    assert_eq!(run.expect("it runs"), Err(refusal.clone()));
    assert_eq!(preview.expect("it runs"), Err(refusal));
    assert_eq!(
        sibling.expect("it runs").expect("is not refused").outcome,
        Outcome::Completed
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_batches_make_no_progress_fails() {
    let stuck = SameCursorJob::default();
    let name = stuck.name();
    let arguments = HousekeeperArguments::new(vec![]).with_job(stuck);
    let arguments = arguments.with_config(Setup::new().config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;

    let run = call!(housekeeper, HousekeeperMsg::RunNow, name, Scope::All);

    let report = run.expect("it runs").expect("is not refused");
    let error = "failed: a batch returned an earlier cursor, so the run would never end";
    assert_eq!(report.outcome.to_string(), error);
    let Outcome::Failed { failure, .. } = report.outcome else {
        panic!("{report}");
    };
    assert_eq!(failure, FailureKind::NoProgress);
    // The first may end anywhere.
    assert_eq!(report.batches, 2);
}

/// The host's job, whose batches all end at one place.
#[derive(Default)]
struct SameCursorJob(AtomicU32);

#[async_trait]
impl Job for SameCursorJob {
    fn name(&self) -> JobName {
        JobName::new("stuck")
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(RunBounds::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < 10, "it goes on");
        let reached = Cursor::new(request.cutoff, "here".to_owned());
        Ok(Batch::new(Vec::new(), Some(reached)))
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        unreachable!("no preview was requested")
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        unreachable!("a run that fails does not look ahead")
    }
}

/// The host's job with a bug where the housekeeper calls it.
struct PanicsInScopeCheck;

#[async_trait]
impl Job for PanicsInScopeCheck {
    fn name(&self) -> JobName {
        JobName::new("touchy")
    }

    fn check_scope(&self, _: &Scope) -> Result<(), String> {
        panic!("the job is touchy")
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        unreachable!("its scope is refused")
    }

    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        unreachable!("it is not opened")
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        unreachable!("its scope is refused")
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        unreachable!("it is not opened")
    }
}
