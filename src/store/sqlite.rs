//! The store on an SQLite file.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Instant;

use chrono::{DateTime, SubsecRound, Utc};
use diesel::SqliteConnection;
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel_async::pooled_connection::bb8;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;

use super::last_error::LastError;
use super::timeouts::Timeouts;
use super::tx_error::{TxError, TxResult};
use crate::config::ConfigError;
use crate::model::StoreError;
use crate::time::{Clock, SystemClock};

mod file;
mod history;
mod open;
mod outbox;
mod pauses;
mod row_id_buffer;
mod rule;
mod schema;
mod setup;
mod store_impl;
mod tables;
mod time;
mod transaction;

use file::File;
pub(in crate::store) use rule::text_of;

pub use time::timestamp_text;

/// A pool of SQLite connections, as a host hands it in.
pub type Pool = bb8::Pool<SyncConnectionWrapper<SqliteConnection>>;

/// The booking schema in an SQLite file.
///
/// Clones share one pool. The clock that decides is the machine's.
///
/// # Host tables that refer to these
///
/// A foreign key to `sessions`, `image_sent` or `video_sent` without `on delete` keeps the session
/// its rows point at. Once SQLite has refused a batch, such sessions are rejected before each
/// attempt, and the report names each with its reason, as in `kept by invoices.session_id`; the
/// others go at full speed. A row refused for another reason (a trigger) is found by trying row by
/// row, which is slower.
///
/// Every foreign key needs an index on its columns, or SQLite reads the whole table it is in for
/// each session that is deleted. Those without one are named in a warning when the tables are
/// checked, with the statement that makes it.
///
/// # Order
///
/// A run takes the next 100,000 due rows by age, and handles those in the order in which they lie
/// in the file. One that is cut short may leave older rows than it took.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::store::sqlite::SqliteStore;
/// use ractor_housekeeper::store::Schema;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("app.db");
/// # let url = format!("sqlite://{}", path.display());
/// let store = SqliteStore::open(&url).await?;
/// store.migrate(&[Schema::Housekeeper, Schema::Booking]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: Pool,
    /// The file, if the pool is our own and can be built again.
    file: Option<File>,
    last_error: LastError,
    clock: Arc<dyn Clock>,
    timeouts: Timeouts,
}

impl SqliteStore {
    /// A store on a file, given as `sqlite://path`, `sqlite:path` or a plain path. The file is
    /// created when it is first used.
    ///
    /// A relative path counts from the working folder of this moment, also for connections that are
    /// opened later. The log beside the file (`-wal`) keeps at most 32 MiB once no long reader
    /// needs more.
    ///
    /// Fails if the address cannot be right: nothing, `:memory:` (each connection would be a
    /// database of its own), another database's URL, a folder that does not exist.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let path = open::absolute(&open::path(url)?)?;
        let place = path.clone();
        tokio::task::spawn_blocking(move || open::check_place(&place))
            .await
            .map_err(|error| StoreError::Url {
                database: DATABASE,
                reason: error.to_string(),
            })??;
        let timeouts = Timeouts::default();
        let last_error = LastError::default();
        let file = File::at(path);
        Ok(Self {
            pool: open::pool(&file, &timeouts, &last_error),
            file: Some(file),
            last_error,
            clock: Arc::new(SystemClock),
            timeouts,
        })
    }

    /// A store on the host's pool. Its connections should be in WAL mode with a busy timeout,
    /// a `journal_size_limit` and `foreign_keys` on, as our own are.
    #[must_use]
    pub fn with_pool(pool: Pool) -> Self {
        Self {
            pool,
            file: None,
            last_error: LastError::default(),
            clock: Arc::new(SystemClock),
            timeouts: Timeouts::default(),
        }
    }

    /// Takes the time from another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how long a step may take. Changes nothing on the host's pool, whose connections
    /// have timeouts of its own.
    ///
    /// # Errors
    ///
    /// A limit of zero, or one that no calendar holds.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Result<Self, ConfigError> {
        timeouts.check()?;
        self.timeouts = timeouts;
        if let Some(file) = &self.file {
            self.pool = open::pool(file, &timeouts, &self.last_error);
        }
        Ok(self)
    }

    /// The pool, for the host's own queries.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Runs one piece of work on a connection, all the way to its end.
    ///
    /// The wrapper's futures must not be dropped while a statement runs (one runtime blocks, the
    /// other panics, and so does the next user of the connection). So they belong to a detached
    /// task, and the caller may drop only its handle.
    async fn run<R: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> TxResult<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.run_for(what, |conn, _| work(conn)).await
    }

    /// The same for the last step of a run, after which a log that has grown is emptied.
    async fn run_last<R: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection) -> TxResult<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.run(what, |conn| {
            let done = work(conn)?;
            open::shrink_log(conn)?;
            Ok(done)
        })
        .await
    }

    /// The same for work that looks itself whether its caller still waits: the handle is dead when
    /// it was given up.
    async fn run_for<R: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&mut SqliteConnection, &Weak<()>) -> TxResult<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let pool = self.pool.clone();
        let limit = self.timeouts.acquire;
        let file = self.file.clone();
        let last_error = self.last_error.clone();
        let since = Instant::now();
        let caller = Arc::new(());
        let waiting = Arc::downgrade(&caller);
        let task = tokio::spawn(async move {
            let mut conn = pool.get().await.map_err(|error| StoreError::Connect {
                database: DATABASE,
                limit,
                source: last_error.explain(&pool, since, limit, &error).into(),
            })?;
            last_error.forget();
            // Skips work whose caller has gone away and reported a failure.
            if waiting.strong_count() == 0 {
                return Err(TxError::unasked().into_store_error(what));
            }
            // A panic must not poison the connection's lock: the pool looks behind it, sees what is
            // noted here, and closes the connection, which rolls back. Noted, because diesel may
            // not know yet that a transaction has begun.
            let caught = conn
                .spawn_blocking(move |conn| {
                    if let Some(error) = file.and_then(|file| file.check(conn).err()) {
                        // The pool closes it as well, and opens what is there then.
                        AnsiTransactionManager::transaction_manager_status_mut(conn).set_in_error();
                        return Ok(Ok(Err(error)));
                    }
                    let caught = catch_unwind(AssertUnwindSafe(|| work(conn, &waiting)));
                    if caught.is_err() {
                        AnsiTransactionManager::transaction_manager_status_mut(conn).set_in_error();
                    }
                    Ok(caught)
                })
                .await
                .map_err(|error| TxError::from(error).into_store_error(what))?;
            drop(conn);
            match caught {
                Ok(done) => done.map_err(|error| error.into_store_error(what)),
                Err(panic) => resume_unwind(panic),
            }
        });
        let done = task.await;
        drop(caller);
        match done {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is shutting down.
                Err(error) => Err(StoreError::Query {
                    what,
                    source: error.into(),
                }),
            },
        }
    }

    /// Now, as finely as the database keeps it.
    fn instant(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.file.as_ref().map(|file| &file.path))
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// As errors name it.
const DATABASE: &str = "SQLite";
