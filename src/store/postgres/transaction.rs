//! The host's own work on the store's connections.

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;

use super::flight::Purpose;
use super::{PostgresStore, settle};
use crate::model::StoreError;
use crate::store::tx_error::TxError;

impl PostgresStore {
    /// Runs the host's statements in one transaction, and commits it.
    ///
    /// The isolation level is read committed, so that each statement sees what was committed before
    /// it: `for update skip locked` in the first, the rule again in the last. Statements and locks
    /// have the store's timeouts. A dropped future cancels the running statement and closes the
    /// connection, which rolls back and frees the locked rows within milliseconds.
    ///
    /// Names are found by the search path that connections are opened with, in temporary tables
    /// last.
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
    /// ```no_run
    /// use diesel_async::RunQueryDsl;
    /// use ractor_housekeeper::PostgresStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = PostgresStore::connect("postgres://app:secret@localhost/app")?;
    ///
    /// let deleted = store.transaction("delete drafts", async |conn| {
    ///     diesel::sql_query("delete from drafts where title = ''").execute(conn).await
    /// });
    ///
    /// println!("{} drafts", deleted.await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transaction<R>(
        &self,
        what: &'static str,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<R>,
    ) -> Result<R, StoreError> {
        self.host(Purpose::Write, what, work).await
    }

    /// Runs the host's queries on one snapshot, without a lock: for previews and forecasts.
    ///
    /// Otherwise as [`transaction`](Self::transaction).
    ///
    /// # Errors
    ///
    /// No connection within the timeout, or the work's error.
    pub async fn read<R>(
        &self,
        what: &'static str,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<R>,
    ) -> Result<R, StoreError> {
        self.host(Purpose::Read, what, work).await
    }

    /// Returns the time by the clock that decides: the database's.
    ///
    /// # Errors
    ///
    /// No connection within the timeout.
    pub async fn clock_now(&self) -> Result<DateTime<Utc>, StoreError> {
        let what = "read the clock";
        let mut flight = self.begin(Purpose::Read, what).await?;
        let now = self.instant(&mut flight).await;
        settle(flight, now.map_err(TxError::from), what).await
    }

    /// The tables are the host's, so a missing one is none of the crate's schemas.
    async fn host<R>(
        &self,
        purpose: Purpose,
        what: &'static str,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<R>,
    ) -> Result<R, StoreError> {
        let mut flight = self.begin(purpose, what).await?;
        let done = work(&mut flight).await;
        match flight.land(done.map_err(TxError::from)).await {
            Err(TxError::Query(error)) => Err(StoreError::Query {
                what,
                source: error.into(),
            }),
            done => done.map_err(|error| error.into_store_error(what)),
        }
    }
}
