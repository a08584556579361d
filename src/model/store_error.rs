//! Errors of a store.

use std::error::Error;
use std::time::Duration;

use thiserror::Error;

/// An error between a store and its database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Invalid connection string. The text never contains its password.
    #[error("{database} cannot be opened: {reason}")]
    Url {
        /// `SQLite` or `Postgres`.
        database: &'static str,
        /// The problem, and a valid value.
        reason: String,
    },
    /// Timed out waiting for a connection.
    #[error("could not get a connection to {database} within {}", humantime::format_duration(*limit))]
    Connect {
        /// `SQLite` or `Postgres`.
        database: &'static str,
        /// The timeout.
        limit: Duration,
        /// The error of the pool.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A statement failed. Its transaction was rolled back.
    #[error("could not {what}")]
    Query {
        /// The attempt, such as `expire bookings`.
        what: &'static str,
        /// The error of the database.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer to a commit was lost, and the database cannot be read yet.
    ///
    /// The rows may be handled. They are reported with the next batch, once the database says so.
    #[error("the commit of {rows} rows was not confirmed, so they are in doubt")]
    InDoubt {
        /// How many rows.
        rows: usize,
        /// Why the commit was not confirmed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The schema does not fit the store or the rule.
    #[error("{0}")]
    Schema(String),
    /// The scope's user is not a UUID.
    #[error("user {user:?} is not a UUID, which the booking schema keys users by")]
    User {
        /// The user in the scope.
        user: String,
    },
}

impl StoreError {
    /// Returns the text of a [`StoreError::Schema`] if the activity throttle is too long for this
    /// age.
    #[cfg(any(feature = "_store", feature = "testing"))]
    pub(crate) fn throttle_problem(age: Duration, throttle: Duration) -> Option<String> {
        (age <= throttle.saturating_mul(2)).then(|| {
            format!(
                "an age of {} must be more than twice the activity throttle of {} that its trigger works with; \
                 lower the throttle or raise the age",
                humantime::format_duration(age),
                humantime::format_duration(throttle),
            )
        })
    }
}
