//! Turns bookings that were left unpaid into expired ones.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::{ConfigError, check_age};
use crate::job::{
    Batch, BatchRequest, Forecast, Job, JobError, JobName, Page, PreviewRows, RunBounds, Scope,
};
use crate::store::Store;

/// Turns bookings that were left unpaid into expired ones.
///
/// A booking is expired when its status is `Pending`, it was created strictly more than
/// `expire_after` ago, and it carries no `held_until` in the future, which the host sets while a
/// payment is in flight. Reports count `bookings`.
pub struct BookingExpirer {
    store: Arc<dyn Store>,
    expire_after: Option<Duration>,
}

impl fmt::Debug for BookingExpirer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BookingExpirer")
            .field("expire_after", &self.expire_after)
            .finish_non_exhaustive()
    }
}

impl BookingExpirer {
    /// `booking-expirer`
    pub const NAME: JobName = JobName::new("booking-expirer");

    /// Expires bookings Pending for longer than `expire_after`; `None` switches the job off.
    ///
    /// # Errors
    ///
    /// An age of zero, or one that no calendar holds.
    pub fn new(store: Arc<dyn Store>, expire_after: Option<Duration>) -> Result<Self, ConfigError> {
        check_age("ages.expire_after", expire_after)?;
        Ok(Self {
            store,
            expire_after,
        })
    }

    /// The supervisor starts no run of a job that is off; an age of the calendar's length matches
    /// no row.
    fn expire_after(&self) -> Duration {
        self.expire_after.unwrap_or(crate::config::MAX_DURATION)
    }
}

#[async_trait]
impl Job for BookingExpirer {
    fn name(&self) -> JobName {
        Self::NAME
    }

    fn is_enabled(&self) -> bool {
        self.expire_after.is_some()
    }

    fn is_irreversible(&self) -> bool {
        false
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        super::check_user(scope)
    }

    async fn check(&self) -> Result<(), JobError> {
        Ok(self.store.check().await?)
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(super::window(self.store.now().await?, self.expire_after()))
    }

    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
        Ok(self.store.expire_bookings(pass).await?)
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let window = self.begin_run().await?;
        Ok(self
            .store
            .overdue_bookings(window.now, window.cutoff, scope.user_id()?, page)
            .await?)
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        Ok(self
            .store
            .booking_forecast(self.expire_after(), rejected)
            .await?)
    }
}
