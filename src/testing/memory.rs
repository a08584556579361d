//! The built-in rules in plain Rust: a store for tests without SQL, and a model for tests of the
//! databases.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::time::{Clock, SystemClock};

mod job;
mod records;
mod rows;
mod store;

pub use records::{MemoryBooking, MemorySession};
use rows::Rows;

/// The booking schema in memory. Clones share their rows.
///
/// Its jobs implement the built-in rules to the microsecond. It keeps a history, and never locks or
/// rejects a row.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::testing::{MemoryBooking, MemoryStore};
///
/// let store = MemoryStore::new();
/// store.add_booking(MemoryBooking::pending("b1", uuid::Uuid::nil(), chrono::Utc::now()));
///
/// assert_eq!(store.bookings()[0].status, "Pending");
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// Creates an empty store that uses the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a session, or replaces the one with this id.
    pub fn add_session(&self, id: impl Into<String>, user: Uuid, created_at: DateTime<Utc>) {
        let id = id.into();
        let session = MemorySession {
            id: id.clone(),
            user,
            created_at: created_at.trunc_subsecs(6),
            images: 0,
            videos: 0,
        };
        self.rows().sessions.insert(id, session);
    }

    /// Adds a message. Only messages of the sender `user` count as activity.
    pub fn add_message(&self, user: Uuid, sender: impl Into<String>, at: DateTime<Utc>) {
        if sender.into() == "user" {
            let at = at.trunc_subsecs(6);
            let mut rows = self.rows();
            let wrote = rows.wrote.entry(user).or_insert(at);
            *wrote = at.max(*wrote);
        }
    }

    /// Adds the record of an image, if the session exists.
    pub fn add_image(&self, session: &str) {
        if let Some(session) = self.rows().sessions.get_mut(session) {
            session.images += 1;
        }
    }

    /// Adds the record of a video, if the session exists.
    pub fn add_video(&self, session: &str) {
        if let Some(session) = self.rows().sessions.get_mut(session) {
            session.videos += 1;
        }
    }

    /// Adds a booking, or replaces the one with this id.
    pub fn add_booking(&self, booking: MemoryBooking) {
        let booking = MemoryBooking {
            created_at: booking.created_at.trunc_subsecs(6),
            held_until: booking.held_until.map(|held| held.trunc_subsecs(6)),
            ..booking
        };
        self.rows().bookings.insert(booking.id.clone(), booking);
    }

    /// Returns the sessions, by id.
    #[must_use]
    pub fn sessions(&self) -> Vec<MemorySession> {
        self.rows().sessions.values().cloned().collect()
    }

    /// Returns the bookings, by id.
    #[must_use]
    pub fn bookings(&self) -> Vec<MemoryBooking> {
        self.rows().bookings.values().cloned().collect()
    }

    /// Sets the activity throttle, which the check of the session cleaner compares with
    /// `idle_after`. The throttle has no effect on rows.
    pub fn set_activity_throttle(&self, throttle: Duration) {
        self.rows().throttle = throttle;
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instant(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            rows: Arc::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn instants_have_the_precision_of_the_databases() {
        let fine = DateTime::UNIX_EPOCH + TimeDelta::nanoseconds(1_999);
        let kept = DateTime::UNIX_EPOCH + TimeDelta::microseconds(1);
        let store = MemoryStore::new();

        store.add_session("s", Uuid::nil(), fine);
        store.add_booking(MemoryBooking {
            held_until: Some(fine),
            ..MemoryBooking::pending("b", Uuid::nil(), fine)
        });

        let (session, booking) = (&store.sessions()[0], &store.bookings()[0]);
        assert_eq!(session.created_at, kept);
        assert_eq!((booking.created_at, booking.held_until), (kept, Some(kept)));
        assert!(
            format!("{store:?}").contains("Pending"),
            "it shows its rows"
        );
    }
}
