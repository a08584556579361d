//! A store in a test, beyond its traits: rows put in, rows read back, and a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::testing::{ManualClock, MemoryBooking, MemoryStore};
use uuid::Uuid;

use crate::TestResult;
use crate::jobs::Jobs;

/// A store, and the rows behind it.
#[async_trait(?Send)]
pub(crate) trait StoreUnderTest {
    fn jobs(&self) -> &Jobs;
    fn history(&self) -> &dyn RunHistory;

    /// Runs SQL as it is.
    async fn execute(&self, sql: &str) -> TestResult;
    async fn session(&self, id: &str, user: Uuid, created_at: DateTime<Utc>) -> TestResult;
    async fn message(&self, user: Uuid, sender: &str, at: DateTime<Utc>) -> TestResult;
    async fn image(&self, session: &str) -> TestResult;
    async fn video(&self, session: &str) -> TestResult;
    async fn booking(&self, booking: &MemoryBooking) -> TestResult;
    /// The ids of the sessions that are left, in order.
    async fn sessions_left(&self) -> TestResult<Vec<String>>;
    /// Status and `updated_at` by id.
    async fn bookings_now(&self) -> TestResult<BTreeMap<String, (String, DateTime<Utc>)>>;
    /// Images and videos that are left.
    async fn records_left(&self) -> TestResult<(u64, u64)>;
}

pub(crate) struct MemoryUnderTest(MemoryStore, Jobs);

impl MemoryUnderTest {
    #[expect(clippy::unused_async, reason = "as the worlds of databases are opened")]
    pub(crate) async fn open() -> TestResult<Option<Self>> {
        let store = MemoryStore::new().with_clock(clock());
        Ok(Some(Self(store.clone(), Jobs::over(store))))
    }
}

#[async_trait(?Send)]
impl StoreUnderTest for MemoryUnderTest {
    fn jobs(&self) -> &Jobs {
        &self.1
    }
    fn history(&self) -> &dyn RunHistory {
        &self.0
    }
    async fn execute(&self, sql: &str) -> TestResult {
        Err(format!("no SQL here: {sql}").into())
    }
    async fn session(&self, id: &str, user: Uuid, created_at: DateTime<Utc>) -> TestResult {
        self.0.add_session(id, user, created_at);
        Ok(())
    }
    async fn message(&self, user: Uuid, sender: &str, at: DateTime<Utc>) -> TestResult {
        self.0.add_message(user, sender, at);
        Ok(())
    }
    async fn image(&self, session: &str) -> TestResult {
        self.0.add_image(session);
        Ok(())
    }
    async fn video(&self, session: &str) -> TestResult {
        self.0.add_video(session);
        Ok(())
    }
    async fn booking(&self, booking: &MemoryBooking) -> TestResult {
        self.0.add_booking(booking.clone());
        Ok(())
    }
    async fn sessions_left(&self) -> TestResult<Vec<String>> {
        Ok(self.0.sessions().into_iter().map(|s| s.id).collect())
    }
    async fn bookings_now(&self) -> TestResult<BTreeMap<String, (String, DateTime<Utc>)>> {
        let bookings = self.0.bookings().into_iter();
        Ok(bookings
            .map(|booking| (booking.id, (booking.status, booking.updated_at)))
            .collect())
    }
    async fn records_left(&self) -> TestResult<(u64, u64)> {
        let sessions = self.0.sessions();
        Ok((
            sessions.iter().map(|session| session.images).sum(),
            sessions.iter().map(|session| session.videos).sum(),
        ))
    }
}

/// The instant all tests take place at.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_767_960_000_123_456).expect("a date in 2026")
}

/// A clock that stands at [`now`].
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::frozen(now()))
}

pub(crate) fn micro() -> TimeDelta {
    TimeDelta::microseconds(1)
}

pub(crate) fn user(number: u128) -> Uuid {
    Uuid::from_u128(number)
}
