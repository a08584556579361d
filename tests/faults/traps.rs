//! Traps before and after each step of a job, and around its history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::model::{RunHistory, RunRecord, StoreError};
use ractor_housekeeper::{Job, JobName, Scope};
use tokio::sync::watch;

use crate::crashes::Fault;

/// What a trap does to the step that steps into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It fails.
    Err,
    /// It panics.
    Panic,
    /// It waits, to be killed.
    Wait,
}

/// One trap, which is moved from place to place. Clones are the same.
#[derive(Clone)]
pub(crate) struct Trap {
    harm: Harm,
    left: Arc<Mutex<usize>>,
    sprung: Arc<watch::Sender<bool>>,
}

impl Trap {
    pub(crate) fn new(harm: Harm) -> Self {
        Self {
            harm,
            left: Arc::default(),
            sprung: Arc::default(),
        }
    }

    pub(crate) fn around<T: ?Sized>(&self, inner: Arc<T>) -> Trapped<T> {
        Trapped {
            inner,
            trap: self.clone(),
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
        self.sprung.send_replace(true);
        match self.harm {
            Harm::Err => Err("the trap".to_owned()),
            // Not printed: there are many.
            Harm::Panic => std::panic::resume_unwind(Box::new("the trap")),
            Harm::Wait => std::future::pending().await,
        }
    }

    fn left(&self) -> MutexGuard<'_, usize> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Fault for Trap {
    fn set(&self, point: usize) {
        self.sprung.send_replace(false);
        *self.left() = point;
    }

    async fn sprung(&self) {
        // Fails only without a sender, and we hold it.
        let _ = self.sprung.subscribe().wait_for(|sprung| *sprung).await;
    }

    fn clear(&self) -> bool {
        *self.left() = 0;
        *self.sprung.borrow()
    }

    fn wants_a_kill(&self) -> bool {
        self.harm == Harm::Wait
    }

    fn is_a_crash(&self) -> bool {
        self.harm != Harm::Err
    }
}

/// A job, or a history, with the trap before and after each step.
pub(crate) struct Trapped<T: ?Sized> {
    inner: Arc<T>,
    trap: Trap,
}

impl<T: ?Sized> Trapped<T> {
    async fn step<R, E: From<Bad>>(
        &self,
        step: impl Future<Output = Result<R, E>> + Send,
    ) -> Result<R, E> {
        self.trap.pass().await.map_err(Bad)?;
        let done = step.await?;
        self.trap.pass().await.map_err(Bad)?;
        Ok(done)
    }
}

/// What the trap says, on its way to the error of whoever stepped into it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Bad(String);

impl From<Bad> for StoreError {
    fn from(bad: Bad) -> Self {
        Self::Schema(bad.0)
    }
}

#[async_trait]
impl Job for Trapped<dyn Job> {
    fn name(&self) -> JobName {
        self.inner.name()
    }

    async fn check(&self) -> Result<(), JobError> {
        self.step(self.inner.check()).await
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.step(self.inner.begin_run()).await
    }

    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
        self.step(self.inner.batch(pass)).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.inner.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.step(self.inner.forecast(rejected)).await
    }
}

#[async_trait]
impl RunHistory for Trapped<dyn RunHistory> {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        self.step(self.inner.record(runs, keep)).await
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.inner.runs(job, limit).await
    }
}
