//! A database of a test's own, and the connections of an application to it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::store::Store;
use ractor_housekeeper::store::{Schema, Timeouts};
use ractor_housekeeper::testing::ManualClock;
use ractor_housekeeper::time::Clock;

use crate::TestResult;

/// Where it is; it goes with this value, or with the process.
pub(crate) enum Database {
    #[cfg(feature = "sqlite")]
    Sqlite(tempfile::TempDir),
    #[cfg(feature = "postgres")]
    Postgres(String),
}

/// A connection outside of any pool, as some other process would hold it.
pub(crate) enum Connection {
    #[cfg(feature = "sqlite")]
    Sqlite(diesel_async::sync_connection_wrapper::SyncConnectionWrapper<diesel::SqliteConnection>),
    #[cfg(feature = "postgres")]
    Postgres(Box<diesel_async::AsyncPgConnection>),
}

/// Three texts, whatever they are.
#[derive(diesel::QueryableByName)]
pub(crate) struct Row {
    #[diesel(sql_type = Text)]
    pub(crate) one: String,
    #[diesel(sql_type = Text)]
    pub(crate) two: String,
    #[diesel(sql_type = Text)]
    pub(crate) three: String,
}

/// The result of a guest's write and its time by the database's clock.
#[derive(Debug, Clone)]
pub(crate) struct GuestWrite {
    pub(crate) act: String,
    pub(crate) place: usize,
    /// Whether its row was there.
    pub(crate) found: bool,
    pub(crate) at: DateTime<Utc>,
}

impl Database {
    #[cfg(feature = "sqlite")]
    pub(crate) async fn sqlite() -> TestResult<Option<Self>> {
        Self::Sqlite(tempfile::tempdir()?).prepared().await
    }

    /// `None` where Postgres is not installed.
    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> TestResult<Option<Self>> {
        let Some(server) = ractor_housekeeper::testing::PrivatePostgres::shared()? else {
            println!("left out: Postgres is not installed");
            return Ok(None);
        };
        Self::Postgres(server.fresh_database()?).prepared().await
    }

    /// With the tables, and an audit of each row that expires or goes.
    async fn prepared(self) -> TestResult<Option<Self>> {
        match &self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => self.sqlite_store().await?.migrate(Schema::ALL).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let store = ractor_housekeeper::PostgresStore::connect(url)?;
                store.migrate(Schema::ALL).await?;
            }
        }
        let audit = match &self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => include_str!("audit_sqlite.sql"),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => include_str!("audit_postgres.sql"),
        };
        self.connect().await?.run(audit).await?;
        Ok(Some(self))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres",
        }
    }

    /// A store with a pool of its own, as each replica has. With a `clock`, that decides instead of
    /// the database's.
    #[cfg_attr(not(feature = "sqlite"), expect(clippy::unused_async))]
    pub(crate) async fn store(&self, clock: Option<&ManualClock>) -> TestResult<Arc<dyn Store>> {
        let timeouts = Timeouts {
            lock: PATIENCE,
            ..Timeouts::default()
        };
        let clock = clock.map(|clock| Arc::new(clock.clone()) as Arc<dyn Clock>);
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                let store = self.sqlite_store().await?.with_timeouts(timeouts)?;
                match clock {
                    Some(clock) => Arc::new(store.with_clock(clock)),
                    None => Arc::new(store),
                }
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => {
                let store =
                    ractor_housekeeper::PostgresStore::connect(url)?.with_timeouts(timeouts)?;
                match clock {
                    Some(clock) => Arc::new(store.with_clock(clock)),
                    None => Arc::new(store),
                }
            }
        })
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite_store(&self) -> TestResult<ractor_housekeeper::SqliteStore> {
        Ok(ractor_housekeeper::SqliteStore::open(&self.address()).await?)
    }

    pub(crate) fn address(&self) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(folder) => folder.path().join("test.db").display().to_string(),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => url.clone(),
        }
    }

    pub(crate) async fn connect(&self) -> TestResult<Connection> {
        let address = self.address();
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
                let mut conn = SyncConnectionWrapper::establish(&address).await?;
                let wait = PATIENCE.as_millis();
                conn.batch_execute(&format!(
                    "pragma busy_timeout = {wait}; pragma synchronous = normal; pragma foreign_keys = on"
                ))
                .await?;
                Connection::Sqlite(conn)
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Connection::Postgres(Box::new(
                diesel_async::AsyncPgConnection::establish(&address).await?,
            )),
        })
    }

    /// Puts rows in, given as the values of an `insert`.
    pub(crate) async fn insert(
        &self,
        into: &str,
        rows: impl Iterator<Item = String>,
    ) -> TestResult {
        let mut conn = self.connect().await?;
        let rows: Vec<String> = rows.collect();
        let inserts: Vec<String> = rows
            .chunks(1_000)
            .map(|some| format!("insert into {into} values {}", some.join(", ")))
            .collect();
        conn.transaction(&inserts).await
    }

    /// The first column of each row.
    pub(crate) async fn ids(&self, query: &str) -> TestResult<Vec<String>> {
        let rows = self.connect().await?.rows(query).await?;
        Ok(rows.into_iter().map(|row| row.one).collect())
    }

    /// All that guests did.
    pub(crate) async fn guest_writes(&self) -> TestResult<Vec<GuestWrite>> {
        let all = "select act || ' ' || place as one, cast(found as text) as two, cast(at as text) as three from guest_writes";
        let rows = self.connect().await?.rows(all).await?.into_iter();
        rows.map(|row| {
            let (act, place) = row.one.split_once(' ').ok_or("no act")?;
            Ok(GuestWrite {
                act: act.to_owned(),
                place: place.parse()?,
                found: row.two != "0",
                at: instant(&row.three)?,
            })
        })
        .collect()
    }

    pub(crate) async fn count(&self, from: &str) -> TestResult<usize> {
        let query =
            format!("select cast(count(*) as text) as one, '' as two, '' as three from {from}");
        let counted = self.ids(&query).await?;
        Ok(counted.into_iter().next().ok_or("no count")?.parse()?)
    }
}

impl Connection {
    /// The database's clock, in SQL.
    pub(crate) fn clock(&self) -> &'static str {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "clock_timestamp()",
        }
    }

    pub(crate) async fn run(&mut self, sql: &str) -> TestResult {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => conn.batch_execute(sql).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => conn.batch_execute(sql).await?,
        }
        Ok(())
    }

    pub(crate) async fn rows(&mut self, sql: &str) -> TestResult<Vec<Row>> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(conn) => diesel::sql_query(sql).load(conn).await?,
            #[cfg(feature = "postgres")]
            Self::Postgres(conn) => diesel::sql_query(sql).load(conn).await?,
        })
    }

    /// Runs these as one transaction, all the way to its end.
    pub(crate) async fn transaction(&mut self, statements: &[String]) -> TestResult {
        let begin = match self {
            // As who writes in the end has to begin there.
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "begin immediate",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "begin",
        };
        self.run(&format!("{begin}; {}; commit", statements.join("; ")))
            .await
    }

    /// An `update` that is entered in the ledger, with the number of rows it changed.
    pub(crate) fn entered(&self, update: &str, act: &str, place: usize) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => format!(
                "{update}; insert into guest_writes (act, place, found) values ('{act}', {place}, changes())"
            ),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => format!(
                "with written as ({update} returning 1)
                 insert into guest_writes (act, place, found) select '{act}', {place}, count(*) from written"
            ),
        }
    }
}

/// As Postgres and SQLite write an instant.
pub(crate) fn instant(text: &str) -> TestResult<DateTime<Utc>> {
    let text = text.replace(' ', "T");
    let text = text
        .strip_suffix("+00")
        .unwrap_or(text.trim_end_matches('Z'));
    Ok(text.parse::<chrono::NaiveDateTime>()?.and_utc())
}

/// Longest wait for a lock, of guests and housekeepers alike.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
