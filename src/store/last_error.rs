//! Why a pool has no connection.

use std::sync::{Arc, Mutex, PoisonError};

use diesel_async::pooled_connection::PoolError;

/// What a pool could not do lately. Without it, a refused password and a server that is away would both read as a timeout.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    /// The last error since this was asked before.
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl LastError {
    /// Why somebody got no connection. The pool itself only knows that it ran out of time.
    pub(crate) fn explain<M: bb8::ManageConnection>(
        &self,
        pool: &bb8::Pool<M>,
        error: &dyn std::error::Error,
    ) -> String {
        let state = pool.state();
        match self.take() {
            Some(last) => last,
            None if state.connections > 0 && state.idle_connections == 0 => {
                format!(
                    "all {} connections of the pool are in use",
                    state.connections
                )
            }
            None => error.to_string(),
        }
    }
}

impl bb8::ErrorSink<PoolError> for LastError {
    fn sink(&self, error: PoolError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<PoolError>> {
        Box::new(self.clone())
    }
}
