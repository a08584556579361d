//! The host's own work on the store's connections.

use chrono::{DateTime, Utc};
use diesel::connection::Connection;
use diesel::{QueryResult, SqliteConnection};

use super::SqliteStore;
use crate::model::StoreError;

impl SqliteStore {
    /// Runs the host's statements in one immediate transaction, and commits it.
    ///
    /// No other write comes between the transaction's first read and its end. The work runs to its
    /// end even if the returned future is dropped, because a connection must not be dropped during
    /// a statement; work whose future was dropped before it began does not run.
    ///
    /// `what` completes the sentence "could not ..". For the batches of a hand-written
    /// [`Job`](crate::Job).
    ///
    /// # Errors
    ///
    /// No connection within the timeout, or the work's error, after a rollback.
    ///
    /// # Examples
    ///
    /// ```
    /// use diesel::prelude::*;
    /// use ractor_housekeeper::SqliteStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("app.db").display().to_string();
    /// let store = SqliteStore::open(&path).await?;
    ///
    /// let created = store.transaction("create drafts", |conn| {
    ///     diesel::sql_query("create table drafts (id text primary key)").execute(conn)?;
    ///     diesel::sql_query("insert into drafts values ('a'), ('b')").execute(conn)
    /// });
    ///
    /// assert_eq!(created.await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transaction<R: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.host(what, |conn| conn.immediate_transaction(work))
            .await
    }

    /// Runs the host's queries on one snapshot, without a lock: for previews and forecasts.
    ///
    /// Otherwise as [`transaction`](Self::transaction).
    ///
    /// # Errors
    ///
    /// No connection within the timeout, or the work's error.
    pub async fn read<R: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.host(what, |conn| conn.transaction(work)).await
    }

    /// Returns the time by the clock that decides, in microseconds.
    #[must_use]
    pub fn clock_now(&self) -> DateTime<Utc> {
        self.instant()
    }

    /// The tables are the host's, so a missing one is none of the crate's schemas.
    async fn host<R: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let done = self.run(what, |conn| Ok(work(conn))).await?;
        done.map_err(|error| StoreError::Query {
            what,
            source: error.into(),
        })
    }
}
