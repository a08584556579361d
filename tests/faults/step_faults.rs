//! Traps before and after each step of a job, and around its history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::model::{RunHistory, RunRecord, StoreError};
use ractor_housekeeper::{Job, JobName, Scope};
use tokio::sync::watch;

use crate::crashes::FaultPoint;

/// What a trap does to the step that steps into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails.
    Err,
    /// It panics.
    Panic,
    /// It waits, to be killed.
    Wait,
}

/// One trap, which is moved from place to place. Clones are the same.
#[derive(Clone)]
pub(crate) struct StepFault {
    fault: Fault,
    left: Arc<Mutex<usize>>,
    triggered: Arc<watch::Sender<bool>>,
}

impl StepFault {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            left: Arc::default(),
            triggered: Arc::default(),
        }
    }

    pub(crate) fn around<T: ?Sized>(&self, inner: Arc<T>) -> WithStepFaults<T> {
        WithStepFaults {
            inner,
            step_fault: self.clone(),
        }
    }

    /// A place where the trap may be.
    async fn pass(&self) -> Result<(), String> {
        let is_here = {
            let mut left = self.left();
            let was = *left;
            *left = was.saturating_sub(1);
            was == 1
        };
        if !is_here {
            return Ok(());
        }
        self.triggered.send_replace(true);
        match self.fault {
            Fault::Err => Err("the step_fault".to_owned()),
            // Not printed: there are many.
            Fault::Panic => std::panic::resume_unwind(Box::new("the step_fault")),
            Fault::Wait => std::future::pending().await,
        }
    }

    fn left(&self) -> MutexGuard<'_, usize> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl FaultPoint for StepFault {
    fn set(&self, point: usize) {
        self.triggered.send_replace(false);
        *self.left() = point;
    }

    async fn triggered(&self) {
        // Fails only without a sender, and we hold it.
        let _ = self
            .triggered
            .subscribe()
            .wait_for(|triggered| *triggered)
            .await;
    }

    fn clear(&self) -> bool {
        *self.left() = 0;
        *self.triggered.borrow()
    }

    fn needs_a_kill(&self) -> bool {
        self.fault == Fault::Wait
    }

    fn is_a_crash(&self) -> bool {
        self.fault != Fault::Err
    }
}

/// A job, or a history, with the trap before and after each step.
pub(crate) struct WithStepFaults<T: ?Sized> {
    inner: Arc<T>,
    step_fault: StepFault,
}

impl<T: ?Sized> WithStepFaults<T> {
    async fn operation<R, E: From<InjectedError>>(
        &self,
        operation: impl Future<Output = Result<R, E>> + Send,
    ) -> Result<R, E> {
        self.step_fault.pass().await.map_err(InjectedError)?;
        let done = operation.await?;
        self.step_fault.pass().await.map_err(InjectedError)?;
        Ok(done)
    }
}

/// What the trap says, on its way to the error of whoever stepped into it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct InjectedError(String);

impl From<InjectedError> for StoreError {
    fn from(bad: InjectedError) -> Self {
        Self::Schema(bad.0)
    }
}

#[async_trait]
impl Job for WithStepFaults<dyn Job> {
    fn name(&self) -> JobName {
        self.inner.name()
    }

    async fn check(&self) -> Result<(), JobError> {
        self.operation(self.inner.check()).await
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.operation(self.inner.begin_run()).await
    }

    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
        self.operation(self.inner.batch(pass)).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.inner.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.operation(self.inner.forecast(rejected)).await
    }
}

#[async_trait]
impl RunHistory for WithStepFaults<dyn RunHistory> {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        self.operation(self.inner.record(runs, keep)).await
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.inner.runs(job, limit).await
    }
}
