//! Arithmetic of instants and ages that does not overflow.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// `age` before `now`.
pub(crate) fn before(now: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(age)
        .ok()
        .and_then(|age| now.checked_sub_signed(age))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// `age` after `since`.
pub(crate) fn after(since: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(age)
        .ok()
        .and_then(|age| since.checked_add_signed(age))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The first instant, in the databases' microseconds, that is more than `age` after `since`.
pub(crate) fn strictly_after(since: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    after(since, age.saturating_add(Duration::from_micros(1)))
}

/// How long ago `then` was; zero if it is still to come.
pub(crate) fn since(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    (now - then).to_std().unwrap_or_default()
}

/// How long it is until `then`; zero if it has passed.
pub(crate) fn until(now: DateTime<Utc>, then: DateTime<Utc>) -> Duration {
    since(then, now)
}
