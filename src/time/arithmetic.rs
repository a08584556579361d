//! Saturating arithmetic of instants.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Returns the instant `age` before `now`, at the earliest [`DateTime::MIN_UTC`].
pub(crate) fn before(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(age)
        .ok()
        .and_then(|age| now.checked_sub_signed(age))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Returns the instant `age` after `since`, at the latest [`DateTime::MAX_UTC`].
pub(crate) fn after(since: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(age)
        .ok()
        .and_then(|age| since.checked_add_signed(age))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Returns the first instant, in the databases' microseconds, that is more than `age` after
/// `since`.
pub(crate) fn strictly_after(since: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    after(since, age.saturating_add(Duration::from_micros(1)))
}

/// Returns the time from `then` to `now`; zero if `then` is later.
pub(crate) fn since(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    now.signed_duration_since(then).to_std().unwrap_or_default()
}

/// Returns the time from `now` to `then`; zero if `then` is earlier.
pub(crate) fn until(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    since(then, now)
}
