//! Which SQLSTATE rejects a row, and which ends the run.

use chrono::TimeDelta;
use ractor_housekeeper::testing::MemoryBooking;

use super::PostgresUnderTest;
use crate::TestResult;
use crate::runs::{built_in_job, run};
use crate::world::{StoreUnderTest, now, user};

/// Of a row: its values, a constraint, an error that the host raises.
const ROW: &[&str] = &[
    "22003", "22P02", "22012", "23502", "23503", "23505", "23514", "23P01", "23001", "44000",
    "P0001", "P0004", "HK001", "BK042", "ZZ999",
];

/// Of the row, if code of the host raises them while others are written.
const MISTAKE: &[&str] = &[
    "42804", "42501", "42P01", "42703", "21000", "2F005", "38000", "39004", "3F000", "54000",
    "54001", "26000", "0A000", "25006", "25P02", "40001", "XX000", "XX001", "08006", "28000",
    "34000", "HV000", "F0000", "55000", "02000",
];

/// Of the server.
const SERVER: &[&str] = &["53300", "53100", "57P01", "57P03", "58030"];

/// A trigger that refuses the bookings of a condition with these words and the code in `raised`.
fn refusing(condition: &str, said: &str) -> String {
    format!(
        "create table raised (code text not null); insert into raised values ('00000'); \
         create function refuse() returns trigger language plpgsql as $$ begin \
             if {condition} then raise exception {said} using errcode = (select code from raised); end if; \
             return new; end $$; \
         create trigger refuse before update on bookings for each row execute function refuse()"
    )
}

#[tokio::test]
async fn only_a_code_of_the_row_rejects_it() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    world
        .sql(&refusing("old.booking_id = 'b'", "'said of this one'"))
        .await?;
    let job = built_in_job(world.store.clone(), "booking-expirer")?;
    let codes = ROW.iter().chain(MISTAKE).map(|code| (*code, true));
    for (code, is_of_row) in codes.chain(SERVER.iter().map(|code| (*code, false))) {
        world
            .sql(&format!(
                "update raised set code = '{code}'; truncate bookings"
            ))
            .await?;
        for id in ["a", "b", "c"] {
            let old = now() - TimeDelta::hours(1);
            let booking = MemoryBooking::pending(id, user(1), old);
            world.booking(&booking).await?;
        }

        let done = run(&*job, 10).await;

        let expired = world.count("bookings where status = 'Expired'").await?;
        if is_of_row {
            let done = done?;
            assert_eq!(done.ids, ["a", "c"], "{code}");
            let rejected = [("b".to_owned(), "said of this one".to_owned())];
            assert_eq!(done.rejected, rejected, "{code}");
            assert_eq!(expired, 2, "{code}");
        } else {
            let error = done.expect_err(code).to_string();
            assert!(error.contains("said of this one"), "{code}: {error}");
            assert_eq!(expired, 0, "{code}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_mistake_of_a_trigger_rejects_the_row_it_meets() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    world
        .sql(
            "create function note() returns trigger language plpgsql as $$ begin \
                 execute format('insert into notes_of_%s values (1)', old.booking_id); \
                 return new; end $$; \
             create trigger note before update on bookings for each row execute function note(); \
             create table notes_of_a (note int); create table notes_of_c (note int)",
        )
        .await?;
    for id in ["a", "b", "c"] {
        let old = now() - TimeDelta::hours(1);
        let booking = MemoryBooking::pending(id, user(1), old);
        world.booking(&booking).await?;
    }
    let job = built_in_job(world.store.clone(), "booking-expirer")?;

    let done = run(&*job, 10).await?;

    assert_eq!(done.ids, ["a", "c"]);
    let error = "relation \"notes_of_b\" does not exist".to_owned();
    assert_eq!(done.rejected, [("b".to_owned(), error)]);
    // The same mistake in the rule's own statement, which would meet every row.
    world
        .sql("drop trigger note on bookings; alter table bookings rename updated_at to was")
        .await?;
    assert!(run(&*job, 10).await.is_err());
    Ok(())
}

/// The code of a session, raised for one row that no other is written beside.
#[tokio::test]
async fn a_row_that_ends_run_after_run_is_set_aside() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    let said = "'said of %', old.booking_id";
    world
        .sql(&refusing("old.booking_id in ('a', 'b')", said))
        .await?;
    for (code, is_of_row) in [
        ("0A000", true),
        ("25006", true),
        ("26000", true),
        ("40001", true),
        ("53100", false),
        ("57P01", false),
    ] {
        world
            .sql(&format!(
                "update raised set code = '{code}'; truncate bookings"
            ))
            .await?;
        for (id, hours) in [("a", 4), ("b", 3), ("c", 2), ("d", 1)] {
            let old = now() - TimeDelta::hours(hours);
            let booking = MemoryBooking::pending(id, user(1), old);
            world.booking(&booking).await?;
        }
        let job = built_in_job(world.store.clone(), "booking-expirer")?;

        let mut runs = Vec::new();
        for _ in 0..4 {
            runs.push(run(&*job, 1).await);
        }

        let ends: Vec<bool> = runs.iter().map(Result::is_err).collect();
        if is_of_row {
            // Each of both once.
            assert_eq!(ends, [true, true, false, false], "{code}");
            let last = runs.swap_remove(2)?;
            assert_eq!(last.ids, ["c", "d"], "{code}");
            let said = ["a", "b"].map(|id| (id.to_owned(), format!("said of {id}")));
            assert_eq!(last.rejected, said, "{code}");
            // Alone, it keeps no other, and the fault may be the session's.
            world
                .sql("delete from bookings where booking_id <> 'a'")
                .await?;
            for _ in 0..3 {
                assert!(run(&*job, 10).await.is_err(), "{code}");
            }
        } else {
            assert_eq!(ends, [true; 4], "{code}");
        }
    }
    Ok(())
}
