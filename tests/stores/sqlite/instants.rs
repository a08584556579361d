//! Instants of older files that no calendar has, and values that are none.

use chrono::TimeDelta;
use ractor_housekeeper::rule::{Rule, at};
use ractor_housekeeper::testing::MemoryBooking;

use super::SqliteUnderTest;
use crate::TestResult;
use crate::runs::{built_in_job, run};
use crate::world::{StoreUnderTest, now, user};

#[tokio::test]
async fn a_booking_whose_instant_does_not_read_is_rejected_by_itself() -> TestResult {
    let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
    for number in 0..20 {
        let old = now() - TimeDelta::hours(1);
        let booking = MemoryBooking::pending(format!("b{number:02}"), user(1), old);
        world.booking(&booking).await?;
    }
    // As they could be written before the check looked at more than the shape.
    for (id, at) in [
        ("february", "2025-02-30T12:00:00.000000Z"),
        ("hour", "2025-03-01T24:00:00.000000Z"),
        ("minute", "2025-03-01T12:61:00.000000Z"),
        ("month", "2025-13-01T12:00:00.000000Z"),
        ("later", "2026-13-01T12:00:00.000000Z"),
    ] {
        let insert = format!(
            "pragma ignore_check_constraints = on; \
             insert into bookings (booking_id, user_id, created_at) values ('{id}', '{}', '{at}'); \
             pragma ignore_check_constraints = off",
            user(1)
        );
        world.sql(&insert).await?;
    }
    let next = MemoryBooking::pending("next", user(1), now() - TimeDelta::minutes(10));
    world.booking(&next).await?;

    let done = run(&*built_in_job(world.store.clone(), "booking-expirer")?, 4).await?;

    assert_eq!(done.ids.len(), 22, "{done:?}");
    assert!(done.ids.contains(&"february".to_owned()) && done.ids.contains(&"hour".to_owned()));
    let rejected =
        ["minute", "month"].map(|id| (id.to_owned(), "its instant cannot be read".to_owned()));
    assert_eq!(done.rejected, rejected);
    assert_eq!(done.forecast.due.count, 0);
    let next_due = done.forecast.next_due.ok_or("one falls due")?;
    assert!(next_due.as_secs() < 301, "{next_due:?}");
    Ok(())
}

#[tokio::test]
async fn a_session_whose_instant_does_not_read_is_rejected_by_itself() -> TestResult {
    let world = SqliteUnderTest::open().await?.expect("SQLite is built in");
    for id in ["idle", "odd"] {
        world
            .session(id, user(1), now() - TimeDelta::days(3))
            .await?;
        world.image(id).await?;
    }
    world
        .sql(
            "pragma ignore_check_constraints = on; \
             update sessions set created_at = '2025-00-00T00:00:00.000000Z' where id = 'odd'; \
             pragma ignore_check_constraints = off",
        )
        .await?;

    let done = run(&*built_in_job(world.store.clone(), "session-cleaner")?, 10).await?;

    assert_eq!(done.ids, ["idle"]);
    assert_eq!(done.rejected.len(), 1, "{done:?}");
    assert_eq!(world.sessions_left().await?, ["odd"]);
    Ok(())
}

#[tokio::test]
async fn a_value_that_is_no_text_is_rejected_by_itself() -> TestResult {
    let world = SqliteUnderTest::empty().await?;
    let fine: Vec<String> = (0..100)
        .map(|number| format!("('n{number:02}', '2025-03-01 00:00:00')"))
        .collect();
    world
        .sql(&format!(
            "create table notes (id text primary key, at); \
             insert into notes values {}, ('number', 5), ('empty', ''), ('word', 'now'), ('bytes', x'00')",
            fine.join(", ")
        ))
        .await?;
    let rule = Rule::new("notes", "notes").due(at("at").text("%Y-%m-%d %H:%M:%S"));

    let job = world.store.rule(rule.delete())?;
    let done = run(&job, 30).await?;

    assert_eq!(done.ids.len(), 100);
    let rejected: Vec<&str> = done.rejected.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(rejected, ["empty", "number"]);
    assert_eq!(done.forecast.due.count, 0);
    assert_eq!(done.forecast.next_due, None);
    Ok(())
}

#[tokio::test]
async fn numbers_beyond_the_calendar_are_its_ends() -> TestResult {
    let world = SqliteUnderTest::empty().await?;
    let fine: Vec<String> = (0..100)
        .map(|number| format!("('n{number:02}', 1.5)"))
        .collect();
    world
        .sql(&format!(
            "create table jobs (id text primary key, at); \
             insert into jobs values {}, ('always', -9223372036854775808), ('past', -9e999), \
             ('future', 9e999), ('never', 9223372036854775807)",
            fine.join(", ")
        ))
        .await?;
    let rule = Rule::new("jobs", "jobs").due(at("at").seconds());

    let job = world.store.rule(rule.delete())?;
    let done = run(&job, 30).await?;

    assert_eq!(done.ids.len(), 102, "{done:?}");
    assert_eq!(done.forecast.next_due, None);
    Ok(())
}
