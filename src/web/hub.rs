//! The streams that are open: their seats, and the channel of frames that they share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::seats::Seats;

/// The frames for all streams.
#[derive(Default)]
pub(crate) struct Hub {
    /// Present while a stream is open.
    frames: Mutex<Weak<watch::Sender<Arc<str>>>>,
    pub(super) seats: Arc<Seats>,
}

impl Hub {
    pub(super) fn frames(&self) -> MutexGuard<'_, Weak<watch::Sender<Arc<str>>>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the last stream has ended. Then the next one starts another reader.
    pub(super) fn is_left(&self, sender: &watch::Sender<Arc<str>>) -> bool {
        let mut frames = self.frames();
        let left = sender.receiver_count() == 0 || self.seats.are_empty();
        if left {
            *frames = Weak::new();
        }
        left
    }
}
