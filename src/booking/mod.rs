//! The built-in jobs, for the schema of a booking application.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::job::Job;
use crate::rule::Stamp;
use crate::store::Store;

mod booking_expirer;
mod job;
mod policy;
mod session_cleaner;

pub use booking_expirer::BookingExpirer;
pub use policy::BookingPolicy;
pub use session_cleaner::SessionCleaner;

/// Creates the two built-in jobs over one store.
///
/// # Errors
///
/// Fails if an age is zero or longer than 100 years.
pub fn built_in<S: Store>(
    store: S,
    policy: &BookingPolicy,
) -> Result<Vec<Arc<dyn Job>>, ConfigError> {
    let store: Arc<dyn Store> = Arc::new(store);
    Ok(vec![
        Arc::new(SessionCleaner::new(store.clone(), policy.idle_after)?),
        Arc::new(BookingExpirer::new(store, policy.expire_after)?),
    ])
}

/// Returns the stamp of the booking schema's instants on SQLite: text of one width.
fn text() -> Stamp {
    Stamp::Text("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned())
}
