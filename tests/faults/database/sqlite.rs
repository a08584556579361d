//! SQLite files.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use diesel::connection::{Connection, SimpleConnection};
use diesel::sql_types::{BigInt, Text};
use diesel::{RunQueryDsl, SqliteConnection};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, bb8};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use ractor_housekeeper::SqliteStore;
use ractor_housekeeper::store::Schema;

use super::{Sql, TestDatabase};
use crate::TestResult;
use crate::statement_fault::StatementFault;

pub(crate) struct SqliteDatabase {
    observer: Mutex<SqliteConnection>,
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

#[derive(diesel::QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(diesel::QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = BigInt)]
    busy: i64,
}

impl SqliteDatabase {
    pub(crate) async fn open() -> TestResult<Self> {
        Self::prepared(Self::bare().await?).await
    }

    /// In a folder of the test's choice.
    pub(crate) async fn open_in(place: &Path) -> TestResult<Self> {
        Self::prepared(Self::bare_in(tempfile::tempdir_in(place)?).await?).await
    }

    async fn prepared(database: Self) -> TestResult<Self> {
        database.store().await?.migrate(Schema::ALL).await?;
        database.prepare().await?;
        Ok(database)
    }

    /// Without tables.
    pub(crate) async fn bare() -> TestResult<Self> {
        Self::bare_in(tempfile::tempdir()?).await
    }

    async fn bare_in(folder: tempfile::TempDir) -> TestResult<Self> {
        let path = folder.path().join("test.db");
        // It creates the file.
        SqliteStore::open(&path.display().to_string())
            .await?
            .pool()
            .get()
            .await?;
        Ok(Self {
            observer: Mutex::new(establish(&path.display().to_string())?),
            path,
            _folder: folder,
        })
    }

    /// Opens the file that is there now.
    pub(crate) fn reopen_observer(&self) -> TestResult {
        let conn = establish(&self.path.display().to_string())?;
        self.observe(|observer| *observer = conn);
        Ok(())
    }

    fn observe<T>(&self, work: impl FnOnce(&mut SqliteConnection) -> T) -> T {
        work(&mut self.observer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl TestDatabase for SqliteDatabase {
    type Store = SqliteStore;

    const NAME: &'static str = "sqlite";
    const POOL: usize = 4;

    const SQL: Sql = Sql {
        long_ago: "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-2 days')",
        just_now: "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
        cleared: "delete from refused; delete from bookings; delete from sessions; delete from housekeeper_runs; delete from account;",
        account: "create trigger note_session after delete on sessions
                  begin insert into account values ('session-cleaner', old.id); end;
                  create trigger note_booking after update of status on bookings
                  begin insert into account values ('booking-expirer', new.booking_id); end;
                  create trigger keep_session before delete on sessions when exists (select 1 from refused where id = old.id)
                  begin select raise(abort, 'the guest has an open invoice'); end;
                  create trigger keep_booking before update of status on bookings when exists (select 1 from refused where id = old.booking_id)
                  begin select raise(abort, 'the guest has an open invoice'); end;",
    };

    async fn store(&self) -> TestResult<SqliteStore> {
        Ok(SqliteStore::open(&self.path.display().to_string()).await?)
    }

    async fn store_with_fault(&self, statement_fault: StatementFault) -> TestResult<SqliteStore> {
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |path| {
            let opened = establish(path).map(|mut conn| {
                let statement_fault = statement_fault.clone();
                conn.set_instrumentation(
                    move |event: diesel::connection::InstrumentationEvent<'_>| {
                        statement_fault.operation(&event);
                    },
                );
                SyncConnectionWrapper::new(conn)
            });
            Box::pin(async { opened })
        });
        config.recycling_method = diesel_async::pooled_connection::RecyclingMethod::Fast;
        let url = self.path.display().to_string();
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        Ok(SqliteStore::with_pool(
            bb8::Pool::builder().max_size(1).build(manager).await?,
        ))
    }

    async fn sql(&self, sql: &str) -> TestResult {
        Ok(self.observe(|conn| conn.batch_execute(sql))?)
    }

    async fn texts(&self, sql: &str) -> TestResult<Vec<String>> {
        let query =
            format!("select * from (select null as line where 0 union all select * from ({sql}))");
        let lines: Vec<TextRow> = self.observe(|conn| diesel::sql_query(query).load(conn))?;
        Ok(lines.into_iter().map(|line| line.line).collect())
    }

    /// A writer would hold the lock, and a reader would keep the checkpoint from emptying the log.
    async fn is_idle(&self) -> TestResult<bool> {
        self.observe(|conn| {
            conn.batch_execute("pragma busy_timeout = 0")?;
            let locked = conn.batch_execute("begin immediate").is_err()
                || conn.batch_execute("rollback").is_err();
            let log: Vec<Checkpoint> =
                diesel::sql_query("pragma wal_checkpoint(truncate)").load(conn)?;
            conn.batch_execute("pragma busy_timeout = 5000")?;
            Ok(!locked && log.iter().all(|log| log.busy == 0))
        })
    }

    async fn locks_left(&self) -> TestResult<String> {
        Ok("a lock of the file".to_owned())
    }

    async fn use_every_connection(
        &self,
        store: &SqliteStore,
        connections: usize,
        _: &str,
    ) -> TestResult {
        let mut taken = Vec::new();
        for _ in 0..connections {
            let mut conn = store.pool().get().await?;
            conn.spawn_blocking(|conn| conn.batch_execute("begin; select 1; rollback"))
                .await?;
            taken.push(conn);
        }
        Ok(())
    }
}

/// A connection as the store makes them.
pub(crate) fn establish(path: &str) -> diesel::ConnectionResult<SqliteConnection> {
    let mut conn = SqliteConnection::establish(path)?;
    conn.batch_execute("pragma busy_timeout = 5000; pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = on")
        .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}
