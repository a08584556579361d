//! Instants that chrono does not have, and values that are none.

use chrono::TimeDelta;
use ractor_housekeeper::rule::{Rule, Unit, at};
use ractor_housekeeper::testing::MemoryBooking;

use super::PostgresUnderTest;
use crate::TestResult;
use crate::runs::{built_in_job, run};
use crate::world::{StoreUnderTest, now, user};

#[tokio::test]
async fn an_infinite_hold_is_never_due_and_stops_no_other() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    let old = now() - TimeDelta::hours(1);
    for id in ["held", "far", "ended", "long ago", "free"] {
        let booking = MemoryBooking::pending(id, user(1), old);
        world.booking(&booking).await?;
    }
    for (id, held) in [
        ("held", "infinity"),
        ("far", "294276-12-31 23:59:59Z"),
        ("ended", "-infinity"),
        ("long ago", "4713-01-01 00:00:00Z BC"),
    ] {
        let hold = format!("update bookings set held_until = '{held}' where booking_id = '{id}'");
        world.sql(&hold).await?;
    }

    let done = run(&*built_in_job(world.store.clone(), "booking-expirer")?, 2).await?;

    assert_eq!(done.ids, ["ended", "free", "long ago"]);
    assert_eq!(done.preview.len(), 3, "{done:?}");
    assert_eq!(done.forecast.due.count, 0);
    assert_eq!(done.forecast.next_due, None);
    Ok(())
}

#[tokio::test]
async fn a_booking_of_the_infinite_past_is_due_and_blocks_none() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    for number in 0..60 {
        let old = now() - TimeDelta::hours(1);
        let booking = MemoryBooking::pending(format!("b{number:02}"), user(1), old);
        world.booking(&booking).await?;
    }
    for (id, created) in [
        ("first", "-infinity"),
        ("second", "4713-01-01 00:00:00Z BC"),
        ("last", "infinity"),
    ] {
        let insert = format!(
            "insert into bookings (booking_id, user_id, created_at) values ('{id}', '{}', '{created}')",
            user(1)
        );
        world.sql(&insert).await?;
    }

    let done = run(&*built_in_job(world.store.clone(), "booking-expirer")?, 10).await?;

    assert_eq!(done.ids.len(), 62, "{done:?}");
    assert_eq!(done.preview[..2], ["first", "second"]);
    assert_eq!(done.rejected, []);
    assert_eq!(done.forecast.next_due, None);
    Ok(())
}

#[tokio::test]
async fn infinite_activity_keeps_a_session_an_infinite_past_not() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    let old = now() - TimeDelta::days(3);
    for number in 1..=3 {
        world
            .session(&format!("s{number}"), user(number), old)
            .await?;
    }
    world
        .sql(&format!(
            "insert into messages (id, user_id, sender, timestamp) values \
             ('m1', '{}', 'user', 'infinity'), ('m2', '{}', 'user', '-infinity'); \
             insert into sessions (id, user_id, created_at) values ('s4', '{}', '-infinity')",
            user(1),
            user(2),
            user(4)
        ))
        .await?;

    let done = run(&*built_in_job(world.store.clone(), "session-cleaner")?, 2).await?;

    assert_eq!(done.ids, ["s2", "s3", "s4"]);
    assert_eq!(done.forecast.due.count, 0);
    Ok(())
}

/// A rule over a table whose instants are texts.
const TEXTS: &str = "create table notes (id text primary key, at text); \
    create index on notes (at collate \"C\", id)";

#[tokio::test]
async fn a_text_that_is_no_instant_is_rejected_by_itself() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    world.sql(TEXTS).await?;
    // The check refuses a format that more than one in twenty texts contradict.
    let later =
        "insert into notes select 'z' || n, '2026-06-01 00:00:00' from generate_series(1, 200) n";
    world.sql(later).await?;
    for (id, at) in [
        ("empty", ""),
        ("word", "-"),
        ("month", "2025-13-01 00:00:00"),
        ("year", "0000-01-01 00:00:00"),
        ("minute", "2025-01-01 00:61:00"),
        ("february", "2025-02-30 00:00:00"),
        ("fine", "2025-03-01 00:00:00"),
        ("later", "soon"),
        ("next", "2026-06-01 00:00:00"),
    ] {
        let insert = format!("insert into notes values ('{id}', '{at}')");
        world.sql(&insert).await?;
    }
    let rule = Rule::new("notes", "notes").due(at("at").text("%Y-%m-%d %H:%M:%S"));

    let job = world.store.rule(rule.delete())?;
    let done = run(&job, 2).await?;

    assert_eq!(done.ids, ["february", "fine"]);
    let rejected: Vec<&str> = done.rejected.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(rejected, ["empty", "minute", "month", "word", "year"]);
    assert_eq!(done.rejected[0].1, "its instant cannot be read");
    assert_eq!(done.forecast.due.count, 0);
    assert!(done.forecast.next_due.is_some());
    Ok(())
}

#[tokio::test]
async fn a_lifetime_too_large_for_its_type_is_never_over() -> TestResult {
    let old = now() - TimeDelta::days(3);
    let old = format!("'{}'", old.to_rfc3339());
    let table = [
        (
            format!(
                "create table tokens (id text primary key, at timestamptz not null, lifetime bigint); \
                 insert into tokens values ('huge', {old}, 9223372036854775807), ('never', 'infinity', 1), \
                 ('always', '-infinity', 1), ('minus', {old}, -9223372036854775808), ('gone', {old}, 60), ('null', {old}, null)"
            ),
            Rule::new("tokens", "tokens").due(at("at").plus("lifetime", Unit::Seconds)),
        ),
        (
            format!(
                "create table tokens (id text primary key, at timestamptz not null, lifetime interval); \
                 insert into tokens values ('huge', {old}, '290000 years'), ('never', 'infinity', '1 s'), \
                 ('always', '-infinity', '1 s'), ('minus', {old}, '-170000 years'), ('gone', {old}, '1 minute'), ('null', {old}, null)"
            ),
            Rule::new("tokens", "tokens").due(at("at").plus("lifetime", Unit::Seconds)),
        ),
        (
            "create table tokens (id text primary key, at bigint not null, lifetime bigint); \
             insert into tokens values ('huge', 1, 9223372036854775807), ('never', 9223372036854775807, 1), \
             ('always', -9223372036854775808, 1), ('minus', -9223372036854775808, -9223372036854775808), ('gone', 1, 60), ('null', 1, null)"
                .to_owned(),
            Rule::new("tokens", "tokens")
                .due(at("at").plus("lifetime", Unit::Seconds).seconds()),
        ),
    ];
    for (make, rule) in table {
        let Some(world) = PostgresUnderTest::empty()? else {
            return Ok(());
        };
        world.sql(&make).await?;

        let job = world.store.rule(rule.delete())?;
        let done = run(&job, 2).await?;

        assert_eq!(done.ids, ["always", "gone", "minus"], "{make}");
        assert_eq!(done.rejected, []);
        assert_eq!(done.forecast.due.count, 0);
    }
    Ok(())
}

#[tokio::test]
async fn numbers_that_are_none_are_never_due() -> TestResult {
    let Some(world) = PostgresUnderTest::empty()? else {
        return Ok(());
    };
    world
        .sql(
            "create table jobs (id text primary key, at double precision); \
             insert into jobs values ('nan', 'NaN'), ('never', 'infinity'), ('always', '-infinity'), ('huge', 1e300), ('gone', 1.5)",
        )
        .await?;
    let rule = Rule::new("jobs", "jobs").due(at("at").seconds());

    let job = world.store.rule(rule.delete())?;
    let done = run(&job, 10).await?;

    assert_eq!(done.ids, ["always", "gone"]);
    assert_eq!(done.forecast.next_due, None);
    Ok(())
}

/// Timestamps without a zone, and numbers of any size.
#[tokio::test]
async fn ends_of_every_type_have_a_meaning() -> TestResult {
    let table = [
        (
            "timestamp",
            at("at").naive_utc(),
            [
                "2020-01-01",
                "-infinity",
                "4713-01-01 BC",
                "infinity",
                "294276-12-31",
            ],
        ),
        (
            "numeric",
            at("at").seconds(),
            [
                "1577836800.123456789",
                "-infinity",
                "-1e100",
                "NaN",
                "1e100",
            ],
        ),
        (
            "text",
            at("at").text("%Y-%m-%dT%H:%M:%S"),
            [
                "2020-01-01T00:00:00",
                "0001-01-01T00:00:00",
                "1969-12-31T23:59:59",
                "9999-12-31T23:59:59",
                "9999-12-31T23:59:60",
            ],
        ),
    ];
    for (kind, due, [old, always, past, never, far]) in table {
        let Some(world) = PostgresUnderTest::empty()? else {
            return Ok(());
        };
        world
            .sql(&format!(
                "create table notes (id text primary key, at {kind}); insert into notes values \
                 ('old', '{old}'), ('always', '{always}'), ('past', '{past}'), ('never', '{never}'), ('far', '{far}'), ('null', null)"
            ))
            .await?;

        let rule = Rule::new("notes", "notes").due(due).delete();
        let done = run(&world.store.rule(rule)?, 2).await?;

        assert_eq!(done.ids, ["always", "old", "past"], "{kind}");
        assert_eq!(done.rejected, [], "{kind}");
        assert_eq!(done.forecast.due.count, 0, "{kind}");
    }
    Ok(())
}
