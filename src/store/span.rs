//! Arithmetic of instants and ages that does not overflow.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The overdue rows among which the oldest is looked for: the index knows them in nearly, but not exactly, the order in which they fell due.
#[cfg(feature = "_store")]
pub(crate) const OLDEST: i64 = 100;

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

/// How long the booking that became overdue first has been so. Each is given by its creation and the end of its hold.
#[cfg(feature = "_store")]
pub(crate) fn oldest_overdue(
    now: DateTime<Utc>,
    expire_after: Duration,
    overdue: impl Iterator<Item = (DateTime<Utc>, Option<DateTime<Utc>>)>,
) -> Option<Duration> {
    overdue
        .map(|(created, held)| {
            let aged = after(created, expire_after);
            held.map_or(aged, |held| aged.max(held))
        })
        .min()
        .map(|due| since(now, due))
}

/// When the next booking expires. `free` is the creation of the oldest Pending booking that is not held; `held` are the Pending bookings
/// whose holds end next, in that order, by creation and end of the hold.
#[cfg(feature = "_store")]
pub(crate) fn next_expiry(
    now: DateTime<Utc>,
    expire_after: Duration,
    free: Option<DateTime<Utc>>,
    held: impl Iterator<Item = (DateTime<Utc>, DateTime<Utc>)>,
) -> Option<Duration> {
    let mut next = free.map(|created| strictly_after(created, expire_after));
    let mut seen = 0;
    for (created, held) in held {
        seen += 1;
        // Behind the last one that was read there may be holds that end no earlier than its own.
        let due = if seen == OLDEST {
            held
        } else {
            strictly_after(created, expire_after).max(held)
        };
        next = Some(next.map_or(due, |next| next.min(due)));
    }
    next.map(|due| until(now, due))
}
