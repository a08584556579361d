//! The job that expires unpaid bookings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::job::{BookingJob, built_in};
use super::text;
use crate::config::ConfigError;
use crate::job::JobName;
use crate::rule::{Rule, Value, age, eq, moment};
use crate::store::Store;

/// Expires unpaid bookings.
///
/// Sets the status `Expired` on bookings that are `Pending`, were created strictly more than
/// `expire_after` ago, and have no `held_until` in the future. The host sets `held_until` while a
/// payment is in progress. Reports count `bookings`.
pub struct BookingExpirer(BookingJob);

impl fmt::Debug for BookingExpirer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BookingExpirer")
            .field("expire_after", &self.0.age)
            .finish_non_exhaustive()
    }
}

impl BookingExpirer {
    /// `booking-expirer`
    pub const NAME: JobName = JobName::new("booking-expirer");

    /// Creates the job. An age of `None` disables it.
    ///
    /// # Errors
    ///
    /// Fails if the age is zero or longer than 100 years.
    pub fn new(store: Arc<dyn Store>, expire_after: Option<Duration>) -> Result<Self, ConfigError> {
        Ok(Self(BookingJob::new(
            store,
            "ages.expire_after",
            expire_after,
            Self::rule,
        )?))
    }

    /// Returns the rule that this job runs.
    #[must_use]
    pub fn rule(expire_after: Duration) -> Rule {
        Rule::new(Self::NAME.as_str(), "bookings")
            .due(age("created_at", expire_after).on_sqlite(text()))
            .only(eq("status", "Pending"))
            .held_until(moment("held_until").on_sqlite(text()))
            .set("status", "Expired")
            .set("updated_at", Value::Now)
            .scope("user_id")
            .show([
                "property_id",
                "booking_date",
                "shift_type",
                "total_cost",
                "booking_source",
            ])
            .expect_backlog()
    }
}

built_in!(BookingExpirer);
