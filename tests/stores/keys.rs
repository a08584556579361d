//! Rows that the host's foreign key keeps are rejected, each with what keeps it.

/// The cases over one database. `$open` makes a world, or `None`; `$uuid` is the type of a user.
macro_rules! keys {
    ($store:ident, $open:expr, $uuid:expr) => {
        mod $store {
            use ractor_housekeeper::job::{Batch, BatchRequest};

            use crate::TestResult;
            use crate::rules::idle_request;
            use crate::world::{StoreUnderTest, micro, now, user};

            /// Sessions a to d, each with an image record `i` and its name.
            async fn fill(world: &impl StoreUnderTest) -> TestResult<BatchRequest> {
                for id in ["a", "b", "c", "d"] {
                    world.session(id, user(1), now() - micro()).await?;
                    let record = format!("insert into image_sent (id, session_id) values ('i{id}', '{id}')");
                    world.execute(&record).await?;
                }
                Ok(idle_request(now(), 10))
            }

            fn rejected(batch: &Batch) -> Vec<(&str, &str)> {
                let rows = batch.rejected.iter();
                rows.map(|row| (row.id.as_str(), row.error.as_str())).collect()
            }

            #[tokio::test]
            async fn a_session_is_kept_by_the_table_that_points_at_it() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.execute("create table invoices (session_id text references sessions (id))").await?;
                world.execute("create table \"Odd \"\"names\" (\"my Session\" text references sessions (id))").await?;
                world.execute("insert into invoices values ('b'), ('b'), (null)").await?;
                world.execute("insert into \"Odd \"\"names\" values ('c')").await?;
                world.jobs().check().await?;

                let batch = world.jobs().delete_idle_sessions(&request).await?;

                let expected = [("b", "kept by invoices.session_id"), ("c", "kept by Odd \"names.my Session")];
                assert_eq!(rejected(&batch), expected);
                assert_eq!(batch.ids, ["a", "d"]);
                assert_eq!((batch.counts.of("sessions"), batch.counts.of("image_records")), (2, 2));
                Ok(())
            }

            #[tokio::test]
            async fn a_key_made_after_the_check_is_found_when_it_refuses() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.jobs().check().await?;
                world.execute("create table invoices (session_id text references sessions (id))").await?;
                world.execute("insert into invoices values ('b')").await?;

                let batch = world.jobs().delete_idle_sessions(&request).await?;

                assert_eq!(rejected(&batch), [("b", "kept by invoices.session_id")]);
                assert_eq!(batch.ids, ["a", "c", "d"]);
                Ok(())
            }

            #[tokio::test]
            async fn a_key_dropped_after_the_check_keeps_nothing() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.execute("create table invoices (session_id text references sessions (id))").await?;
                world.execute("insert into invoices values ('b')").await?;
                world.jobs().check().await?;
                world.execute("drop table invoices").await?;

                let batch = world.jobs().delete_idle_sessions(&request).await?;

                assert_eq!(rejected(&batch), []);
                assert_eq!(batch.ids, ["a", "b", "c", "d"]);
                Ok(())
            }

            /// They are deleted before the session.
            #[tokio::test]
            async fn records_whose_key_does_not_cascade_keep_no_session() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                world.execute("drop table image_sent").await?;
                world
                    .execute(&format!(
                        "create table image_sent (id text not null primary key, session_id text not null references sessions (id), property_id {kind})",
                        kind = $uuid
                    ))
                    .await?;
                world.execute("create index image_sent_of_session on image_sent (session_id)").await?;
                let request = fill(&world).await?;
                world.execute("create table invoices (session_id text references sessions (id))").await?;
                world.execute("insert into invoices values ('b')").await?;
                world.jobs().check().await?;

                let batch = world.jobs().delete_idle_sessions(&request).await?;

                assert_eq!(rejected(&batch), [("b", "kept by invoices.session_id")]);
                assert_eq!(batch.ids, ["a", "c", "d"]);
                assert_eq!(batch.counts.of("image_records"), 3);
                Ok(())
            }

            #[tokio::test]
            async fn keys_of_several_columns_and_keys_on_records_keep_too() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.execute("create unique index sessions_pair on sessions (user_id, id)").await?;
                world
                    .execute(&format!(
                        "create table pairs (owner {kind}, session_id text, foreign key (owner, session_id) references sessions (user_id, id))",
                        kind = $uuid
                    ))
                    .await?;
                world.execute("create table likes (image_id text references image_sent (id))").await?;
                world.execute(&format!("insert into pairs values ('{}', 'b'), ('{}', null)", user(1), user(1))).await?;
                world.execute("insert into likes values ('ic')").await?;
                world.jobs().check().await?;

                let batch = world.jobs().delete_idle_sessions(&request).await?;

                let expected = [("b", "kept by pairs (owner, session_id)"), ("c", "kept by likes.image_id")];
                assert_eq!(rejected(&batch), expected);
                assert_eq!(batch.ids, ["a", "d"]);
                Ok(())
            }

            #[tokio::test]
            async fn keys_that_cascade_or_set_null_keep_nothing() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.execute("create table follows (session_id text references sessions (id) on delete cascade)").await?;
                world.execute("create table forgets (session_id text references sessions (id) on delete set null)").await?;
                world.execute("insert into follows values ('b')").await?;
                world.execute("insert into forgets values ('c')").await?;
                world.jobs().check().await?;

                let batch = world.jobs().delete_idle_sessions(&request).await?;

                assert_eq!(rejected(&batch), []);
                assert_eq!(batch.ids, ["a", "b", "c", "d"]);
                Ok(())
            }
        }
    };
}

#[cfg(feature = "sqlite")]
keys!(sqlite_keys, crate::sqlite::SqliteUnderTest::open(), "text");
#[cfg(feature = "postgres")]
keys!(
    postgres_keys,
    crate::postgres::PostgresUnderTest::open(),
    "uuid"
);
