//! The database: filled with due rows, and audited by triggers.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Text};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::PostgresStore;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::testing::PrivatePostgres;

use crate::Error;
use crate::options::{Options, rows_of_one};

pub(crate) struct Database {
    conn: AsyncPgConnection,
    url: String,
    _server: Option<PrivatePostgres>,
}

/// Changes as the triggers recorded them.
#[derive(Debug)]
pub(crate) struct TriggerRecord {
    /// Rows changed, by replica.
    pub(crate) changed: BTreeMap<String, u64>,
    pub(crate) changed_twice: u64,
    /// Rows that are still due.
    pub(crate) left: u64,
}

/// The URL with which a replica connects under its name.
pub(crate) fn replica_url(url: &str, number: usize) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}application_name={}", replica_name(number))
}

/// The name under which the triggers record a replica.
pub(crate) fn replica_name(number: usize) -> String {
    format!("replica-{}", number + 1)
}

impl Database {
    /// Opens the database at `url`, which must be empty, or one on a private server.
    pub(crate) async fn open(url: Option<&str>) -> Result<Self, Error> {
        let (url, server) = if let Some(url) = url {
            (url.to_owned(), None)
        } else {
            let server = PrivatePostgres::start()?
                .ok_or("Postgres is not installed here: give --database-url")?;
            (server.url(), Some(server))
        };
        let mut conn = AsyncPgConnection::establish(&url).await?;
        let tables = "select count(*) from pg_tables where schemaname not in ('pg_catalog', 'information_schema')";
        if count(&mut conn, tables).await? > 0 {
            return Err("the database is not empty; give one that was just created".into());
        }
        PostgresStore::connect(&url)?
            .migrate(&[Schema::Housekeeper, Schema::Booking])
            .await?;
        Ok(Self {
            conn,
            url,
            _server: server,
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Inserts due rows and creates the triggers. Returns the number of due rows.
    pub(crate) async fn fill(&mut self, options: &Options) -> Result<u64, Error> {
        let mut rows = 0;
        for job in &options.jobs {
            let insert = if *job == BookingExpirer::NAME {
                BOOKINGS
            } else {
                SESSIONS
            };
            let insert = insert.replace("{rows}", &options.rows.to_string());
            self.conn.batch_execute(&insert).await?;
            rows += u64::from(options.rows) * rows_of_one(job);
        }
        self.conn.batch_execute("vacuum analyze").await?;
        self.conn.batch_execute(AUDIT).await?;
        Ok(rows)
    }

    pub(crate) async fn trigger_record(&mut self) -> QueryResult<TriggerRecord> {
        let changed: Vec<Changed> =
            sql_query("select replica, count(*) as rows from audit group by replica")
                .load(&mut self.conn)
                .await?;
        Ok(TriggerRecord {
            changed: changed
                .into_iter()
                .map(|Changed { replica, rows }| (replica, rows.unsigned_abs()))
                .collect(),
            changed_twice: count(&mut self.conn, TWICE).await?,
            left: count(&mut self.conn, LEFT).await?,
        })
    }
}

#[derive(QueryableByName)]
struct Changed {
    #[diesel(sql_type = Text)]
    replica: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn count(conn: &mut AsyncPgConnection, query: &str) -> QueryResult<u64> {
    let Count { count } = sql_query(query).get_result(conn).await?;
    Ok(count.unsigned_abs())
}

const BOOKINGS: &str = "
    insert into bookings (booking_id, user_id, created_at)
    select md5(n::text), md5((n % 1000)::text)::uuid, now() - make_interval(days => 2 + n % 30, secs => n % 86400)
    from generate_series(1, {rows}) as n";

const SESSIONS: &str = "
    insert into sessions (id, user_id, created_at)
    select md5(n::text), md5(n::text)::uuid, now() - make_interval(days => 2 + n % 30, secs => n % 86400)
    from generate_series(1, {rows}) as n;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";

/// Triggers per statement: triggers per row would dominate the measured work.
const AUDIT: &str = "
    create table audit (replica text not null, kind text not null, id text not null);
    create function audit_bookings() returns trigger language plpgsql as $$
    begin
        insert into audit select current_setting('application_name'), tg_table_name, booking_id from changed;
        return null;
    end
    $$;
    create function audit_deletes() returns trigger language plpgsql as $$
    begin
        insert into audit select current_setting('application_name'), tg_table_name, id from changed;
        return null;
    end
    $$;
    create trigger audit after update on bookings referencing new table as changed
        for each statement execute function audit_bookings();
    create trigger audit after delete on sessions referencing old table as changed
        for each statement execute function audit_deletes();
    create trigger audit after delete on image_sent referencing old table as changed
        for each statement execute function audit_deletes();
    create trigger audit after delete on video_sent referencing old table as changed
        for each statement execute function audit_deletes()";

const TWICE: &str = "
    select count(*) from (select from audit group by kind, id having count(*) > 1) as twice";

const LEFT: &str = "
    select (select count(*) from bookings where status = 'Pending')
        + (select count(*) from sessions) + (select count(*) from image_sent) + (select count(*) from video_sent) as count";
