//! A job whose code blocks its thread, past every limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::{Job, JobName, Scope};

/// Blocks its thread in its only batch until it is released.
pub(crate) struct Blocker {
    release: Mutex<Receiver<()>>,
    calls: AtomicUsize,
}

impl Blocker {
    pub(crate) const NAME: JobName = JobName::new("blocker");

    pub(crate) fn new() -> (Self, Sender<()>) {
        let (sender, receiver) = channel();
        let job = Self {
            release: Mutex::new(receiver),
            calls: AtomicUsize::new(0),
        };
        (job, sender)
    }
}

#[async_trait]
impl Job for Blocker {
    fn name(&self) -> JobName {
        Self::NAME
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(RunBounds::new(DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH))
    }

    async fn batch(&self, _: &BatchRequest) -> Result<Batch, JobError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            let release = self.release.lock().unwrap_or_else(PoisonError::into_inner);
            release.recv()?;
        }
        Ok(Batch::default())
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn forecast(&self, _: &[String]) -> Result<Forecast, JobError> {
        Ok(Forecast::default())
    }
}
