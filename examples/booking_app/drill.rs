//! A job that works as the one inside it does, but for one panic on demand.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::{Job, JobName, Scope};

pub(crate) struct Drill {
    job: Arc<dyn Job>,
    alarm: TimerHandle,
}

/// Set off for one scope, so that it is the run of whoever asks for that scope that crashes, and no
/// other.
#[derive(Clone, Default)]
pub(crate) struct TimerHandle(Arc<Mutex<Option<Scope>>>);

impl TimerHandle {
    pub(crate) fn set_off(&self, scope: Scope) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(scope);
    }

    fn rings_for(&self, scope: &Scope) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|set| set == scope)
            .is_some()
    }
}

impl Drill {
    pub(crate) fn new(job: Arc<dyn Job>, alarm: TimerHandle) -> Self {
        Self { job, alarm }
    }
}

#[async_trait]
impl Job for Drill {
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

    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
        if self.alarm.rings_for(&pass.scope) {
            // A panic without the hook: a backtrace would say nothing and, in a debug build, take
            // half a second.
            resume_unwind(Box::new("this is a drill"));
        }
        self.job.batch(pass).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.job.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.job.forecast(rejected).await
    }
}
