//! Faults whose points count from the first batch of a run.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::{Job, JobName, Scope};

use crate::crashes::Fault;

/// A fault that is set as soon as a run is at its first batch: what comes before is the same for all jobs. Clones are the same.
#[derive(Clone)]
pub(crate) struct Late {
    fault: Arc<dyn Fault>,
    point: Arc<Mutex<Option<usize>>>,
}

impl Late {
    pub(crate) fn new(fault: Arc<dyn Fault>) -> Self {
        Self {
            fault,
            point: Arc::default(),
        }
    }

    pub(crate) fn around(&self, inner: Arc<dyn Job>) -> impl Job + use<> {
        Observed {
            inner,
            late: self.clone(),
        }
    }

    fn keep(&self, point: Option<usize>) -> Option<usize> {
        let mut kept = self.point.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut kept, point)
    }
}

#[async_trait]
impl Fault for Late {
    fn set(&self, point: usize) {
        // Forgets what it did before.
        self.fault.set(usize::MAX);
        self.keep(Some(point));
    }

    async fn sprung(&self) {
        self.fault.sprung().await;
    }

    fn clear(&self) -> bool {
        self.keep(None);
        self.fault.clear()
    }

    fn wants_a_kill(&self) -> bool {
        self.fault.wants_a_kill()
    }

    fn is_a_crash(&self) -> bool {
        self.fault.is_a_crash()
    }
}

/// A job that tells when it is at its first batch.
struct Observed {
    inner: Arc<dyn Job>,
    late: Late,
}

#[async_trait]
impl Job for Observed {
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
        if let Some(point) = self.late.keep(None) {
            self.late.fault.set(point);
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
