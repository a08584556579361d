//! A gate that holds a step.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// A gate that holds a step until it opens. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<Passage>>);

#[derive(Debug, Default)]
struct Passage {
    open: bool,
    reached: u64,
}

impl Gate {
    /// Creates a closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.0.send_modify(|passage| passage.open = true);
    }

    /// Waits until a step has reached the gate.
    pub async fn reached(&self) {
        self.wait_for(|passage| passage.reached > 0).await;
    }

    pub(super) async fn pass(&self) {
        self.0.send_modify(|passage| passage.reached += 1);
        self.wait_for(|passage| passage.open).await;
    }

    async fn wait_for(&self, condition: impl FnMut(&Passage) -> bool) {
        // Fails only without a sender, which `self` holds.
        let _ = self.0.subscribe().wait_for(condition).await;
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&*self.0.borrow()).finish()
    }
}
