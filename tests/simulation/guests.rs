//! Acts of guests, and the plainest account of the two rules: which rows are due, and since when.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::testing::MemoryStore;
use uuid::Uuid;

/// The rows as their guests know them. Kept apart from the store, which the housekeepers change.
#[derive(Default)]
pub(crate) struct Guests {
    pub(crate) bookings: BTreeMap<String, Booking>,
    pub(crate) sessions: BTreeMap<String, Session>,
    /// When each user last wrote.
    pub(crate) wrote: BTreeMap<Uuid, DateTime<Utc>>,
}

pub(crate) struct Booking {
    pub(crate) user: Uuid,
    pub(crate) made: DateTime<Utc>,
    pub(crate) held: Option<DateTime<Utc>>,
    pub(crate) status: &'static str,
    /// When a guest last changed it.
    pub(crate) touched: DateTime<Utc>,
    /// Whether it falls due in a way that only the next look can find: made in the past, or let go
    /// before its time.
    pub(crate) unforeseen: bool,
}

pub(crate) struct Session {
    pub(crate) user: Uuid,
    pub(crate) began: DateTime<Utc>,
    pub(crate) images: u64,
    pub(crate) videos: u64,
    pub(crate) touched: DateTime<Utc>,
    pub(crate) unforeseen: bool,
}

/// The changes of a batch, as the difference between the store and the guests' knowledge.
#[derive(Default)]
pub(crate) struct Change {
    /// Ids, each with how long it had been due, and whether that could be foreseen.
    pub(crate) rows: Vec<(String, Duration, bool)>,
    pub(crate) counts: u64,
}

impl Booking {
    /// Since when it has been due, without a change in between; `None` if it never will be as it
    /// is.
    pub(crate) fn due_since(&self, age: Duration) -> Option<DateTime<Utc>> {
        let aged = strictly_after(self.made, age);
        let due = self.held.map_or(aged, |held| aged.max(held));
        (self.status == "Pending").then(|| due.max(self.touched))
    }
}

impl Guests {
    /// Since when a session has been due, without a change in between.
    pub(crate) fn idle_since(&self, session: &Session, age: Duration) -> DateTime<Utc> {
        let wrote = self.wrote.get(&session.user).copied();
        let active = wrote.map_or(session.began, |wrote| wrote.max(session.began));
        strictly_after(active, age).max(session.touched)
    }

    /// The rows of a user, or of all, that have been due since `then` or longer, and are still
    /// there.
    pub(crate) fn due_since(
        &self,
        then: DateTime<Utc>,
        user: Option<Uuid>,
        ages: BookingPolicy,
    ) -> (Vec<&str>, Vec<&str>) {
        let ours = |whose: Uuid| user.is_none_or(|user| user == whose);
        let bookings = self.bookings.iter();
        let bookings = bookings
            .filter(|(_, booking)| ours(booking.user))
            .filter(|(_, booking)| {
                booking
                    .due_since(ages.booking)
                    .is_some_and(|due| due <= then)
            });
        let sessions = self.sessions.iter();
        let sessions = sessions
            .filter(|(_, session)| ours(session.user))
            .filter(|(_, session)| self.idle_since(session, ages.session) <= then);
        (
            bookings.map(|(id, _)| id.as_str()).collect(),
            sessions.map(|(id, _)| id.as_str()).collect(),
        )
    }

    /// Takes note of bookings that were expired. The error is a promise that was broken.
    pub(crate) fn note_expired(
        &mut self,
        store: &MemoryStore,
        now: DateTime<Utc>,
        age: Duration,
    ) -> Result<Change, String> {
        let mut change = Change::default();
        for row in store.bookings() {
            let Some(booking) = self.bookings.get_mut(&row.id) else {
                return Err(format!("booking {} came from nowhere", row.id));
            };
            if row.status == booking.status {
                continue;
            }
            let due = booking.due_since(age).filter(|due| *due <= now);
            let (Some(due), "Expired") = (due, row.status.as_str()) else {
                return Err(format!(
                    "booking {} was {} and became {} at {now}; made {}, held until {:?}",
                    row.id, booking.status, row.status, booking.made, booking.held
                ));
            };
            booking.status = "Expired";
            let waited = (now - due).to_std().unwrap_or_default();
            change.rows.push((row.id, waited, !booking.unforeseen));
            change.counts += 1;
        }
        Ok(change)
    }

    /// Takes note of sessions that were deleted. The error is a promise that was broken.
    pub(crate) fn note_deleted(
        &mut self,
        store: &MemoryStore,
        now: DateTime<Utc>,
        age: Duration,
    ) -> Result<Change, String> {
        let mut change = Change::default();
        let mut there = store.sessions().into_iter().map(|row| row.id).peekable();
        let mut gone = Vec::new();
        for (id, session) in &self.sessions {
            if there.next_if_eq(id).is_some() {
                continue;
            }
            let due = self.idle_since(session, age);
            if due > now {
                return Err(format!(
                    "session {id} was deleted at {now}, but is due at {due}"
                ));
            }
            let waited = (now - due).to_std().unwrap_or_default();
            change.counts += 1 + session.images + session.videos;
            change.rows.push((id.clone(), waited, !session.unforeseen));
            gone.push(id.clone());
        }
        if let Some(id) = there.next() {
            return Err(format!("session {id} came from nowhere"));
        }
        for id in gone {
            self.sessions.remove(&id);
        }
        Ok(change)
    }
}

/// How old a row must be before it is due.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BookingPolicy {
    pub(crate) booking: Duration,
    pub(crate) session: Duration,
}

/// The first instant, to the microsecond, at which something is older than `age`.
fn strictly_after(instant: DateTime<Utc>, age: Duration) -> DateTime<Utc> {
    instant + age + TimeDelta::microseconds(1)
}
