//! Why a pool has no connection.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel_async::pooled_connection::PoolError;

/// The last failure of a pool. Without it, a refused password and a server that is away would both
/// read as a timeout.
///
/// Kept until a caller gets a connection, because all callers that wait report it, and the pool
/// does not try anew for each of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastError(Arc<Mutex<Option<(Instant, String)>>>);

impl LastError {
    /// A caller got a connection.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// Returns why a caller that has waited this long got no connection. The pool itself only
    /// knows that it ran out of time.
    pub(crate) fn explain<M: bb8::ManageConnection>(
        &self,
        pool: &bb8::Pool<M>,
        since: Instant,
        limit: Duration,
        error: &dyn Error,
    ) -> String {
        let state = pool.state();
        let all_in_use = state.connections > 0 && state.idle_connections == 0;
        match self.lock().clone() {
            Some((at, last)) if explains(at, since, limit, all_in_use) => last,
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

/// Whether an error of this instant is the reason of a wait that began then.
///
/// An earlier one may be: the pool pauses between its attempts, but never as long as callers wait.
/// One from before that is over. Connections that the host took from the pool since are unknown.
fn explains(at: Instant, since: Instant, limit: Duration, all_in_use: bool) -> bool {
    at >= since || (!all_in_use && since.duration_since(at) <= limit)
}

impl bb8::ErrorSink<PoolError> for LastError {
    fn sink(&self, error: PoolError) {
        *self.lock() = Some((Instant::now(), error.to_string()));
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<PoolError>> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recent_error_explains_a_wait_for_a_connection() {
        let limit = Duration::from_secs(5);
        let at = Instant::now();
        let explained =
            |waited_from: Duration, all_in_use| explains(at, at + waited_from, limit, all_in_use);

        let (within, before) = (Duration::ZERO, Duration::from_secs(5));
        let long_before = before + Duration::from_nanos(1);

        assert!(explained(within, false) && explained(within, true));
        assert!(explained(before, false) && !explained(before, true));
        assert!(!explained(long_before, false));
    }
}
