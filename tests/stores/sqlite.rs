//! The suite's view of an SQLite file.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Nullable, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::sqlite::{SqliteStore, timestamp_text};
use ractor_housekeeper::testing::MemoryBooking;
use tempfile::TempDir;
use uuid::Uuid;

use crate::TestResult;
use crate::jobs::Jobs;
use crate::world::{StoreUnderTest, clock};

mod files;
mod given_up;
mod instants;
mod keys;
mod panics;
mod plans;
mod raised;

pub(crate) struct SqliteUnderTest {
    pub(crate) store: SqliteStore,
    pub(crate) jobs: Jobs,
    pub(crate) folder: TempDir,
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    one: String,
    #[diesel(sql_type = Text)]
    two: String,
}

impl SqliteUnderTest {
    pub(crate) async fn open() -> TestResult<Option<Self>> {
        let world = Self::empty().await?;
        world
            .store
            .migrate(&[Schema::Housekeeper, Schema::Booking])
            .await?;
        Ok(Some(world))
    }

    /// Without any table.
    pub(crate) async fn empty() -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let store = SqliteStore::open(&url).await?.with_clock(clock());
        let jobs = Jobs::over(store.clone());
        Ok(Self {
            store,
            jobs,
            folder,
        })
    }

    pub(crate) async fn sql(&self, sql: &str) -> TestResult {
        Ok(self.store.pool().get().await?.batch_execute(sql).await?)
    }

    async fn rows(&self, sql: &str) -> TestResult<Vec<Row>> {
        let mut conn = self.store.pool().get().await?;
        Ok(diesel::sql_query(sql).load(&mut conn).await?)
    }

    pub(crate) async fn count(&self, table: &str) -> TestResult<u64> {
        let rows = self
            .rows(&format!(
                "select cast(count(*) as text) as id, '' as one, '' as two from {table}"
            ))
            .await?;
        Ok(rows[0].id.parse()?)
    }

    pub(crate) async fn last_activity_at(
        &self,
        session: &str,
    ) -> TestResult<Option<DateTime<Utc>>> {
        let rows = self
            .rows(&format!(
                "select id, coalesce(last_activity_at, '') as one, '' as two from sessions where id = '{session}'"
            ))
            .await?;
        match rows[0].one.as_str() {
            "" => Ok(None),
            noted => Ok(Some(noted.parse()?)),
        }
    }

    async fn record(&self, table: &str, session: &str) -> TestResult {
        let mut conn = self.store.pool().get().await?;
        diesel::sql_query(format!(
            "insert into {table} (id, session_id) values (?, ?)"
        ))
        .bind::<Text, _>(Uuid::new_v4().to_string())
        .bind::<Text, _>(session)
        .execute(&mut conn)
        .await?;
        Ok(())
    }
}

#[async_trait(?Send)]
impl StoreUnderTest for SqliteUnderTest {
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
        diesel::sql_query("insert into sessions (id, user_id, created_at) values (?, ?, ?)")
            .bind::<Text, _>(id)
            .bind::<Text, _>(user.to_string())
            .bind::<Text, _>(timestamp_text(created_at))
            .execute(&mut conn)
            .await?;
        Ok(())
    }
    async fn message(&self, user: Uuid, sender: &str, at: DateTime<Utc>) -> TestResult {
        let mut conn = self.store.pool().get().await?;
        diesel::sql_query(
            "insert into messages (id, user_id, sender, timestamp) values (?, ?, ?, ?)",
        )
        .bind::<Text, _>(Uuid::new_v4().to_string())
        .bind::<Text, _>(user.to_string())
        .bind::<Text, _>(sender)
        .bind::<Text, _>(timestamp_text(at))
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
            "insert into bookings (booking_id, user_id, created_at, status, held_until, updated_at, total_cost) values (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind::<Text, _>(&booking.id)
        .bind::<Text, _>(booking.user.to_string())
        .bind::<Text, _>(timestamp_text(booking.created_at))
        .bind::<Text, _>(&booking.status)
        .bind::<Nullable<Text>, _>(booking.held_until.map(timestamp_text))
        .bind::<Text, _>(timestamp_text(booking.updated_at))
        .bind::<Text, _>("12.50")
        .execute(&mut conn)
        .await?;
        Ok(())
    }
    async fn sessions_left(&self) -> TestResult<Vec<String>> {
        let rows = self
            .rows("select id, '' as one, '' as two from sessions order by id")
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
    async fn bookings_now(&self) -> TestResult<BTreeMap<String, (String, DateTime<Utc>)>> {
        let rows = self
            .rows("select booking_id as id, status as one, updated_at as two from bookings")
            .await?;
        rows.into_iter()
            .map(|row| Ok((row.id, (row.one, row.two.parse()?))))
            .collect()
    }
    async fn records_left(&self) -> TestResult<(u64, u64)> {
        Ok((
            self.count("image_sent").await?,
            self.count("video_sent").await?,
        ))
    }
}

mod own {
    use ractor_housekeeper::store::Store;

    use super::*;
    use crate::rules::idle_request;
    use crate::world::{micro, now, user};

    #[tokio::test]
    async fn invalid_urls_are_rejected() -> TestResult {
        for (url, word) in [
            ("", "empty"),
            ("sqlite://", "empty"),
            (":memory:", "memory"),
            ("sqlite::memory:", "memory"),
            ("sqlite://x.db?mode=memory", "memory"),
            ("sqlite://x.db?mode=rwc", "options"),
            ("file:x.db", "another kind"),
            ("postgres://me:secret@host/db", "postgres://"),
            ("/", "folder"),
            ("/no/such/folder/x.db", "does not exist"),
        ] {
            let refused = SqliteStore::open(url).await.expect_err(url).to_string();
            assert!(refused.contains(word), "{url}: {refused}");
            assert!(!refused.contains("secret"));
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_timeout_of_zero_is_rejected() -> TestResult {
        let world = SqliteUnderTest::empty().await?;
        let timeouts = ractor_housekeeper::store::Timeouts {
            acquire: std::time::Duration::ZERO,
            ..Default::default()
        };

        let refused = world.store.with_timeouts(timeouts);

        let error = refused.expect_err("nothing comes in no time").to_string();
        assert!(error.starts_with("timeouts.acquire is zero"), "{error}");
        Ok(())
    }

    #[tokio::test]
    async fn every_form_of_address_opens_the_file() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.db");
        for prefix in ["", "sqlite:", "sqlite://"] {
            let store = SqliteStore::open(&format!("{prefix}{}", path.display())).await?;
            store.migrate(&[Schema::Booking]).await?;
            store.check().await?;
        }
        assert!(path.is_file());
        Ok(())
    }

    #[tokio::test]
    async fn the_tables_reject_malformed_values() -> TestResult {
        let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
        let user = user(1);
        let refused = [
            format!("insert into sessions (id, user_id, created_at) values ('a', '{user}', '2026-01-10T12:00:00Z')"),
            format!("insert into sessions (id, user_id, created_at) values ('a', '{user}', '2026-01-10 12:00:00.123456Z')"),
            format!("insert into sessions (id, user_id, created_at) values ('a', '{user}', '2026-02-30T12:00:00.123456Z')"),
            format!("insert into sessions (id, user_id, last_activity_at) values ('a', '{user}', '2026-01-10T24:00:00.000000Z')"),
            format!("insert into bookings (booking_id, user_id, held_until) values ('a', '{user}', '2026-13-01T00:00:00.000000Z')"),
            format!("insert into bookings (booking_id, user_id, booking_date) values ('a', '{user}', '2026-02-29')"),
            format!("insert into messages (id, user_id, sender, timestamp) values ('a', '{user}', 'user', '2026-01-10T23:59:60.000000Z')"),
            "insert into sessions (id, user_id) values ('a', 'ABCDEF00-0000-0000-0000-000000000001')".to_owned(),
            format!("insert into bookings (booking_id, user_id, status) values ('a', '{user}', 'pending')"),
        ];
        for sql in refused {
            assert!(world.sql(&sql).await.is_err(), "{sql}");
        }
        world
            .sql(&format!("insert into sessions (id, user_id) values ('a', '{user}'); insert into bookings (booking_id, user_id) values ('a', '{user}')"))
            .await?;
        assert_eq!(world.bookings_now().await?["a"].0, "Pending");
        Ok(())
    }

    /// The whole store under a clock that runs ahead whenever nothing else does, on one thread.
    #[tokio::test(start_paused = true)]
    async fn works_with_a_paused_clock() -> TestResult {
        let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
        world.session("idle", user(1), now() - micro()).await?;

        let batch = world
            .jobs
            .delete_idle_sessions(&idle_request(now(), 10))
            .await?;

        assert_eq!(batch.ids, ["idle"]);
        Ok(())
    }

    #[tokio::test]
    async fn a_dropped_batch_commits_or_not_and_leaves_the_store_usable() -> TestResult {
        let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
        for number in 0..200 {
            let id = format!("s{number:03}");
            world.session(&id, user(1), now() - micro()).await?;
        }
        let everything = idle_request(now(), 1_000);

        for _ in 0..20 {
            // Polled once, then dropped: its statements may be running.
            tokio::select! {
                biased;
                batch = world.jobs.delete_idle_sessions(&everything) => { batch?; }
                () = std::future::ready(()) => {}
            }
        }

        let batch = world.jobs.delete_idle_sessions(&everything).await?;
        assert_eq!(world.sessions_left().await?.len(), 0);
        assert!(batch.ids.is_empty() || batch.ids.len() == 200);
        Ok(())
    }

    #[tokio::test]
    async fn a_row_that_cannot_be_deleted_is_rejected() -> TestResult {
        let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
        for id in ["a", "b", "c"] {
            world.session(id, user(1), now() - micro()).await?;
            world.image(id).await?;
        }
        world
            .sql("create table invoices (session_id text references sessions (id)); insert into invoices values ('b')")
            .await?;

        let batch = world
            .jobs
            .delete_idle_sessions(&idle_request(now(), 10))
            .await?;

        assert_eq!(batch.ids, ["a", "c"]);
        assert_eq!(batch.counts.to_string(), "2 image records, 2 sessions");
        assert_eq!(batch.rejected.len(), 1);
        assert_eq!(batch.rejected[0].id, "b");
        assert_eq!(batch.rejected[0].error, "kept by invoices.session_id");
        assert_eq!(world.records_left().await?, (1, 0));
        Ok(())
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_leaves_the_store_usable() -> TestResult {
        struct Broken;
        impl ractor_housekeeper::time::Clock for Broken {
            fn now(&self) -> DateTime<Utc> {
                panic!("no clock")
            }
        }
        let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
        let broken = world.store.clone().with_clock(Arc::new(Broken));

        let died = tokio::spawn(async move { broken.now().await }).await;

        assert!(died.is_err_and(|error| error.is_panic()));
        world.store.check().await?;
        Ok(())
    }
}
