//! A message on its way.

use ractor::MessagingErr;
use tokio::task::JoinHandle;

/// A message on its way, taken back when this is dropped.
pub(crate) struct Delayed<M>(pub(crate) JoinHandle<Result<(), MessagingErr<M>>>);

impl<M> Drop for Delayed<M> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
