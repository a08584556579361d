//! A hook that panics in one batch, once armed.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ractor_housekeeper::Scope;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::testing::{Call, JobHook};

/// Panics in the next run of the armed scope, so that no other run crashes.
#[derive(Clone, Default)]
pub(crate) struct PanicOnce(Arc<Mutex<Option<Scope>>>);

impl PanicOnce {
    pub(crate) fn arm(&self, scope: Scope) {
        *self.armed() = Some(scope);
    }

    fn armed(&self) -> MutexGuard<'_, Option<Scope>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobHook for PanicOnce {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        if let Call::Batch(request) = call {
            let armed = self.armed().take_if(|armed| *armed == request.scope);
            if armed.is_some() {
                // Skips the panic hook: its backtrace takes half a second in a debug build.
                resume_unwind(Box::new("a panic on purpose"));
            }
        }
        Ok(())
    }
}
