//! Something that goes off at the n-th thing a connection does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use diesel::connection::InstrumentationEvent;
use tokio::sync::watch;

use crate::crashes::FaultPoint;

/// Goes off within the work of a connection, at the n-th statement boundary after it was set:
/// before a statement, after it, and at the begin, the commit and the rollback of a transaction.
/// Clones are the same wire.
#[derive(Clone, Default)]
pub(crate) struct StatementFault(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    triggered: watch::Sender<bool>,
    /// It holds the connection's thread, instead of panicking. Only for SQLite, whose work has
    /// threads of its own.
    holds: bool,
}

#[derive(Default)]
struct State {
    /// Boundaries until it goes off; none if it is not set.
    left: usize,
    held: bool,
}

impl StatementFault {
    #[cfg(feature = "sqlite")]
    pub(crate) fn that_holds() -> Self {
        Self(Arc::new(Shared {
            holds: true,
            ..Shared::default()
        }))
    }

    pub(crate) fn operation(&self, event: &InstrumentationEvent<'_>) {
        let is_boundary = !matches!(
            event,
            InstrumentationEvent::StartEstablishConnection { .. }
                | InstrumentationEvent::FinishEstablishConnection { .. }
                // Nothing is awaited and nothing is said to the server between the begin of a
                // statement and this.
                | InstrumentationEvent::CacheQuery { .. }
        );
        let mut state = self.state();
        if !is_boundary || state.left == 0 {
            return;
        }
        state.left -= 1;
        if state.left > 0 {
            return;
        }
        state.held = self.0.holds;
        drop(state);
        self.0.triggered.send_replace(true);
        if !self.0.holds {
            // A panic that is not printed: there are many.
            std::panic::resume_unwind(Box::new("the statement_fault"));
        }
        let held = self.0.changed.wait_while(self.state(), |state| state.held);
        drop(held);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl FaultPoint for StatementFault {
    fn set(&self, point: usize) {
        self.0.triggered.send_replace(false);
        self.state().left = point;
    }

    async fn triggered(&self) {
        // Fails only without a sender, and we hold it.
        let _ = self
            .0
            .triggered
            .subscribe()
            .wait_for(|triggered| *triggered)
            .await;
    }

    fn clear(&self) -> bool {
        let mut state = self.state();
        (state.left, state.held) = (0, false);
        self.0.changed.notify_all();
        *self.0.triggered.borrow()
    }

    fn needs_a_kill(&self) -> bool {
        self.0.holds
    }

    fn is_a_crash(&self) -> bool {
        true
    }
}
