//! When bookings fall due.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::time::{after, since, strictly_after, until};

/// The overdue rows among which the oldest is looked for: the index knows them in nearly, but not
/// exactly, the order in which they fell due.
pub(crate) const OLDEST: i64 = 100;

/// How long the booking that became overdue first has been so. Each is given by its creation and
/// the end of its hold.
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

/// When the next booking expires. `free` is the creation of the oldest Pending booking that is not
/// held; `held` are the Pending bookings whose holds end next, in that order, by creation and end
/// of the hold.
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
