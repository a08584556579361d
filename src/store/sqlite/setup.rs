//! Preparing a SQLite database.

use std::time::Duration;

use super::{SqliteStore, tables};
use crate::model::StoreError;
use crate::store::migrations::Schema;

impl SqliteStore {
    /// Makes the tables of these sets that are not there yet. Each set is one transaction; safe
    /// when several processes start at once.
    ///
    /// Fails with [`StoreError::Schema`] if a table of that name is there that this crate did not
    /// make.
    pub async fn migrate(&self, schemas: &[Schema]) -> Result<(), StoreError> {
        let schemas = schemas.to_vec();
        self.run("migrate", move |conn| tables::migrate(conn, &schemas))
            .await
    }

    /// Drops the tables of a set, with all that is in them, if [`migrate`](SqliteStore::migrate)
    /// made them.
    pub async fn revert(&self, schema: Schema) -> Result<(), StoreError> {
        self.run("revert the migrations", move |conn| {
            tables::revert(conn, schema)
        })
        .await
    }

    /// Returns how far `sessions.last_activity_at` may lag behind the true last activity.
    pub async fn activity_throttle(&self) -> Result<Duration, StoreError> {
        let throttle_us = self.run("read the activity throttle", |conn| {
            Ok(tables::throttle(conn)?)
        });
        Ok(Duration::from_micros(
            throttle_us.await?.max(0).unsigned_abs(),
        ))
    }

    /// Sets how far `sessions.last_activity_at` may lag behind, for all who use this database. Must
    /// stay under half of `idle_after`.
    pub async fn set_activity_throttle(&self, throttle: Duration) -> Result<(), StoreError> {
        let throttle_us = i64::try_from(throttle.as_micros()).unwrap_or(i64::MAX);
        self.run("set the activity throttle", move |conn| {
            Ok(tables::set_throttle(conn, throttle_us)?)
        })
        .await
    }
}
