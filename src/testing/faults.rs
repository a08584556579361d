//! Faults in the steps of any job.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::job::{
    Batch, BatchRequest, Findings, Forecast, Job, JobError, JobName, OldSnapshot, Page,
    PreviewRows, RunBounds, Scope,
};

/// A job with faults in its steps, around any other job.
///
/// # Examples
///
/// The report of an outage, without an outage:
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

/// Code that runs before and after each step of a [`FaultyJob`]. [`Faults`] implements fixed plans;
/// implement the trait for anything else, such as random faults, pauses or measurements.
#[async_trait]
pub trait JobHook: Send + Sync + 'static {
    /// Runs before a step. An error fails the step without calling the job.
    async fn before(&self, _call: &Call<'_>) -> Result<(), JobError> {
        Ok(())
    }

    /// Runs after a step that succeeded. An error replaces its answer.
    async fn after(&self, _call: &Call<'_>, _answer: &Answer<'_>) -> Result<(), JobError> {
        Ok(())
    }
}

/// A step with its arguments, as a [`JobHook`] sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Call<'a> {
    /// [`Job::check`]
    Check,
    /// [`Job::begin_run`]
    BeginRun,
    /// [`Job::batch`]
    Batch(&'a BatchRequest),
    /// [`Job::preview`]
    Preview(&'a Scope, &'a Page),
    /// [`Job::forecast`]
    Forecast(&'a [String]),
}

/// The answer of a step, as a [`JobHook`] sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// Of [`Job::check`].
    Check,
    /// Of [`Job::begin_run`].
    BeginRun(&'a RunBounds),
    /// Of [`Job::batch`].
    Batch(&'a Batch),
    /// Of [`Job::preview`].
    Preview(&'a PreviewRows),
    /// Of [`Job::forecast`].
    Forecast(&'a Forecast),
}

impl Call<'_> {
    /// The step without its arguments.
    #[must_use]
    pub fn step(&self) -> Step {
        match self {
            Self::Check => Step::Check,
            Self::BeginRun => Step::BeginRun,
            Self::Batch(_) => Step::Batch,
            Self::Preview(..) => Step::Preview,
            Self::Forecast(_) => Step::Forecast,
        }
    }
}

/// The faults and the calls of a [`FaultyJob`]. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<BTreeMap<Step, Plan>>>);

/// A step of a job: the method of [`Job`] of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// [`Job::check`]
    Check,
    /// [`Job::begin_run`]
    BeginRun,
    /// [`Job::batch`]
    Batch,
    /// [`Job::preview`]
    Preview,
    /// [`Job::forecast`]
    Forecast,
}

/// A fault of a step. It occurs before the step has changed a row.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The step fails with this error.
    Fail(String),
    /// The step panics.
    Panic,
    /// The step never ends.
    Hang,
    /// The step waits until the gate opens, then runs.
    Hold(Gate),
}

/// Holds a step until it opens. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<Passage>>);

#[derive(Debug, Default)]
struct Passage {
    open: bool,
    reached: u64,
}

#[derive(Debug, Default)]
struct Plan {
    calls: u64,
    /// By number of call.
    once: BTreeMap<u64, Fault>,
    always: Option<Fault>,
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

impl Faults {
    /// Sets the fault of one call, counted from now: 1 is the next.
    pub fn once(&self, step: Step, call: u64, fault: Fault) {
        let mut plans = self.plans();
        let plan = plans.entry(step).or_default();
        plan.once.insert(plan.calls + call, fault);
    }

    /// Sets the fault of every call that has none of its own, until [`Faults::clear`].
    pub fn always(&self, step: Step, fault: Fault) {
        self.plans().entry(step).or_default().always = Some(fault);
    }

    /// Removes all faults. A step that hangs continues to hang.
    pub fn clear(&self) {
        for plan in self.plans().values_mut() {
            plan.once.clear();
            plan.always = None;
        }
    }

    /// Returns the number of calls of a step, including those with a fault.
    #[must_use]
    pub fn calls(&self, step: Step) -> u64 {
        self.plans().get(&step).map_or(0, |plan| plan.calls)
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<Step, Plan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobHook for Faults {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        let step = call.step();
        let fault = self.plans().entry(step).or_default().call();
        match fault {
            None => Ok(()),
            Some(Fault::Fail(error)) => Err(error.into()),
            Some(Fault::Panic) => panic!("a fault of {step:?}"),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Hold(gate)) => {
                gate.pass().await;
                Ok(())
            }
        }
    }
}

impl Plan {
    fn call(&mut self) -> Option<Fault> {
        self.calls += 1;
        let once = self.once.remove(&self.calls);
        once.or_else(|| self.always.clone())
    }
}

impl Gate {
    /// Creates a closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.0.send_modify(|passage| passage.open = true);
    }

    /// Waits until a step has reached the gate.
    pub async fn reached(&self) {
        self.wait_for(|passage| passage.reached > 0).await;
    }

    async fn pass(&self) {
        self.0.send_modify(|passage| passage.reached += 1);
        self.wait_for(|passage| passage.open).await;
    }

    async fn wait_for(&self, condition: impl FnMut(&Passage) -> bool) {
        // Fails only without a sender, which `self` holds.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&*self.0.borrow()).finish()
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
