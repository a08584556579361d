//! The trigger that notes activity, and its throttle. It reads the database's clock, so these cases
//! take place now.

use std::time::Duration;

/// The cases over one database. `$open` makes a world, or `None`; `$off` turn off the trigger.
macro_rules! activity {
    ($store:ident, $open:expr, $off:expr) => {
        mod $store {
            use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
            use ractor_housekeeper::Scope;

            use crate::TestResult;
            use crate::activity::HOUR;
            use crate::world::{StoreUnderTest, micro, user};

            #[tokio::test]
            async fn a_message_within_the_throttle_does_not_write_the_session() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let now = Utc::now().trunc_subsecs(6);
                world.store.set_activity_throttle(HOUR).await?;
                world
                    .session("fresh", user(1), now - TimeDelta::minutes(30))
                    .await?;
                world
                    .session("noted", user(2), now - TimeDelta::days(1))
                    .await?;
                world
                    .message(user(2), "user", now - TimeDelta::minutes(40))
                    .await?;
                let noted = world.last_activity_at("noted").await?;

                world.message(user(1), "user", now).await?;
                world.message(user(2), "user", now).await?;

                assert_eq!(noted, Some(now - TimeDelta::minutes(40)));
                assert_eq!(world.last_activity_at("fresh").await?, None);
                assert_eq!(world.last_activity_at("noted").await?, noted);
                Ok(())
            }

            #[tokio::test]
            async fn a_message_beyond_the_throttle_writes_the_session() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let now = Utc::now().trunc_subsecs(6);
                world.store.set_activity_throttle(HOUR).await?;
                world
                    .session("new", user(1), now - TimeDelta::minutes(61))
                    .await?;
                world
                    .session("noted", user(2), now - TimeDelta::days(1))
                    .await?;
                world
                    .message(user(2), "user", now - TimeDelta::minutes(61))
                    .await?;
                world.session("ahead", user(3), now).await?;

                for guest in [1, 2] {
                    world.message(user(guest), "user", now).await?;
                }
                // A host whose clock runs ahead: what counts is by how much the stored instant
                // lags.
                world
                    .message(user(3), "user", now + TimeDelta::minutes(61))
                    .await?;

                assert_eq!(world.last_activity_at("new").await?, Some(now));
                assert_eq!(world.last_activity_at("noted").await?, Some(now));
                assert_eq!(
                    world.last_activity_at("ahead").await?,
                    Some(now + TimeDelta::minutes(61))
                );
                Ok(())
            }

            #[tokio::test]
            async fn without_a_throttle_every_newer_message_writes_the_session() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let now = Utc::now().trunc_subsecs(6);
                world
                    .store
                    .set_activity_throttle(std::time::Duration::ZERO)
                    .await?;
                world.session("a", user(1), now).await?;

                let mut newest = now;
                for step in [
                    micro(),
                    micro() * 2,
                    TimeDelta::minutes(5),
                    TimeDelta::minutes(4),
                ] {
                    world.message(user(1), "user", now + step).await?;

                    newest = newest.max(now + step);
                    assert_eq!(world.last_activity_at("a").await?, Some(newest));
                }
                assert_eq!(
                    world.store.activity_throttle().await?,
                    std::time::Duration::ZERO
                );
                Ok(())
            }

            /// Premise of a deletion: a session that has been quiet for long is written, and so
            /// locked, by any newer message.
            #[tokio::test]
            async fn a_backdated_message_writes_a_session_that_lags() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let now = Utc::now().trunc_subsecs(6);
                let stored = now - TimeDelta::days(2);
                world.store.set_activity_throttle(HOUR).await?;
                let ages: [(u128, DateTime<Utc>, DateTime<Utc>); 4] = [
                    (1, stored + micro(), stored + micro()),
                    (
                        2,
                        stored + TimeDelta::minutes(1),
                        stored + TimeDelta::minutes(1),
                    ),
                    (3, stored, stored),
                    (4, stored - micro(), stored),
                ];
                for (guest, _, _) in ages {
                    world
                        .session(&guest.to_string(), user(guest), stored - TimeDelta::days(1))
                        .await?;
                    world.message(user(guest), "user", stored).await?;
                }

                for (guest, at, expected) in ages {
                    world.message(user(guest), "user", at).await?;

                    let noted = world.last_activity_at(&guest.to_string()).await?;
                    assert_eq!(noted, Some(expected), "guest {guest}");
                }
                Ok(())
            }

            #[tokio::test]
            async fn a_throttle_raised_between_two_batches_stops_deletions() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                for id in ["a", "b", "c"] {
                    let created = crate::world::now() - micro();
                    world.session(id, user(1), created).await?;
                }
                let mut request = crate::rules::idle_request(crate::world::now(), 1);
                let first = world.jobs.delete_idle_sessions(&request).await?;
                request.after = first.next_cursor;

                world.store.set_activity_throttle(12 * HOUR).await?;
                let refused = world.jobs.delete_idle_sessions(&request).await;
                let left = world.sessions_left().await?;
                world
                    .store
                    .set_activity_throttle(12 * HOUR - std::time::Duration::from_micros(1))
                    .await?;
                let second = world.jobs.delete_idle_sessions(&request).await?;

                assert_eq!(first.ids, ["a"]);
                assert_eq!(left, ["b", "c"]);
                let text = refused.expect_err("the throttle is too long").to_string();
                assert!(
                    text.starts_with(
                        "an age of 1day must be more than twice the activity throttle of 12h "
                    ),
                    "{text}"
                );
                assert_eq!(second.ids, ["b"]);
                Ok(())
            }

            #[tokio::test]
            async fn activity_that_is_not_noted_any_more_stops_deletions() -> TestResult {
                let no_row = (
                    "delete from housekeeper_activity",
                    "the table that says so has no row",
                );
                let changes = $off.into_iter().map(|off| (off, "or altered"));
                for (change, expected) in changes.chain([no_row]) {
                    let Some(world) = $open.await? else {
                        return Ok(());
                    };
                    for id in ["a", "b", "c"] {
                        let created = crate::world::now() - micro();
                        world.session(id, user(1), created).await?;
                    }
                    let mut request = crate::rules::idle_request(crate::world::now(), 1);
                    let first = world.jobs.delete_idle_sessions(&request).await?;
                    request.after = first.next_cursor;

                    world.sql(change).await?;
                    let refused = world.jobs.delete_idle_sessions(&request).await;

                    assert_eq!(first.ids, ["a"]);
                    let text = refused.expect_err(change).to_string();
                    assert!(text.contains(expected), "{text}");
                    assert_eq!(world.sessions_left().await?, ["b", "c"]);
                }
                Ok(())
            }

            /// So that the next run does not look at it again.
            #[tokio::test]
            async fn an_active_candidate_is_updated_if_it_is_in_the_scope() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let now = crate::world::now();
                let (created, wrote) = (now - TimeDelta::days(3), now + micro());
                for guest in [1, 2] {
                    let session = guest.to_string();
                    world.session(&session, user(guest), created).await?;
                    world.message(user(guest), "user", wrote).await?;
                }
                // As before there was a trigger.
                let unnoted = "update sessions set last_activity_at = null";
                world.sql(unnoted).await?;
                let mut request = crate::rules::idle_request(now, 10);
                request.scope = Scope::user(user(1));

                let batch = world.jobs.delete_idle_sessions(&request).await?;

                assert!(batch.ids.is_empty(), "{batch:?}");
                assert_eq!(world.last_activity_at("1").await?, Some(wrote));
                assert_eq!(world.last_activity_at("2").await?, None);
                Ok(())
            }

            #[tokio::test]
            async fn only_messages_of_the_guest_are_activity() -> TestResult {
                let Some(world) = $open.await? else {
                    return Ok(());
                };
                let now = Utc::now().trunc_subsecs(6);
                world
                    .session("a", user(1), now - TimeDelta::days(1))
                    .await?;

                world.message(user(1), "bot", now).await?;
                world.message(user(2), "user", now).await?;

                assert_eq!(world.last_activity_at("a").await?, None);
                Ok(())
            }
        }
    };
}

const HOUR: Duration = Duration::from_secs(60 * 60);

// Not on an insert, under no condition, with a body that notes nothing.
#[cfg(feature = "sqlite")]
activity!(
    sqlite_activity,
    crate::sqlite::SqliteUnderTest::open(),
    [
        "drop trigger housekeeper_note_activity",
        "drop trigger housekeeper_note_activity; create trigger housekeeper_note_activity after update on messages \
         begin update sessions set last_activity_at = new.timestamp where user_id = new.user_id; end",
        "drop trigger housekeeper_note_activity; create trigger housekeeper_note_activity after insert on messages when 0 \
         begin update sessions set last_activity_at = new.timestamp where user_id = new.user_id; end",
        "drop trigger housekeeper_note_activity; create trigger housekeeper_note_activity after insert on messages begin select 1; end",
    ]
);
#[cfg(feature = "postgres")]
activity!(
    postgres_activity,
    crate::postgres::PostgresUnderTest::open(),
    [
        "alter table messages disable trigger housekeeper_note_activity",
        "drop trigger housekeeper_note_activity on messages; create trigger housekeeper_note_activity after update on messages \
         for each row when (new.sender = 'user') execute function housekeeper_note_activity()",
        "drop trigger housekeeper_note_activity on messages; create trigger housekeeper_note_activity after insert on messages \
         for each row when (false) execute function housekeeper_note_activity()",
        "drop trigger housekeeper_note_activity on messages; create trigger housekeeper_note_activity after insert on messages \
         for each row when (new.sender = 'user' and new.id > 'm') execute function housekeeper_note_activity()",
        "drop trigger housekeeper_note_activity on messages; create trigger housekeeper_note_activity after insert on messages \
         execute function housekeeper_note_activity()",
        "create or replace function housekeeper_note_activity() returns trigger language plpgsql as 'begin return null; end'",
    ]
);
