//! Databases that run declared rules.
//!
//! A store knows nothing of actors. It is handed instants and timeouts, and does each batch in one
//! transaction of bounded length.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::job::Job;
use crate::rule::{Rule, RuleError};

#[cfg(feature = "_store")]
mod counted;
#[cfg(feature = "_store")]
mod last_error;
#[cfg(feature = "_store")]
mod migrations;
#[cfg(feature = "_store")]
mod outbox;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "_store")]
mod rule;
#[cfg(feature = "_store")]
mod saved_run;
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

/// A database that runs declared rules, with the booking application's tables for the built-in
/// ones.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The instant it is by the clock that decides.
    async fn now(&self) -> Result<DateTime<Utc>, StoreError>;

    /// Checks that the booking schema is there and of the version this crate was built for.
    async fn check(&self) -> Result<(), StoreError>;

    /// Makes a job of a declared rule.
    ///
    /// Each batch is one transaction. Dropping its future leaves nothing half done: the transaction
    /// commits or rolls back by itself, and the connection is usable or replaced.
    ///
    /// # Errors
    ///
    /// The part of the rule that is wrong, whatever the database is.
    fn job(&self, rule: Rule) -> Result<Arc<dyn Job>, RuleError>;
}
