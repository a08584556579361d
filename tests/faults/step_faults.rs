//! A fault before or after each step of a job, and around its history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::JobName;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::model::{RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::{Answer, Call, JobHook, Step};
use tokio::sync::watch;

use crate::crashes::FaultPoint;

/// The effect of the fault on the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails.
    Err,
    /// It panics.
    Panic,
    /// It waits, to be killed.
    Wait,
}

/// One fault, moved from point to point. Clones share it.
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

    /// Previews are no step of a run.
    async fn pass_unless_preview(&self, call: &Call<'_>) -> Result<(), JobError> {
        match call.step() {
            Step::Preview => Ok(()),
            _ => Ok(self.pass().await?),
        }
    }

    /// A point at which the fault may be.
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

#[async_trait]
impl JobHook for StepFault {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        self.pass_unless_preview(call).await
    }

    async fn after(&self, call: &Call<'_>, _: &Answer<'_>) -> Result<(), JobError> {
        self.pass_unless_preview(call).await
    }
}

/// A history with the fault before and after each write.
pub(crate) struct HistoryWithFaults<T> {
    pub(crate) inner: T,
    pub(crate) step_fault: StepFault,
}

#[async_trait]
impl<T: RunHistory> RunHistory for HistoryWithFaults<T> {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        self.step_fault.pass().await.map_err(StoreError::Schema)?;
        self.inner.record(runs, keep).await?;
        self.step_fault.pass().await.map_err(StoreError::Schema)
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.inner.runs(job, limit).await
    }
}
