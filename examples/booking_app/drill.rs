//! A job that works as the one inside it does, but for one panic on demand.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::{
    Batch, Job, JobError, JobName, Outlook, Page, Pass, PreviewRows, Scope, Window,
};

pub(crate) struct Drill {
    job: Arc<dyn Job>,
    alarm: Alarm,
}

/// Set off for one scope, so that it is the run of whoever asks for that scope that crashes, and no other.
#[derive(Clone, Default)]
pub(crate) struct Alarm(Arc<Mutex<Option<Scope>>>);

impl Alarm {
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
    pub(crate) fn new(job: Arc<dyn Job>, alarm: Alarm) -> Self {
        Self { job, alarm }
    }
}

#[async_trait]
impl Job for Drill {
    fn name(&self) -> JobName {
        self.job.name()
    }

    fn is_on(&self) -> bool {
        self.job.is_on()
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        self.job.check_scope(scope)
    }

    async fn check(&self) -> Result<(), JobError> {
        self.job.check().await
    }

    async fn open(&self) -> Result<Window, JobError> {
        self.job.open().await
    }

    async fn batch(&self, pass: &Pass) -> Result<Batch, JobError> {
        if self.alarm.rings_for(&pass.scope) {
            // A panic without the hook: a backtrace would say nothing and, in a debug build, take half a second.
            resume_unwind(Box::new("this is a drill"));
        }
        self.job.batch(pass).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.job.preview(scope, page).await
    }

    async fn outlook(&self, set_aside: &[String]) -> Result<Outlook, JobError> {
        self.job.outlook(set_aside).await
    }
}
