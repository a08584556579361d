//! A job that panics once, when told to. Otherwise it forwards to the job inside it.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::{Job, JobName, Scope};

pub(crate) struct PanicOnce {
    job: Arc<dyn Job>,
    trigger: PanicTrigger,
}

/// Arms the panic for the next run of one scope, so that no other run crashes.
#[derive(Clone, Default)]
pub(crate) struct PanicTrigger(Arc<Mutex<Option<Scope>>>);

impl PanicTrigger {
    pub(crate) fn arm(&self, scope: Scope) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(scope);
    }

    fn take(&self, scope: &Scope) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|armed| armed == scope)
            .is_some()
    }
}

impl PanicOnce {
    pub(crate) fn new(job: Arc<dyn Job>, trigger: PanicTrigger) -> Self {
        Self { job, trigger }
    }
}

#[async_trait]
impl Job for PanicOnce {
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
        self.job.check().await
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.job.begin_run().await
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        if self.trigger.take(&request.scope) {
            // Skips the panic hook: its backtrace takes half a second in a debug build.
            resume_unwind(Box::new("a panic on purpose"));
        }
        self.job.batch(request).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.job.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.job.forecast(rejected).await
    }
}
