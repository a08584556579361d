//! What can go wrong between a store and its database.

use std::error::Error;
use std::time::Duration;

use thiserror::Error;

/// Why a store could not do what it was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The connection string is of no use. The text never holds its password.
    #[error("{database} cannot be opened: {reason}")]
    Url {
        /// `SQLite` or `Postgres`.
        database: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Timed out waiting for a connection.
    #[error("could not get a connection to {database} within {}", humantime::format_duration(*limit))]
    Connect {
        /// `SQLite` or `Postgres`.
        database: &'static str,
        /// How long was waited at most.
        limit: Duration,
        /// What the pool said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A statement failed, and its transaction was rolled back.
    #[error("could not {what}")]
    Query {
        /// What was tried, such as `expire bookings`.
        what: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The tables are not what this crate needs.
    #[error("{0}")]
    Schema(String),
    /// The scope's user is no UUID.
    #[error("user {user:?} is no UUID, which is what the booking schema keys users by")]
    User {
        /// The text that was given.
        user: String,
    },
}

impl StoreError {
    /// Why sessions must not be deleted at this age with this throttle, as the text of
    /// [`StoreError::Schema`].
    pub(crate) fn throttle_problem(idle_after: Duration, throttle: Duration) -> Option<String> {
        (idle_after <= throttle.saturating_mul(2)).then(|| {
            format!(
                "idle_after is {}, but must be more than twice the activity throttle of {} that the trigger on messages works with; \
                 lower the throttle with set_activity_throttle",
                humantime::format_duration(idle_after),
                humantime::format_duration(throttle),
            )
        })
    }
}
