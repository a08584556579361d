//! Faults on demand, around any job.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::job::{
    Batch, BatchRequest, Forecast, Job, JobError, JobName, Page, PreviewRows, RunBounds, Scope,
};

/// A job that fails when it is told to, and else does what the job in it does.
///
/// # Examples
///
/// What a host's dashboard shows of an outage, without an outage:
///
/// ```
/// use std::sync::Arc;
///
/// use ractor::call_t;
/// use ractor_housekeeper::testing::{Fault, FaultyJob, MemoryStore, Step};
/// use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Scope, start};
/// use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let expirer = BookingExpirer::new(Arc::new(MemoryStore::new()), BookingPolicy::default().expire_after)?;
/// let (job, faults) = FaultyJob::new(expirer);
/// let housekeeper = start(None, HousekeeperArguments::new(vec![Arc::new(job)])).await?.housekeeper;
/// faults.always(Step::BeginRun, Fault::Fail("the database is away".to_owned()));
///
/// let report = call_t!(housekeeper, HousekeeperMsg::RunNow, 1_000, BookingExpirer::NAME, Scope::All)??;
///
/// assert_eq!(report.outcome.to_string(), "failed: the database is away");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyJob<J> {
    job: J,
    faults: Faults,
}

/// What is to go wrong, and what was called. Clones speak of the same job.
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

/// What goes wrong with a step. It does so before the step has touched a row.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It fails with this error.
    Fail(String),
    /// It panics.
    Panic,
    /// It never ends.
    Hang,
    /// It waits at the gate, and is done when that opens.
    Hold(Gate),
}

/// Holds a step up until it is opened. Clones are the same gate.
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
    /// By the number of the call.
    once: BTreeMap<u64, Fault>,
    always: Option<Fault>,
}

impl<J: Job> FaultyJob<J> {
    /// Wraps a job. Nothing goes wrong until the faults are told so.
    pub fn new(job: J) -> (Self, Faults) {
        let faults = Faults::default();
        let job = Self {
            job,
            faults: faults.clone(),
        };
        (job, faults)
    }
}

impl Faults {
    /// Makes one call go wrong, counted from now: 1 is the next.
    pub fn once(&self, step: Step, call: u64, fault: Fault) {
        let mut plans = self.plans();
        let plan = plans.entry(step).or_default();
        plan.once.insert(plan.calls + call, fault);
    }

    /// Makes every call go wrong that has no fault of its own, until [`Faults::clear`].
    pub fn always(&self, step: Step, fault: Fault) {
        self.plans().entry(step).or_default().always = Some(fault);
    }

    /// Nothing goes wrong from now on. What hangs still hangs.
    pub fn clear(&self) {
        for plan in self.plans().values_mut() {
            plan.once.clear();
            plan.always = None;
        }
    }

    /// How often a step was called, also when it went wrong.
    #[must_use]
    pub fn calls(&self, step: Step) -> u64 {
        self.plans().get(&step).map_or(0, |plan| plan.calls)
    }

    async fn before(&self, step: Step) -> Result<(), JobError> {
        let fault = self.plans().entry(step).or_default().call();
        match fault {
            None => Ok(()),
            Some(Fault::Fail(error)) => Err(error.into()),
            Some(Fault::Panic) => panic!("{step:?} was told to panic"),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Hold(gate)) => {
                gate.pass().await;
                Ok(())
            }
        }
    }

    fn plans(&self) -> MutexGuard<'_, BTreeMap<Step, Plan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }

    /// Lets everybody through, now and later.
    pub fn open(&self) {
        self.0.send_modify(|passage| passage.open = true);
    }

    /// Waits until a step has come to the gate.
    pub async fn reached(&self) {
        self.wait_for(|passage| passage.reached > 0).await;
    }

    async fn pass(&self) {
        self.0.send_modify(|passage| passage.reached += 1);
        self.wait_for(|passage| passage.open).await;
    }

    async fn wait_for(&self, condition: impl FnMut(&Passage) -> bool) {
        // Fails only without a sender, and we hold it.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&*self.0.borrow()).finish()
    }
}

#[async_trait]
impl<J: Job> Job for FaultyJob<J> {
    fn name(&self) -> JobName {
        self.job.name()
    }

    fn is_enabled(&self) -> bool {
        self.job.is_enabled()
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        self.job.check_scope(scope)
    }

    async fn check(&self) -> Result<(), JobError> {
        self.faults.before(Step::Check).await?;
        self.job.check().await
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.faults.before(Step::BeginRun).await?;
        self.job.begin_run().await
    }

    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
        self.faults.before(Step::Batch).await?;
        self.job.batch(pass).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.faults.before(Step::Preview).await?;
        self.job.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.faults.before(Step::Forecast).await?;
        self.job.forecast(rejected).await
    }
}
