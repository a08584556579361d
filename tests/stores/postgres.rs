//! The suite's view of a Postgres database.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::postgres::PostgresStore;
use ractor_housekeeper::testing::{MemoryBooking, PrivatePostgres};
use uuid::Uuid;

use crate::TestResult;
use crate::jobs::Jobs;
use crate::world::{StoreUnderTest, clock};

mod altered;
mod codes;
#[cfg(unix)]
mod connections;
mod durability;
mod instants;
mod keys;
mod plans;
mod privileges;
mod schema_check;

pub(crate) struct PostgresUnderTest {
    pub(crate) store: PostgresStore,
    pub(crate) jobs: Jobs,
    pub(crate) url: String,
}

#[derive(diesel::QueryableByName)]
struct BookingRow {
    #[diesel(sql_type = Text)]
    booking_id: String,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Timestamptz)]
    updated_at: DateTime<Utc>,
}

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = Text)]
    id: String,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct SessionActivity {
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_activity_at: Option<DateTime<Utc>>,
}

impl PostgresUnderTest {
    pub(crate) async fn open() -> TestResult<Option<Self>> {
        let Some(world) = Self::empty()? else {
            return Ok(None);
        };
        world
            .store
            .migrate(&[Schema::Housekeeper, Schema::Booking])
            .await?;
        Ok(Some(world))
    }

    /// Without any table.
    pub(crate) fn empty() -> TestResult<Option<Self>> {
        let Some(server) = PrivatePostgres::shared()? else {
            return Ok(None);
        };
        let url = server.fresh_database()?;
        let store = PostgresStore::connect(&url)?.with_clock(clock());
        let jobs = Jobs::over(store.clone());
        Ok(Some(Self { store, jobs, url }))
    }

    pub(crate) async fn sql(&self, sql: &str) -> TestResult {
        Ok(self.store.pool().get().await?.batch_execute(sql).await?)
    }

    pub(crate) async fn count(&self, table: &str) -> TestResult<u64> {
        let mut conn = self.store.pool().get().await?;
        let count: Count = diesel::sql_query(format!("select count(*) as count from {table}"))
            .get_result(&mut conn)
            .await?;
        Ok(u64::try_from(count.count)?)
    }

    pub(crate) async fn last_activity_at(
        &self,
        session: &str,
    ) -> TestResult<Option<DateTime<Utc>>> {
        let mut conn = self.store.pool().get().await?;
        let noted: SessionActivity =
            diesel::sql_query("select last_activity_at from sessions where id = $1")
                .bind::<Text, _>(session)
                .get_result(&mut conn)
                .await?;
        Ok(noted.last_activity_at)
    }

    async fn record(&self, table: &str, session: &str) -> TestResult {
        let mut conn = self.store.pool().get().await?;
        diesel::sql_query(format!(
            "insert into {table} (id, session_id) values ($1, $2)"
        ))
        .bind::<Text, _>(Uuid::new_v4().to_string())
        .bind::<Text, _>(session)
        .execute(&mut conn)
        .await?;
        Ok(())
    }
}

#[async_trait(?Send)]
impl StoreUnderTest for PostgresUnderTest {
    fn jobs(&self) -> &Jobs {
        &self.jobs
    }
    fn history(&self) -> &dyn RunHistory {
        &self.store
    }
    async fn execute(&self, sql: &str) -> TestResult {
        self.sql(sql).await
    }
    async fn session(&self, id: &str, user: Uuid, created_at: DateTime<Utc>) -> TestResult {
        let mut conn = self.store.pool().get().await?;
        diesel::sql_query("insert into sessions (id, user_id, created_at) values ($1, $2, $3)")
            .bind::<Text, _>(id)
            .bind::<diesel::sql_types::Uuid, _>(user)
            .bind::<Timestamptz, _>(created_at)
            .execute(&mut conn)
            .await?;
        Ok(())
    }
    async fn message(&self, user: Uuid, sender: &str, at: DateTime<Utc>) -> TestResult {
        let mut conn = self.store.pool().get().await?;
        diesel::sql_query(
            "insert into messages (id, user_id, sender, timestamp) values ($1, $2, $3, $4)",
        )
        .bind::<Text, _>(Uuid::new_v4().to_string())
        .bind::<diesel::sql_types::Uuid, _>(user)
        .bind::<Text, _>(sender)
        .bind::<Timestamptz, _>(at)
        .execute(&mut conn)
        .await?;
        Ok(())
    }
    async fn image(&self, session: &str) -> TestResult {
        self.record("image_sent", session).await
    }
    async fn video(&self, session: &str) -> TestResult {
        self.record("video_sent", session).await
    }
    async fn booking(&self, booking: &MemoryBooking) -> TestResult {
        let mut conn = self.store.pool().get().await?;
        diesel::sql_query(
            "insert into bookings (booking_id, user_id, created_at, status, held_until, updated_at, total_cost) values ($1, $2, $3, $4, $5, $6, 12.50)",
        )
        .bind::<Text, _>(&booking.id)
        .bind::<diesel::sql_types::Uuid, _>(booking.user)
        .bind::<Timestamptz, _>(booking.created_at)
        .bind::<Text, _>(&booking.status)
        .bind::<Nullable<Timestamptz>, _>(booking.held_until)
        .bind::<Timestamptz, _>(booking.updated_at)
        .execute(&mut conn)
        .await?;
        Ok(())
    }
    async fn sessions_left(&self) -> TestResult<Vec<String>> {
        let mut conn = self.store.pool().get().await?;
        let rows: Vec<Id> = diesel::sql_query("select id from sessions order by id")
            .load(&mut conn)
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
    async fn bookings_now(&self) -> TestResult<BTreeMap<String, (String, DateTime<Utc>)>> {
        let mut conn = self.store.pool().get().await?;
        let rows: Vec<BookingRow> =
            diesel::sql_query("select booking_id, status, updated_at from bookings")
                .load(&mut conn)
                .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|row| (row.booking_id, (row.status, row.updated_at)))
            .collect())
    }
    async fn records_left(&self) -> TestResult<(u64, u64)> {
        Ok((
            self.count("image_sent").await?,
            self.count("video_sent").await?,
        ))
    }
}

mod own {
    use std::time::{Duration, Instant};

    use ractor_housekeeper::model::StoreError;
    use ractor_housekeeper::store::{Store, Timeouts};

    use super::*;
    use crate::rules::{idle_request, request};
    use crate::world::{micro, now, user};

    #[tokio::test]
    async fn invalid_urls_are_rejected_without_the_password() -> TestResult {
        for (url, word) in [
            ("", "empty"),
            ("mysql://me:secret@host/db", "mysql://"),
            ("sqlite://x.db", "sqlite://"),
            ("secret", "no URL"),
            ("postgres://me:secret@host:notaport/db", "port"),
            ("postgres://me:secret@host/db?port=99999", "port"),
            ("postgres:///db", "host is missing"),
            ("user=me password=secret", "host is missing"),
            ("postgres://me:secret@host/db?x", "escape"),
            ("postgres://me@host/db?secret=1", "parameter 1"),
            (
                "postgres://me:secret@host/db?schema=public&connection_limit=1",
                "`schema` (write `options=-csearch_path%3Dname`); `connection_limit` (",
            ),
            (
                "postgres://me:secret@host/db?pgbouncer=true&sslrootcert=/ca.pem",
                "`pgbouncer` (leave it out, and let the pooler support prepared statements: `max_prepared_statements` of PgBouncer 1.21); `sslrootcert` (",
            ),
            (
                "postgres://me:secret@host/db?target_session_attrs=primary",
                "give `any`, `read-write` or `read-only`",
            ),
            ("host=db user=me currentSchema=app", "`currentSchema`"),
            (
                "jdbc:postgresql://host/db?password=secret",
                "another client",
            ),
            ("postgresql+asyncpg://me:secret@host/db", "another client"),
            ("POSTGRES://me:secret@host/db", "stands in capitals"),
            ("Host=h;Username=me;Password=secret", "another client"),
            ("postgres://me:secret@host/db?sslmode=require", "with_pool"),
            (
                "postgres://me:secret@host/db?sslmode=verify-full",
                "with_pool",
            ),
        ] {
            let refused = PostgresStore::connect(url).expect_err(url).to_string();
            assert!(refused.contains(word), "{url}: {refused}");
            assert!(!refused.contains("secret"), "{refused}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn an_unavailable_database_is_an_error_of_the_step() -> TestResult {
        let timeouts = Timeouts {
            acquire: Duration::from_millis(300),
            ..Timeouts::default()
        };
        let store = PostgresStore::connect("postgres://me:secret@127.0.0.1:1/db")?
            .with_timeouts(timeouts)?;

        let error = store.now().await.expect_err("no server listens on port 1");

        assert!(matches!(error, StoreError::Connect { .. }));
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert!(cause.is_some_and(|cause| cause.contains("refused")));
        assert!(!format!("{store:?} {error:?}").contains("secret"));
        Ok(())
    }

    #[tokio::test]
    async fn the_database_clock_is_the_default() -> TestResult {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(());
        };
        let store = PostgresStore::connect(&world.url)?;

        let first = store.now().await?;
        let second = store.now().await?;

        assert!(first < second);
        assert!((Utc::now() - second).num_seconds().abs() < 60);
        Ok(())
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_deleted_is_rejected() -> TestResult {
        for when in ["", "deferrable initially deferred", "on delete restrict"] {
            let Some(world) = PostgresUnderTest::open().await? else {
                return Ok(());
            };
            for id in ["a", "b", "c"] {
                world.session(id, user(1), now() - micro()).await?;
                world.image(id).await?;
            }
            world
                .sql(&format!("create table invoices (session_id text references sessions (id) {when}); insert into invoices values ('b')"))
                .await?;

            let batch = world
                .jobs
                .delete_idle_sessions(&idle_request(now(), 10))
                .await?;

            assert_eq!(batch.ids, ["a", "c"], "{when}");
            assert_eq!(batch.counts.to_string(), "2 image records, 2 sessions");
            assert_eq!(batch.rejected.len(), 1);
            assert!(batch.rejected[0].error.starts_with("kept by "));
            assert_eq!(world.records_left().await?, (1, 0));
        }
        Ok(())
    }

    #[tokio::test]
    async fn locked_rows_are_skipped() -> TestResult {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(());
        };
        for id in ["a", "b"] {
            world.session(id, user(1), now() - micro()).await?;
            let booking = MemoryBooking::pending(id, user(1), now() - micro());
            world.booking(&booking).await?;
        }
        let mut other = world.store.pool().get().await?;
        other
            .batch_execute("begin; select from sessions where id = 'a' for update; update bookings set status = 'Confirmed' where booking_id = 'a'")
            .await?;

        let deleted = world
            .jobs
            .delete_idle_sessions(&idle_request(now(), 10))
            .await?;
        let expired = world.jobs.expire_bookings(&request(now(), 10)).await?;
        other.batch_execute("commit").await?;
        let later = world.jobs.expire_bookings(&request(now(), 10)).await?;

        assert_eq!(deleted.ids, ["b"]);
        assert_eq!(expired.ids, ["b"]);
        assert!(later.ids.is_empty());
        assert_eq!(world.bookings_now().await?["a"].0, "Confirmed");
        Ok(())
    }

    #[tokio::test]
    async fn an_uncommitted_message_keeps_its_session() -> TestResult {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(());
        };
        world.session("a", user(1), now() - micro()).await?;
        let mut guest = world.store.pool().get().await?;
        guest
            .batch_execute(&format!(
                "begin; insert into messages (id, user_id, sender) values ('m', '{}', 'user')",
                user(1)
            ))
            .await?;

        let batch = world
            .jobs
            .delete_idle_sessions(&idle_request(now(), 10))
            .await?;
        guest.batch_execute("commit").await?;
        let later = world
            .jobs
            .delete_idle_sessions(&idle_request(now(), 10))
            .await?;

        assert!(batch.ids.is_empty() && later.ids.is_empty());
        assert_eq!(world.sessions_left().await?, ["a"]);
        Ok(())
    }

    #[tokio::test]
    async fn a_dropped_batch_frees_its_rows_and_the_pool() -> TestResult {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(());
        };
        for id in ["a", "b"] {
            world.session(id, user(1), now() - micro()).await?;
        }
        // The batch locks its sessions and then waits long in the middle of a statement.
        world
            .sql("create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(20); return old; end $$;
                  create trigger dawdle before delete on sessions for each row execute function dawdle()")
            .await?;
        let jobs = world.jobs.clone();
        let everything = idle_request(now(), 10);
        let batch = tokio::spawn(async move { jobs.delete_idle_sessions(&everything).await });
        let sleeping =
            "pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
        while world.count(sleeping).await? == 0 {
            tokio::task::yield_now().await;
        }

        batch.abort();
        let started = Instant::now();
        while world
            .count("(select from sessions for update skip locked) free")
            .await?
            < 2
        {
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "rows stay locked"
            );
            tokio::task::yield_now().await;
        }

        world.sql("drop trigger dawdle on sessions").await?;
        let batch = world
            .jobs
            .delete_idle_sessions(&idle_request(now(), 10))
            .await?;
        assert_eq!(batch.ids, ["a", "b"]);
        Ok(())
    }

    #[tokio::test]
    async fn statements_and_locks_time_out() -> TestResult {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(());
        };
        let timeouts = Timeouts {
            lock: Duration::from_millis(50),
            ..Timeouts::default()
        };
        let store = world
            .store
            .clone()
            .with_timeouts(timeouts)?
            .with_clock(clock());
        world.session("a", user(1), now() - micro()).await?;
        world.image("a").await?;
        let mut other = world.store.pool().get().await?;
        other
            .batch_execute("begin; select from image_sent for update")
            .await?;

        let jobs = Jobs::over(store);
        let refused = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;
        other.batch_execute("rollback").await?;
        let batch = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;

        assert!(refused.ids.is_empty());
        let error = &refused.rejected[0].error;
        assert_eq!(error, "locked by another transaction");
        assert_eq!(batch.ids, ["a"]);
        Ok(())
    }

    #[tokio::test]
    async fn records_are_counted_without_server_statistics() -> TestResult {
        let Some(world) = PostgresUnderTest::open().await? else {
            return Ok(());
        };
        let cutoff = now();
        world.session("a", user(1), cutoff - micro()).await?;
        world.image("a").await?;
        world.image("a").await?;
        world.video("a").await?;
        world
            .sql("do $$ begin execute format('alter database %I set track_counts = off', current_database()); end $$")
            .await?;

        // The setting is read when a connection is made.
        let store = PostgresStore::connect(&world.url)?.with_clock(clock());
        let batch = Jobs::over(store)
            .delete_idle_sessions(&idle_request(cutoff, 10))
            .await?;

        let counts =
            ["sessions", "image_records", "video_records"].map(|kind| batch.counts.of(kind));
        assert_eq!(counts, [1, 2, 1]);
        Ok(())
    }
}
