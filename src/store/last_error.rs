//! Why a pool has no connection.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use diesel_async::pooled_connection::PoolError;

/// What a pool could not do lately. Without it, a refused password and a server that is away would both read as a timeout.
///
/// Kept until somebody gets a connection: of several who wait, all are to be told, and the pool does not try anew for each of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastError(Arc<Mutex<Option<(Instant, String)>>>);

impl LastError {
    /// Somebody got a connection.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// Why somebody who has waited since then got no connection. The pool itself only knows that it ran out of time.
    pub(crate) fn explain<M: bb8::ManageConnection>(
        &self,
        pool: &bb8::Pool<M>,
        since: Instant,
        error: &dyn Error,
    ) -> String {
        let state = pool.state();
        let all_in_use = state.connections > 0 && state.idle_connections == 0;
        match self.lock().clone() {
            Some((at, last)) if at >= since || !all_in_use => last,
            _ if all_in_use => format!(
                "all {} connections of the pool are in use",
                state.connections
            ),
            _ => error.to_string(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl bb8::ErrorSink<PoolError> for LastError {
    fn sink(&self, error: PoolError) {
        *self.lock() = Some((Instant::now(), error.to_string()));
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<PoolError>> {
        Box::new(self.clone())
    }
}
