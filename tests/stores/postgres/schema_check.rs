//! The check of the booking schema beyond missing names.

use ractor_housekeeper::store::Store;

use super::PostgresUnderTest;
use crate::TestResult;

/// Checks a database to which this was done.
async fn checked(change: &str) -> TestResult<Option<String>> {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(None);
    };
    world.sql(change).await?;
    let error = world.store.check().await.expect_err(change);
    Ok(Some(error.to_string()))
}

#[tokio::test]
async fn a_wrong_type_is_named_with_the_statement_that_mends_it() -> TestResult {
    let table = [
        (
            "alter table bookings alter created_at type timestamp",
            "`bookings.created_at` is `timestamp without time zone` and must be `timestamptz`: \
             alter table bookings alter \"created_at\" type timestamptz using \"created_at\" at time zone 'UTC'",
        ),
        (
            "alter table messages alter timestamp type timestamp",
            "`messages.timestamp` is `timestamp without time zone`",
        ),
        (
            "alter table bookings alter held_until type text",
            "`bookings.held_until` is `text` and must be `timestamptz`: \
             alter table bookings alter \"held_until\" type timestamptz using \"held_until\"::timestamptz",
        ),
        (
            "alter table sessions alter user_id type text",
            "`sessions.user_id` is `text` and must be `uuid`",
        ),
        (
            "create domain naive as timestamp; alter table sessions alter created_at type naive",
            "`sessions.created_at` is `timestamp without time zone`",
        ),
        (
            "alter table housekeeper_activity alter throttle_us type interval using interval '1 hour'",
            "`housekeeper_activity.throttle_us` is `interval` and must be `bigint`",
        ),
    ];
    for (change, expected) in table {
        // Postgres converts no index or check whose operators the new type lacks.
        let bare = "drop index sessions_activity, bookings_pending, bookings_held; \
                    alter table housekeeper_activity drop constraint housekeeper_activity_throttle_us_check";
        let Some(error) = checked(&format!("{bare}; {change}")).await? else {
            return Ok(());
        };

        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn everything_is_found_at_once() -> TestResult {
    let change = "alter table bookings alter updated_at type timestamp; \
                  alter table messages disable trigger housekeeper_note_activity; \
                  alter table bookings drop column shift_type";
    let Some(error) = checked(change).await? else {
        return Ok(());
    };

    for part in [
        "`bookings.updated_at`",
        "alter table messages enable trigger housekeeper_note_activity",
        "column bookings.shift_type is missing",
    ] {
        assert!(error.contains(part), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_relation_that_is_no_table_is_named_for_its_kind() -> TestResult {
    let away = "alter table bookings rename to bookings_stored";
    let table = [
        (
            "create view bookings as select * from bookings_stored",
            "`bookings` is a view",
        ),
        (
            "create materialized view bookings as select * from bookings_stored",
            "`bookings` is a materialized view",
        ),
    ];
    for (make, expected) in table {
        let Some(error) = checked(&format!("{away}; {make}")).await? else {
            return Ok(());
        };

        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_trigger_that_does_not_fire_is_named() -> TestResult {
    let database = "do $$ begin execute format('alter database %I set session_replication_role = replica', current_database()); end $$";
    let bound = "create role owner_of_function_that_is_bound; \
                 alter table sessions enable row level security; \
                 alter function housekeeper_note_activity() owner to owner_of_function_that_is_bound";
    let invoker = "alter table sessions enable row level security; \
                   alter function housekeeper_note_activity() security invoker";
    let table = [
        (
            "alter table messages disable trigger housekeeper_note_activity",
            "trigger `housekeeper_note_activity` on `messages` is off",
        ),
        (
            "alter table messages enable replica trigger housekeeper_note_activity",
            "trigger `housekeeper_note_activity` on `messages` is off",
        ),
        (
            "alter table messages disable trigger all",
            "trigger `housekeeper_note_activity` on `messages` is off",
        ),
        (
            database,
            "session_replication_role is `replica` for all roles",
        ),
        (bound, "row security of `sessions` is forced"),
        (
            invoker,
            "runs with the privileges of the role that inserts: call migrate",
        ),
    ];
    for (change, expected) in table {
        let Some(error) = checked(change).await? else {
            return Ok(());
        };

        assert!(error.contains(expected), "{change}: {error}");
    }
    Ok(())
}
