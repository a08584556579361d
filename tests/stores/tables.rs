//! Making and dropping the tables.

/// The cases over one database. `$empty` makes a world without tables, or `None`.
macro_rules! tables {
    ($store:ident, $empty:expr, $reopen:expr) => {
        mod $store {
            use ractor_housekeeper::store::Schema::{Booking, Housekeeper};
            use ractor_housekeeper::job::Page;
            use ractor_housekeeper::model::{RunHistory, StoreError};
            use ractor_housekeeper::store::Store;

            use crate::TestResult;

            #[tokio::test]
            async fn migrating_twice_and_back_leaves_nothing() -> TestResult {
                let Some(world) = $empty else { return Ok(()) };
                for schema in [Housekeeper, Booking] {
                    for _ in 0..2 {
                        world.store.migrate(&[schema]).await?;
                        world.store.migrate(&[Housekeeper, Booking]).await?;
                        world.store.check().await?;
                        world.store.revert(Housekeeper).await?;
                        world.store.revert(Booking).await?;
                        world.store.revert(schema).await?;
                    }
                }

                // All names are free again.
                for table in ["sessions", "messages", "image_sent", "video_sent", "bookings"]
                    .into_iter()
                    .chain(["housekeeper_activity", "housekeeper_runs", "housekeeper_pauses", "housekeeper_instances", "housekeeper_migrations"])
                {
                    world.sql(&format!("create table {table} (x integer)")).await?;
                }
                Ok(())
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn concurrent_migrations_succeed() -> TestResult {
                let Some(world) = $empty else { return Ok(()) };
                let mut starting = Vec::new();
                for _ in 0..6 {
                    let store = $reopen(&world).await?;
                    starting.push(tokio::spawn(async move {
                        store.migrate(&[Housekeeper, Booking]).await
                    }));
                }

                for started in starting {
                    started.await??;
                }

                world.store.check().await?;
                assert_eq!(world.count("housekeeper_migrations").await?, 5);
                Ok(())
            }

            #[tokio::test]
            async fn tables_of_the_host_are_named_and_never_dropped() -> TestResult {
                let Some(world) = $empty else { return Ok(()) };
                world.sql("create table bookings (mine integer)").await?;

                let refused = world.store.migrate(&[Booking]).await;
                world.store.migrate(&[Housekeeper]).await?;
                world.store.revert(Booking).await?;

                let text = refused.expect_err("bookings is the host's").to_string();
                assert!(text.contains("`bookings` already exists"), "{text}");
                assert!(text.contains("not made by this crate"), "{text}");
                assert_eq!(world.count("bookings").await?, 0);
                world.sql("create table sessions (mine integer)").await?;
                Ok(())
            }

            #[tokio::test]
            async fn missing_tables_are_reported() -> TestResult {
                let Some(world) = $empty else { return Ok(()) };
                let missing = world.store.check().await.expect_err("nothing is there").to_string();
                let rows = world.jobs.idle_sessions(crate::world::now(), None, &Page::default()).await;
                let runs = world.store.runs(&"any".into(), 1).await;
                world.store.migrate(&[Booking]).await?;
                world.sql("drop table video_sent").await?;
                let part = world.store.check().await.expect_err("one table is gone").to_string();

                assert_eq!(
                    missing,
                    "the booking schema is missing: call migrate(&[Schema::Booking]) or hand in a Job over your own tables"
                );
                let rows = rows.expect_err("nothing is there").to_string();
                assert!(rows.starts_with(&missing), "{rows}");
                assert!(matches!(runs, Err(StoreError::Schema(text)) if text.contains("Schema::Housekeeper")));
                assert!(part.contains("table `video_sent` is missing"), "{part}");
                Ok(())
            }

            #[tokio::test]
            async fn a_missing_column_or_trigger_is_reported() -> TestResult {
                let Some(world) = $empty else { return Ok(()) };
                world.store.migrate(&[Booking]).await?;
                world.sql("alter table bookings rename column shift_type to shift").await?;
                let column = world.store.check().await.expect_err("a column is gone").to_string();
                world.sql("alter table bookings rename column shift to shift_type").await?;
                world.store.check().await?;
                world.sql("alter table messages rename to chat; create table messages (id text, user_id text, sender text, content text, timestamp text)").await?;
                let trigger = world.store.check().await.expect_err("the trigger went with its table").to_string();

                assert!(column.contains("shift_type"), "{column}");
                assert!(trigger.contains("trigger `housekeeper_note_activity` on `messages` is missing"), "{trigger}");
                Ok(())
            }

            #[tokio::test]
            async fn the_throttle_is_an_hour_unless_it_is_set() -> TestResult {
                let Some(world) = $empty else { return Ok(()) };
                world.store.migrate(&[Booking]).await?;

                let before = world.store.activity_throttle().await?;
                let set = std::time::Duration::from_micros(1_500_001);
                world.store.set_activity_throttle(set).await?;

                assert_eq!(before, std::time::Duration::from_secs(3600));
                assert_eq!(world.store.activity_throttle().await?, set);
                Ok(())
            }
        }
    };
}

#[cfg(feature = "sqlite")]
tables!(
    sqlite_tables,
    Some(crate::sqlite::SqliteUnderTest::empty().await?),
    async |world: &crate::sqlite::SqliteUnderTest| {
        let path = world.folder.path().join("test.db");
        ractor_housekeeper::store::sqlite::SqliteStore::open(&path.display().to_string()).await
    }
);
#[cfg(feature = "postgres")]
tables!(
    postgres_tables,
    crate::postgres::PostgresUnderTest::empty()?,
    async |world: &crate::postgres::PostgresUnderTest| {
        ractor_housekeeper::store::postgres::PostgresStore::connect(&world.url)
    }
);
