//! The two rules, once per database, behind one trait.
//!
//! A store knows nothing of actors. It is handed instants and timeouts, and does each batch in one
//! transaction of bounded length.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::job::{Batch, BatchRequest, Forecast, Page, PreviewRows};

#[cfg(feature = "_store")]
mod counted;
#[cfg(feature = "_store")]
mod due;
#[cfg(feature = "_store")]
mod keys;
#[cfg(feature = "_store")]
mod last_error;
#[cfg(feature = "_store")]
mod migrations;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "_store")]
mod rule;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "_store")]
mod timeouts;
#[cfg(feature = "_store")]
mod tx_error;

pub use crate::model::{RunHistory, StoreError};
#[cfg(feature = "_store")]
pub use migrations::Schema;
#[cfg(feature = "_store")]
pub use timeouts::Timeouts;
#[cfg(feature = "_store")]
pub use tx_error::refusal;

/// The booking application's tables, as the two built-in jobs use them.
///
/// Each method is one transaction. Dropping its future leaves nothing half done: the transaction
/// commits or rolls back by itself, and the connection is usable or replaced.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The instant it is by the clock that decides.
    async fn now(&self) -> Result<DateTime<Utc>, StoreError>;

    /// Checks that the booking schema is there and of the version this crate was built for.
    async fn check(&self) -> Result<(), StoreError>;

    /// How far `sessions.last_activity_at` may lag behind the true last activity.
    async fn activity_throttle(&self) -> Result<Duration, StoreError>;

    /// Deletes sessions whose last activity is strictly before `pass.cutoff`, with their image and
    /// video records.
    ///
    /// Counts `sessions`, `image_records` and `video_records`. A candidate that turns out to live
    /// has its `last_activity_at` moved forward.
    async fn delete_idle_sessions(&self, pass: &BatchRequest) -> Result<Batch, StoreError>;

    /// Lists what [`delete_idle_sessions`](Store::delete_idle_sessions) would delete.
    async fn idle_sessions(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError>;

    /// What is still idle, and when the next session could become so.
    async fn session_forecast(
        &self,
        idle_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError>;

    /// Turns Pending bookings created strictly before `pass.cutoff`, and not held at `pass.now`,
    /// into Expired. Counts `bookings`.
    async fn expire_bookings(&self, pass: &BatchRequest) -> Result<Batch, StoreError>;

    /// Lists what [`expire_bookings`](Store::expire_bookings) would expire.
    async fn overdue_bookings(
        &self,
        now: DateTime<Utc>,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError>;

    /// What is still overdue, and when the next booking expires.
    async fn booking_forecast(
        &self,
        expire_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError>;
}

/// The user of a scope, as the booking schema keys users.
#[cfg(any(feature = "_store", feature = "testing"))]
pub(crate) fn user_of(scope: &crate::job::Scope) -> Result<Option<Uuid>, StoreError> {
    scope.user_id().map_err(|_| StoreError::User {
        user: scope.to_string().trim_start_matches("user ").to_owned(),
    })
}
