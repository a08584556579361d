//! The databases a bench runs on, each with the booking schema and durable.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Double, Text};
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::testing::PrivatePostgres;
use ractor_housekeeper::{PostgresStore, SqliteStore};
use tempfile::TempDir;

use super::Result;

/// A database of the bench's own, and a connection to it.
pub(crate) struct Database {
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Sqlite {
        connection: SqliteConnection,
        file: String,
        _folder: TempDir,
    },
    Postgres {
        connection: Box<AsyncPgConnection>,
        url: String,
        _server: PrivatePostgres,
    },
}

impl Database {
    /// SQLite, and Postgres where it is installed.
    pub(crate) async fn all() -> Result<Vec<Self>> {
        let mut all = vec![Self::sqlite().await?];
        all.extend(Self::postgres().await?);
        Ok(all)
    }

    /// A SQLite file as the store opens it.
    pub(crate) async fn sqlite() -> Result<Self> {
        let folder = TempDir::new()?;
        let file = folder.path().join("bench.db").display().to_string();
        let store = SqliteStore::open(&file).await?;
        store.migrate(Schema::ALL).await?;
        let mut connection = SqliteConnection::establish(&file)?;
        connection.batch_execute(
            "pragma synchronous = normal; pragma foreign_keys = on; pragma busy_timeout = 60000",
        )?;
        let kind = Kind::Sqlite {
            connection,
            file,
            _folder: folder,
        };
        Ok(Self { kind })
    }

    /// A Postgres server that syncs what it commits; `None` where it is not installed.
    pub(crate) async fn postgres() -> Result<Option<Self>> {
        let Some(server) = PrivatePostgres::start_with(DURABLE)? else {
            println!("no Postgres is installed: left out");
            return Ok(None);
        };
        let url = server.fresh_database()?;
        let store = PostgresStore::connect(&url)?;
        store.migrate(Schema::ALL).await?;
        let connection = Box::new(AsyncPgConnection::establish(&url).await?);
        let kind = Kind::Postgres {
            connection,
            url,
            _server: server,
        };
        Ok(Some(Self { kind }))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite { .. } => "SQLite",
            Kind::Postgres { .. } => "Postgres",
        }
    }

    /// The address of the server.
    pub(crate) fn url(&self) -> Result<&str> {
        match &self.kind {
            Kind::Postgres { url, .. } => Ok(url),
            Kind::Sqlite { .. } => Err("SQLite has no server".into()),
        }
    }

    /// Name and version, for the heading.
    pub(crate) async fn version(&mut self) -> Result<String> {
        let query = match self.kind {
            Kind::Sqlite { .. } => "select sqlite_version() as value",
            Kind::Postgres { .. } => "select split_part(version(), ' ', 2) as value",
        };
        Ok(format!("{} {}", self.name(), self.text(query).await?))
    }

    /// A store with a pool of its own, as a process of its own would have.
    pub(crate) async fn store(&self) -> Result<Arc<dyn Store>> {
        Ok(match &self.kind {
            Kind::Sqlite { file, .. } => Arc::new(SqliteStore::open(file).await?),
            Kind::Postgres { url, .. } => Arc::new(PostgresStore::connect(url)?),
        })
    }

    /// Executes statements, each in a transaction of its own. None may hold a semicolon.
    pub(crate) async fn execute(&mut self, statements: &str) -> Result<()> {
        match &mut self.kind {
            Kind::Sqlite { connection, .. } => connection.batch_execute(statements)?,
            // One by one: several in one message are one transaction, and a vacuum refuses that.
            Kind::Postgres { connection, .. } => {
                for statement in statements
                    .split(';')
                    .filter(|statement| !statement.trim().is_empty())
                {
                    connection.batch_execute(statement).await?;
                }
            }
        }
        Ok(())
    }

    /// Brings the database to rest after it was filled: nothing to vacuum, statistics in place, all
    /// written.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        self.execute(match self.kind {
            Kind::Sqlite { .. } => "pragma wal_checkpoint(truncate); analyze",
            Kind::Postgres { .. } => "vacuum analyze; checkpoint",
        })
        .await
    }

    /// The number that a query selects as `value`.
    pub(crate) async fn number(&mut self, query: &str) -> Result<i64> {
        let query = diesel::sql_query(query);
        let row: Number = match &mut self.kind {
            Kind::Sqlite { connection, .. } => query.get_result(connection)?,
            Kind::Postgres { connection, .. } => {
                diesel_async::RunQueryDsl::get_result(query, connection).await?
            }
        };
        Ok(row.value)
    }

    /// The numbers that a query selects as `value`, each with its `name`.
    pub(crate) async fn named(&mut self, query: &str) -> Result<Vec<(String, f64)>> {
        let query = diesel::sql_query(query);
        let rows: Vec<Named> = match &mut self.kind {
            Kind::Sqlite { connection, .. } => query.load(connection)?,
            Kind::Postgres { connection, .. } => {
                diesel_async::RunQueryDsl::load(query, connection).await?
            }
        };
        Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
    }

    async fn text(&mut self, query: &str) -> Result<String> {
        let query = diesel::sql_query(query);
        let row: Words = match &mut self.kind {
            Kind::Sqlite { connection, .. } => query.get_result(connection)?,
            Kind::Postgres { connection, .. } => {
                diesel_async::RunQueryDsl::get_result(query, connection).await?
            }
        };
        Ok(row.value)
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Double)]
    value: f64,
}

#[derive(QueryableByName)]
struct Words {
    #[diesel(sql_type = Text)]
    value: String,
}

/// As in production, but for two: vacuums come when the bench says so and not at random, and
/// checkpoints are left to it where they can be.
const DURABLE: &[&str] = &[
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "shared_buffers=256MB",
    "autovacuum=off",
    "max_wal_size=4GB",
];
