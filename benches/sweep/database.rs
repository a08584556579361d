//! The databases, and the rows they are filled with.

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::testing::PrivatePostgres;
use ractor_housekeeper::{PostgresStore, SqliteStore};
use tempfile::TempDir;

use crate::{Job, Result};

pub(crate) struct Database {
    rows: u64,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Sqlite {
        store: SqliteStore,
        connection: SqliteConnection,
        _folder: TempDir,
    },
    Postgres {
        connection: Box<AsyncPgConnection>,
        url: String,
    },
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl Database {
    /// SQLite, and Postgres where it is installed.
    pub(crate) async fn all(rows: u64) -> Result<Vec<Self>> {
        let mut all = vec![Self {
            rows,
            kind: sqlite().await?,
        }];
        match PrivatePostgres::shared()? {
            Some(server) => all.push(Self {
                rows,
                kind: postgres(&server.fresh_database()?).await?,
            }),
            None => println!("no Postgres is installed: left out"),
        }
        Ok(all)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sqlite { .. } => "SQLite",
            Kind::Postgres { .. } => "Postgres",
        }
    }

    pub(crate) fn has_replicas(&self) -> bool {
        self.name() == "Postgres"
    }

    /// Makes the rows of a job anew, and lets the database settle.
    pub(crate) async fn fill(&mut self, job: Job) -> Result<()> {
        let rows = self.rows;
        let statements = match (&self.kind, job) {
            (Kind::Sqlite { .. }, Job::Bookings) => SQLITE_BOOKINGS,
            (Kind::Sqlite { .. }, Job::Sessions) => SQLITE_SESSIONS,
            (Kind::Postgres { .. }, Job::Bookings) => POSTGRES_BOOKINGS,
            (Kind::Postgres { .. }, Job::Sessions) => POSTGRES_SESSIONS,
        };
        let statements = statements.replace("{rows}", &rows.to_string());
        self.execute(&statements).await?;
        self.execute(match self.name() {
            "SQLite" => "pragma wal_checkpoint(truncate); analyze",
            _ => "vacuum analyze; checkpoint",
        })
        .await
    }

    /// Rows that are due.
    pub(crate) async fn due(&mut self, job: Job) -> Result<u64> {
        let of = |clock: &str| match job {
            Job::Bookings => format!(
                "select count(*) as count from bookings where status = 'Pending' and created_at < {clock}"
            ),
            Job::Sessions => format!(
                "select count(*) as count from sessions where coalesce(last_activity_at, created_at) < {clock}"
            ),
        };
        let counts: Vec<Count> = match &mut self.kind {
            Kind::Sqlite { connection, .. } => {
                diesel::sql_query(of("strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 day')"))
                    .load(connection)?
            }
            Kind::Postgres { connection, .. } => {
                let query = diesel::sql_query(of("now() - interval '1 day'"));
                diesel_async::RunQueryDsl::load(query, connection).await?
            }
        };
        Ok(counts.first().map_or(0, |row| row.count.unsigned_abs()))
    }

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
}

async fn sqlite() -> Result<Kind> {
    let folder = TempDir::new()?;
    let file = folder.path().join("bench.db").display().to_string();
    let store = SqliteStore::open(&file).await?;
    store.migrate(Schema::ALL).await?;
    let mut connection = SqliteConnection::establish(&file)?;
    connection.batch_execute(
        "pragma synchronous = normal; pragma foreign_keys = on; pragma busy_timeout = 60000",
    )?;
    Ok(Kind::Sqlite {
        store,
        connection,
        _folder: folder,
    })
}

async fn postgres(url: &str) -> Result<Kind> {
    let store = PostgresStore::connect(url)?;
    store.migrate(Schema::ALL).await?;
    let connection = AsyncPgConnection::establish(url).await?;
    Ok(Kind::Postgres {
        connection: Box::new(connection),
        url: url.to_owned(),
    })
}

const SQLITE_BOOKINGS: &str = "
    delete from bookings;
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into bookings (booking_id, user_id, status, created_at)
    select lower(hex(randomblob(16))),
        printf('00000000-0000-4000-8000-%012x', n % 1000),
        case when n % 5 = 0 then 'Pending' else 'Confirmed' end,
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || (2 + n % 30) || ' days')
    from numbers";

const SQLITE_SESSIONS: &str = "
    delete from sessions;
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into sessions (id, user_id, created_at)
    select printf('s%08x%s', (n * 2654435761) % 4294967296, hex(n)),
        printf('00000000-0000-4000-8000-%012x', n),
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', case when n % 5 = 0 then '-' || (2 + n % 30) || ' days' else '-1 hours' end)
    from numbers;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";

const POSTGRES_BOOKINGS: &str = "
    truncate bookings;
    insert into bookings (booking_id, user_id, status, created_at)
    select md5(n::text), md5((n % 1000)::text)::uuid,
        case when n % 5 = 0 then 'Pending' else 'Confirmed' end,
        now() - make_interval(days => 2 + n % 30, secs => n % 86400)
    from generate_series(1, {rows}) as n";

const POSTGRES_SESSIONS: &str = "
    truncate sessions, image_sent, video_sent;
    insert into sessions (id, user_id, created_at)
    select md5(n::text), md5(n::text)::uuid,
        now() - case when n % 5 = 0 then make_interval(days => 2 + n % 30, secs => n % 86400) else interval '1 hour' end
    from generate_series(1, {rows}) as n;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";
