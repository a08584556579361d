//! The store on Postgres.

use std::error::Error;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};
use diesel_async::pooled_connection::bb8;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::last_error::LastError;
use super::timeouts::Timeouts;
use super::tx_error::TxResult;
use crate::config::ConfigError;
use crate::model::StoreError;
use crate::time::Clock;

mod attempt;
mod booking_check;
mod commits_in_doubt;
mod connect;
mod flight;
mod history;
mod outbox;
mod parameters;
mod pauses;
mod pooler;
mod rule;
mod schema;
mod search_path;
mod seen_snapshots;
mod setup;
mod snapshot;
mod store_impl;
mod tables;
mod transaction;

use attempt::{Attempts, transact};
use flight::{Flight, Purpose};
pub(in crate::store) use rule::text_of;
use seen_snapshots::SeenSnapshots;

/// A pool of Postgres connections, as a host hands it in.
pub type Pool = bb8::Pool<AsyncPgConnection>;

type Connection = bb8::PooledConnection<'static, AsyncPgConnection>;

/// The booking schema in a Postgres database.
///
/// Clones share one pool. The clock that decides is the database's.
///
/// # Host tables that refer to these
///
/// A foreign key to `sessions`, `image_sent` or `video_sent` without `on delete` keeps the session
/// its rows point at. Once Postgres has refused a batch, the statement that deletes the others
/// rejects such sessions, and the report names each with its reason, as in `kept by
/// invoices.session_id`. The keys are read again every minute. A row refused for another reason (a
/// trigger, a table that this role may not read) is found by trying row by row, which is slower.
///
/// Every foreign key needs an index on its columns, or Postgres reads the whole table it is in for
/// each session that is deleted. Those without one are named in a warning when the tables are
/// checked, with the statement that makes it.
///
/// `sessions` must be a plain table: rows are deleted by their address, and an address is unique
/// within one table only.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::store::postgres::PostgresStore;
/// use ractor_housekeeper::store::Schema;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://app:secret@localhost/app")?;
/// store.migrate(&[Schema::Housekeeper, Schema::Booking]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    /// The URL, if the pool is our own and can be built again.
    url: Option<Arc<str>>,
    last_error: LastError,
    clock: Option<Arc<dyn Clock>>,
    timeouts: Timeouts,
    /// The search path of all transactions, once it is known.
    search_path: Arc<Mutex<Option<Arc<str>>>>,
    /// Whether it is known if prepared statements last, or cannot be found out.
    pooler_is_checked: Arc<tokio::sync::Mutex<bool>>,
    durability: Durability,
    seen_snapshots: SeenSnapshots,
    /// Whether runs look for pauses for all replicas: set once the table was seen.
    keeps_pauses: Arc<AtomicBool>,
}

/// Which batches raise `synchronous_commit` from `off` or `local` to `on`, for their transaction.
///
/// Where the server's default is `off`, a crash or a failover loses the last commits, of up to a
/// second. For the rows this is harmless: they are due again. But they were reported, and are
/// reported again; and what was handed on may be acted on although its row is as before. A default
/// above `on`, such as `remote_apply`, stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Those of rules that hand rows on.
    #[default]
    HandedOn,
    /// Every batch.
    Always,
    /// None: the server's default counts.
    Default,
}

impl PostgresStore {
    /// A store with a pool of its own, without TLS. Connects when it is first used: the database
    /// may be away now.
    ///
    /// Fails if the URL cannot be right, or asks for TLS. The error never holds the URL.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, which the pool needs.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        connect::check(url)?;
        let timeouts = Timeouts::default();
        let last_error = LastError::default();
        Ok(Self {
            pool: connect::pool(url, &timeouts, &last_error),
            url: Some(url.into()),
            last_error,
            clock: None,
            timeouts,
            search_path: Arc::default(),
            pooler_is_checked: Arc::default(),
            durability: Durability::default(),
            seen_snapshots: SeenSnapshots::default(),
            keeps_pauses: Arc::default(),
        })
    }

    /// A store on the host's pool, with its TLS and credentials.
    #[must_use]
    pub fn with_pool(pool: Pool) -> Self {
        Self {
            pool,
            url: None,
            last_error: LastError::default(),
            clock: None,
            timeouts: Timeouts::default(),
            search_path: Arc::default(),
            pooler_is_checked: Arc::default(),
            durability: Durability::default(),
            seen_snapshots: SeenSnapshots::default(),
            keeps_pauses: Arc::default(),
        }
    }

    /// Takes the time from a clock other than the database's, in tests for example.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets how long a step may take.
    ///
    /// # Errors
    ///
    /// A limit of zero, or one that no calendar holds.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Result<Self, ConfigError> {
        timeouts.check()?;
        self.timeouts = timeouts;
        if let Some(url) = &self.url {
            self.pool = connect::pool(url, &timeouts, &self.last_error);
        }
        Ok(self)
    }

    /// Sets which batches wait until a crash of the server cannot lose them. Affects jobs that are
    /// made afterwards.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The pool, for the host's own queries.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    async fn begin(&self, purpose: Purpose, what: &'static str) -> Result<Flight, StoreError> {
        self.begin_within(self.timeouts, purpose, what).await
    }

    async fn begin_within(
        &self,
        timeouts: Timeouts,
        purpose: Purpose,
        what: &'static str,
    ) -> Result<Flight, StoreError> {
        let mut attempts = Attempts::new(&self.pool, what);
        loop {
            match self.open(timeouts, purpose).await? {
                Ok(flight) => return Ok(flight),
                // Nothing was done yet, and the pool closes the connection.
                Err(error) => {
                    if let Some(failed) = attempts.fail(error) {
                        return failed;
                    }
                }
            }
        }
    }

    /// Begins a transaction on a connection of the pool.
    async fn open(
        &self,
        timeouts: Timeouts,
        purpose: Purpose,
    ) -> Result<TxResult<Flight>, StoreError> {
        let conn = self.acquire(timeouts).await?;
        let known = self.search_path().clone();
        let found = match known {
            Some(path) => Ok((conn, path)),
            None => self.find_search_path(conn, timeouts).await?,
        };
        Ok(match found {
            Ok((conn, path)) => Flight::begin(conn, timeouts, purpose, &path).await,
            Err(error) => Err(error),
        })
    }

    async fn acquire(&self, timeouts: Timeouts) -> Result<Connection, StoreError> {
        let since = Instant::now();
        let conn = match tokio::time::timeout(timeouts.acquire, self.pool.get_owned()).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(self.explain(since, timeouts.acquire, &error)),
            Err(elapsed) => Err(self.explain(since, timeouts.acquire, &elapsed)),
        };
        let conn = conn.map_err(|reason| StoreError::Connect {
            database: DATABASE,
            limit: timeouts.acquire,
            source: reason.into(),
        })?;
        self.last_error.forget();
        Ok(conn)
    }

    fn explain(&self, since: Instant, limit: Duration, error: &dyn Error) -> String {
        self.last_error.explain(&self.pool, since, limit, error)
    }

    /// Now, by the clock that decides.
    async fn read_clock(&self) -> Result<DateTime<Utc>, StoreError> {
        if let Some(clock) = &self.clock {
            return Ok(clock.now().trunc_subsecs(6));
        }
        let what = "read the database's clock";
        transact!(self, Purpose::Read, what, |flight| self
            .instant(flight)
            .await?)
    }

    /// The clock's now, or the database's.
    async fn instant(&self, conn: &mut AsyncPgConnection) -> diesel::QueryResult<DateTime<Utc>> {
        match &self.clock {
            Some(clock) => Ok(clock.now().trunc_subsecs(6)),
            None => {
                diesel::select(schema::clock_timestamp())
                    .get_result(conn)
                    .await
            }
        }
    }
}

async fn settle<R>(flight: Flight, done: TxResult<R>, what: &'static str) -> Result<R, StoreError> {
    flight
        .land(done)
        .await
        .map_err(|error| error.into_store_error(what))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it may hold a password.
        f.debug_struct("PostgresStore")
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// As errors name it.
const DATABASE: &str = "Postgres";
