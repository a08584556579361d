//! Faults whose points count from the first batch of a run.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::{Job, JobName, Scope};

use crate::crashes::FaultPoint;

/// A fault that is set as soon as a run is at its first batch: what comes before is the same for all jobs. Clones are the same.
#[derive(Clone)]
pub(crate) struct FromFirstBatch {
    fault: Arc<dyn FaultPoint>,
    point: Arc<Mutex<Option<usize>>>,
}

impl FromFirstBatch {
    pub(crate) fn new(fault: Arc<dyn FaultPoint>) -> Self {
        Self {
            fault,
            point: Arc::default(),
        }
    }

    pub(crate) fn around(&self, inner: Arc<dyn Job>) -> impl Job + use<> {
        ArmsAtFirstBatch {
            inner,
            from_first_batch: self.clone(),
        }
    }

    fn keep(&self, point: Option<usize>) -> Option<usize> {
        let mut kept = self.point.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut kept, point)
    }
}

#[async_trait]
impl FaultPoint for FromFirstBatch {
    fn set(&self, point: usize) {
        // Forgets what it did before.
        self.fault.set(usize::MAX);
        self.keep(Some(point));
    }

    async fn triggered(&self) {
        self.fault.triggered().await;
    }

    fn clear(&self) -> bool {
        self.keep(None);
        self.fault.clear()
    }

    fn needs_a_kill(&self) -> bool {
        self.fault.needs_a_kill()
    }

    fn is_a_crash(&self) -> bool {
        self.fault.is_a_crash()
    }
}

/// A job that tells when it is at its first batch.
struct ArmsAtFirstBatch {
    inner: Arc<dyn Job>,
    from_first_batch: FromFirstBatch,
}

#[async_trait]
impl Job for ArmsAtFirstBatch {
    fn name(&self) -> JobName {
        self.inner.name()
    }

    async fn check(&self) -> Result<(), JobError> {
        self.inner.check().await
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.inner.begin_run().await
    }

    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
        if let Some(point) = self.from_first_batch.keep(None) {
            self.from_first_batch.fault.set(point);
        }
        self.inner.batch(pass).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.inner.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.inner.forecast(rejected).await
    }
}
