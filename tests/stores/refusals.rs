//! A row the database refuses is set rejected; an error that is not about one row fails the batch.

/// The cases over one database. `$open` makes a world, or `None`; `$raise` makes a trigger that
/// refuses the rows with id `b`.
macro_rules! refusals {
    ($store:ident, $open:expr, $raise:expr) => {
        mod $store {
            use ractor_housekeeper::testing::MemoryBooking;
            use ractor_housekeeper::job::BatchRequest;

            use crate::TestResult;
            use crate::rules::idle_request;
            use crate::world::{StoreUnderTest, micro, now, user};

            async fn fill(world: &impl StoreUnderTest) -> TestResult<BatchRequest> {
                for id in ["a", "b", "c"] {
                    world.session(id, user(1), now() - micro()).await?;
                    world.image(id).await?;
                    let booking = MemoryBooking::pending(id, user(1), now() - micro());
                    world.booking(&booking).await?;
                }
                Ok(idle_request(now(), 10))
            }

            #[tokio::test]
            async fn a_session_that_a_trigger_protects_is_rejected() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.sql(&($raise)("delete", "sessions", "id")).await?;

                let batch = world.jobs.delete_idle_sessions(&request).await?;

                assert_eq!(batch.ids, ["a", "c"]);
                assert_eq!(batch.counts.of("sessions"), 2);
                assert_eq!(batch.rejected.len(), 1);
                assert_eq!(batch.rejected[0].id, "b");
                assert_eq!(batch.rejected[0].error, "not this one");
                assert_eq!(world.sessions_left().await?, ["b"]);
                assert_eq!(world.records_left().await?, (1, 0));
                Ok(())
            }

            #[tokio::test]
            async fn a_booking_that_a_trigger_protects_is_rejected() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.sql(&($raise)("update", "bookings", "booking_id")).await?;

                let batch = world.jobs.expire_bookings(&request).await?;

                assert_eq!(batch.ids, ["a", "c"]);
                assert_eq!(batch.counts.of("bookings"), 2);
                assert_eq!(batch.rejected.len(), 1);
                assert_eq!(batch.rejected[0].id, "b");
                assert_eq!(batch.rejected[0].error, "not this one");
                let bookings = world.bookings_now().await?;
                assert_eq!(bookings["a"], ("Expired".to_owned(), request.now));
                assert_eq!(bookings["b"].0, "Pending");
                assert_eq!(bookings["c"].0, "Expired");
                Ok(())
            }

            #[tokio::test]
            async fn rows_that_a_trigger_suppresses_silently_are_rejected() -> TestResult {
                for (event, table, id) in [("delete", "sessions", "id"), ("update", "bookings", "booking_id")] {
                    let Some(world) = $open.await? else {
                        return Ok(());
                    };
                    let request = fill(&world).await?;
                    let trigger = ($raise)(event, table, id)
                        .replace("select raise(abort, 'not this one')", "select raise(ignore)")
                        .replace("raise exception 'not this one'", "return null");
                    world.sql(&trigger).await?;

                    let batch = if table == "sessions" {
                        world.jobs.delete_idle_sessions(&request).await?
                    } else {
                        world.jobs.expire_bookings(&request).await?
                    };

                    assert_eq!(batch.ids, ["a", "c"], "{table}");
                    assert_eq!(batch.counts.of(table), 2, "{table}");
                    let rejected: Vec<_> = batch.rejected.iter().map(|row| (row.id.as_str(), row.error.as_str())).collect();
                    assert_eq!(rejected, [("b", "a trigger of the database withholds it")], "{table}");
                }
                Ok(())
            }

            /// Postgres undoes the write before it, SQLite after it.
            #[tokio::test]
            async fn a_booking_that_a_trigger_sets_back_expires_not_even_once() -> TestResult {
                for status in ["old.status", "'Pending'"] {
                    let Some(world) = $open.await? else {
                        return Ok(());
                    };
                    let request = fill(&world).await?;
                    let trigger = ($raise)("update", "bookings", "booking_id")
                        .replace("before", if stringify!($store) == "sqlite_refusals" { "after" } else { "before" })
                        .replace("select raise(abort, 'not this one')", &format!("update bookings set status = {status} where booking_id = old.booking_id"))
                        .replace("raise exception 'not this one'", &format!("new.status := {status}"));
                    world.sql(&trigger).await?;

                    let first = world.jobs.expire_bookings(&request).await?;
                    let second = world.jobs.expire_bookings(&request).await?;
                    let rejected = ["b".to_owned()];
                    let forecast = world.jobs.booking_forecast(std::time::Duration::from_millis(1), &rejected).await?;

                    assert_eq!((first.ids, second.ids), (vec!["a".to_owned(), "c".to_owned()], Vec::new()));
                    for rejected in [first.rejected, second.rejected] {
                        let rejected: Vec<_> = rejected.iter().map(|row| (row.id.as_str(), row.error.as_str())).collect();
                        assert_eq!(rejected, [("b", "a trigger of the database withholds it")]);
                    }
                    assert_eq!(forecast.due.count, 0);
                    assert_eq!(world.bookings_now().await?["b"].0, "Pending");
                }
                Ok(())
            }

            #[tokio::test]
            async fn a_batch_with_a_rejected_row_returns_its_cursor() -> TestResult {
                for (event, table, id) in [("delete", "sessions", "id"), ("update", "bookings", "booking_id")] {
                    let Some(world) = $open.await? else {
                        return Ok(());
                    };
                    let mut request = fill(&world).await?;
                    request.limit = 2.try_into()?;
                    world.sql(&($raise)(event, table, id)).await?;

                    let (mut handled, mut rejected) = (Vec::new(), Vec::new());
                    for _ in 0..4 {
                        let batch = if table == "sessions" {
                            world.jobs.delete_idle_sessions(&request).await?
                        } else {
                            world.jobs.expire_bookings(&request).await?
                        };
                        handled.extend(batch.ids);
                        rejected.extend(batch.rejected.into_iter().map(|row| row.id));
                        request.after = batch.next_cursor;
                        if request.after.is_none() {
                            break;
                        }
                    }

                    assert_eq!(handled, ["a", "c"], "{table}");
                    assert_eq!(rejected, ["b"], "{table}");
                }
                Ok(())
            }

            /// Its stored instant is behind, so it is picked with the others and found alive when
            /// it is looked at.
            #[tokio::test]
            async fn a_live_session_beside_a_rejected_one_stays() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.session("live", user(2), now() - micro()).await?;
                world.message(user(2), "user", now()).await?;
                world.sql("update sessions set last_activity_at = null where id = 'live'").await?;
                world.sql(&($raise)("delete", "sessions", "id")).await?;

                let batch = world.jobs.delete_idle_sessions(&request).await?;

                assert_eq!(batch.ids, ["a", "c"]);
                assert_eq!(batch.rejected.len(), 1, "{:?}", batch.rejected);
                assert_eq!(world.sessions_left().await?, ["b", "live"]);
                Ok(())
            }

            #[tokio::test]
            async fn a_booking_that_a_constraint_protects_is_rejected() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world
                    .sql("create unique index one_expired_a_cost on bookings (total_cost) where status = 'Expired'")
                    .await?;

                let batch = world.jobs.expire_bookings(&request).await?;

                assert_eq!(batch.ids, ["a"]);
                assert_eq!(batch.counts.of("bookings"), 1);
                let rejected: Vec<&str> = batch.rejected.iter().map(|row| row.id.as_str()).collect();
                assert_eq!(rejected, ["b", "c"]);
                Ok(())
            }

            #[tokio::test]
            async fn a_missing_table_or_column_fails_the_batch() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let request = fill(&world).await?;
                world.sql("drop table video_sent").await?;
                world
                    .sql("alter table bookings rename column updated_at to changed_at")
                    .await?;

                let deleted = world.jobs.delete_idle_sessions(&request).await;
                let expired = world.jobs.expire_bookings(&request).await;

                let deleted = deleted.expect_err("a table is gone").to_string();
                assert!(deleted.contains("booking schema"), "{deleted}");
                let expired = expired.expect_err("a column is gone").to_string();
                assert!(expired.contains("updated_at"), "{expired}");
                assert_eq!(world.sessions_left().await?, ["a", "b", "c"]);
                assert_eq!(world.count("image_sent").await?, 3);
                assert_eq!(world.count("bookings where status = 'Expired'").await?, 0);
                Ok(())
            }
        }
    };
}

#[cfg(feature = "sqlite")]
refusals!(
    sqlite_refusals,
    crate::sqlite::SqliteUnderTest::open(),
    |event: &str, table: &str, id: &str| format!(
        "create trigger refuse before {event} on {table} when old.{id} = 'b' \
         begin select raise(abort, 'not this one'); end"
    )
);
#[cfg(feature = "postgres")]
refusals!(
    postgres_refusals,
    crate::postgres::PostgresUnderTest::open(),
    |event: &str, table: &str, id: &str| format!(
        "create function refuse() returns trigger language plpgsql as \
         $$ begin if old.{id} = 'b' then raise exception 'not this one'; end if; return coalesce(new, old); end $$; \
         create trigger refuse before {event} on {table} for each row execute function refuse()"
    )
);
