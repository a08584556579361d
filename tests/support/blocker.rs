//! A hook that blocks the thread of a job, past every timeout.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ractor_housekeeper::JobName;
use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::testing::{Call, FaultyJob, JobHook, MemoryStore};

/// Blocks the thread in the first batch until it is released.
pub(crate) struct Blocker(Mutex<Option<Receiver<()>>>);

impl Blocker {
    pub(crate) const NAME: JobName = SessionCleaner::NAME;

    /// Returns a job without rows, and its release.
    pub(crate) fn new() -> (FaultyJob<Self>, Sender<()>) {
        let (sender, receiver) = channel();
        let job = SessionCleaner::new(Arc::new(MemoryStore::new()), Some(Duration::from_secs(60)));
        let job = Arc::new(job.expect("the age is valid"));
        let hook = Self(Mutex::new(Some(receiver)));
        (FaultyJob::with_hook(job, hook), sender)
    }
}

#[async_trait]
impl JobHook for Blocker {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        if matches!(call, Call::Batch(_)) {
            let mut release = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(release) = release.take() {
                release.recv()?;
            }
        }
        Ok(())
    }
}
