//! The job that expires unpaid bookings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::{ConfigError, check_age};
use crate::job::{
    Batch, BatchRequest, Forecast, Job, JobError, JobName, Page, PreviewRows, RunBounds, Scope,
};
use crate::store::Store;

/// Expires unpaid bookings.
///
/// Sets the status `Expired` on bookings that are `Pending`, were created strictly more than
/// `expire_after` ago, and have no `held_until` in the future. The host sets `held_until` while a
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

    /// Creates the job; `None` disables it.
    ///
    /// # Errors
    ///
    /// Fails if the age is zero or longer than 100 years.
    pub fn new(store: Arc<dyn Store>, expire_after: Option<Duration>) -> Result<Self, ConfigError> {
        check_age("ages.expire_after", expire_after)?;
        Ok(Self {
            store,
            expire_after,
        })
    }

    /// Returns the age, which matches no row if the job is disabled.
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
        Ok(super::run_bounds(
            self.store.now().await?,
            self.expire_after(),
        ))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        Ok(self.store.expire_bookings(request).await?)
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let bounds = self.begin_run().await?;
        Ok(self
            .store
            .overdue_bookings(bounds.now, bounds.cutoff, scope.user_id()?, page)
            .await?)
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        Ok(self
            .store
            .booking_forecast(self.expire_after(), rejected)
            .await?)
    }
}
