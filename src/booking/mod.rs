//! The jobs that come with this crate. This list is the only place that names them all.

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

/// The two jobs of the booking application, over one store.
///
/// # Errors
///
/// An age of zero, or one that no calendar holds.
pub fn built_in<S: Store>(
    store: S,
    ages: &BookingPolicy,
) -> Result<Vec<Arc<dyn Job>>, ConfigError> {
    let store: Arc<dyn Store> = Arc::new(store);
    Ok(vec![
        Arc::new(SessionCleaner::new(store.clone(), ages.idle_after)?),
        Arc::new(BookingExpirer::new(store, ages.expire_after)?),
    ])
}

/// A run that begins now over rows older than `age`. On a clock that stands before the calendar's
/// first century, no row is.
fn window(now: DateTime<Utc>, age: Duration) -> RunBounds {
    let cutoff = TimeDelta::from_std(age)
        .ok()
        .and_then(|age| now.checked_sub_signed(age))
        .unwrap_or(DateTime::<Utc>::MIN_UTC);
    RunBounds { now, cutoff }
}

/// The booking schema keys users by UUID.
fn check_user(scope: &Scope) -> Result<(), String> {
    match scope.user_id() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{} is not keyed by a UUID, as the booking schema's users are",
            scope.to_string().escape_debug()
        )),
    }
}
