//! The built-in jobs, for the schema of a booking application.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::config::ConfigError;
use crate::job::{Job, RunBounds, Scope};
use crate::store::Store;

mod booking_expirer;
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

/// Returns the bounds of a run that begins now over rows older than `age`. A cutoff before the
/// first century is the earliest instant, which no row precedes.
fn run_bounds(now: DateTime<Utc>, age: Duration) -> RunBounds {
    let cutoff = TimeDelta::from_std(age)
        .ok()
        .and_then(|age| now.checked_sub_signed(age))
        .unwrap_or(DateTime::<Utc>::MIN_UTC);
    RunBounds { now, cutoff }
}

/// Checks that the scope's user is a UUID, the key of users in the booking schema.
fn check_user(scope: &Scope) -> Result<(), String> {
    match scope.user_id() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{} is not keyed by a UUID, as the booking schema's users are",
            scope.to_string().escape_debug()
        )),
    }
}
