//! Faults whose points count from the first batch of a run.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::testing::{Call, JobHook, Step};

use crate::crashes::FaultPoint;

/// A fault that is set at the first batch of a run: the steps before it are the same for all jobs.
/// Clones share it.
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

#[async_trait]
impl JobHook for FromFirstBatch {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        if call.step() == Step::Batch {
            if let Some(point) = self.keep(None) {
                self.fault.set(point);
            }
        }
        Ok(())
    }
}
