//! Wraps a job to run code around each of its steps.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::faults::Faults;
use super::job_hook::{Answer, Call, JobHook};
use crate::job::{
    Batch, BatchRequest, Findings, Forecast, Job, JobError, JobName, OldSnapshot, Page,
    PreviewRows, RunBounds, Scope,
};

/// Any job, with faults in its steps.
///
/// # Examples
///
/// This test receives the report of an outage, without an outage:
///
/// ```
/// use std::sync::Arc;
///
/// use ractor_housekeeper::testing::{Fault, FaultyJob, MemoryStore, Step};
/// use ractor_housekeeper::{HousekeeperArguments, Scope, start};
/// use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = BookingPolicy::default();
/// let expirer = BookingExpirer::new(Arc::new(MemoryStore::new()), policy.expire_after)?;
/// let (job, faults) = FaultyJob::new(expirer);
/// let arguments = HousekeeperArguments::new(vec![Arc::new(job)]);
/// let housekeeper = start(None, arguments).await?.housekeeper;
/// faults.always(Step::BeginRun, Fault::Fail("the database is away".to_owned()));
///
/// let report = housekeeper.run_now(BookingExpirer::NAME, Scope::All).await?;
///
/// assert_eq!(report.outcome.to_string(), "failed: the database is away");
/// # Ok(())
/// # }
/// ```
pub struct FaultyJob<H = Faults> {
    job: Arc<dyn Job>,
    hook: H,
}

impl FaultyJob {
    /// Wraps a job, without faults at first.
    pub fn new(job: impl Job) -> (Self, Faults) {
        let faults = Faults::default();
        (Self::with_hook(Arc::new(job), faults.clone()), faults)
    }
}

impl<H: JobHook> FaultyJob<H> {
    /// Wraps a job in a hook.
    pub fn with_hook(job: Arc<dyn Job>, hook: H) -> Self {
        Self { job, hook }
    }
}

impl<H: fmt::Debug> fmt::Debug for FaultyJob<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyJob")
            .field("job", &self.job.name())
            .field("hook", &self.hook)
            .finish()
    }
}

#[async_trait]
impl<H: JobHook> Job for FaultyJob<H> {
    fn name(&self) -> JobName {
        self.job.name()
    }

    fn is_enabled(&self) -> bool {
        self.job.is_enabled()
    }

    fn is_irreversible(&self) -> bool {
        self.job.is_irreversible()
    }

    fn hands_on(&self) -> bool {
        self.job.hands_on()
    }

    fn prepare_run(&self, from_start: bool) {
        self.job.prepare_run(from_start);
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        self.job.check_scope(scope)
    }

    async fn check(&self) -> Result<(), JobError> {
        self.hook.before(&Call::Check).await?;
        self.job.check().await?;
        self.hook.after(&Call::Check, &Answer::Check).await
    }

    fn findings(&self) -> Findings {
        self.job.findings()
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let call = Call::BeginRun;
        self.hook.before(&call).await?;
        let answer = self.job.begin_run().await?;
        self.hook.after(&call, &Answer::BeginRun(&answer)).await?;
        Ok(answer)
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let call = Call::Batch(request);
        self.hook.before(&call).await?;
        let answer = self.job.batch(request).await?;
        self.hook.after(&call, &Answer::Batch(&answer)).await?;
        Ok(answer)
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let call = Call::Preview(scope, page);
        self.hook.before(&call).await?;
        let answer = self.job.preview(scope, page).await?;
        self.hook.after(&call, &Answer::Preview(&answer)).await?;
        Ok(answer)
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        let call = Call::Forecast(rejected);
        self.hook.before(&call).await?;
        let answer = self.job.forecast(rejected).await?;
        self.hook.after(&call, &Answer::Forecast(&answer)).await?;
        Ok(answer)
    }

    async fn oldest_snapshot(&self) -> Option<OldSnapshot> {
        self.job.oldest_snapshot().await
    }
}
