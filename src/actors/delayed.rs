//! Messages that a drop cancels.

use ractor::MessagingErr;
use tokio::task::JoinHandle;

/// A message sent after a delay; dropping this cancels it.
pub(crate) struct Delayed<M>(pub(crate) JoinHandle<Result<(), MessagingErr<M>>>);

impl<M> Drop for Delayed<M> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
