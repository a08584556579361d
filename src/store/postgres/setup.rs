//! Preparing a Postgres database.

use std::time::Duration;

use super::attempt::transact;
use super::flight::{Flight, Purpose};
use super::{PostgresStore, settle, tables};
use crate::model::StoreError;
use crate::store::migrations::Schema;
use crate::store::timeouts::Timeouts;

impl PostgresStore {
    /// Makes the tables of these sets that are not there yet. Each set is one transaction; safe
    /// when several processes start at once.
    ///
    /// Fails with [`StoreError::Schema`] if a table of that name is there that this crate did not
    /// make.
    pub async fn migrate(&self, schemas: &[Schema]) -> Result<(), StoreError> {
        let what = "migrate";
        for schema in schemas {
            let mut flight = self.begin_patiently(what).await?;
            let done = tables::migrate(&mut flight, *schema).await;
            settle(flight, done, what).await?;
        }
        Ok(())
    }

    /// Drops the tables of a set, with all that is in them, if [`migrate`](PostgresStore::migrate)
    /// made them.
    pub async fn revert(&self, schema: Schema) -> Result<(), StoreError> {
        let what = "revert the migrations";
        let mut flight = self.begin_patiently(what).await?;
        let done = tables::revert(&mut flight, schema).await;
        settle(flight, done, what).await
    }

    /// Returns how far `sessions.last_activity_at` may lag behind the true last activity.
    pub async fn activity_throttle(&self) -> Result<Duration, StoreError> {
        let what = "read the activity throttle";
        let throttle_us = transact!(self, Purpose::Read, what, |flight| {
            tables::throttle(flight).await?
        })?;
        Ok(Duration::from_micros(throttle_us.max(0).unsigned_abs()))
    }

    /// Sets how far `sessions.last_activity_at` may lag behind, for all who use this database. Must
    /// stay under half of `idle_after`.
    pub async fn set_activity_throttle(&self, throttle: Duration) -> Result<(), StoreError> {
        let what = "set the activity throttle";
        let throttle_us = i64::try_from(throttle.as_micros()).unwrap_or(i64::MAX);
        let mut flight = self.begin(Purpose::Write, what).await?;
        let done = tables::set_throttle(&mut flight, throttle_us).await;
        settle(flight, done.map_err(Into::into), what).await
    }

    /// For migrations, which wait for each other.
    async fn begin_patiently(&self, what: &'static str) -> Result<Flight, StoreError> {
        let timeouts = Timeouts {
            lock: self.timeouts.statement,
            ..self.timeouts
        };
        self.begin_within(timeouts, Purpose::Write, what).await
    }
}
