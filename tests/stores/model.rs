//! Made-up rows: whatever the model in memory does with them, the databases do too.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use ractor_housekeeper::Scope;
use ractor_housekeeper::job::{BatchRequest, BoundedCount, Page, PreviewRow};
use ractor_housekeeper::testing::{MemoryBooking, MemoryStore};
use tokio::runtime::Runtime;

use crate::TestResult;
use crate::jobs::Jobs;
use crate::world::{StoreUnderTest, clock, now, user};

/// A session's owner and age; a message's owner, sender and age; a booking. Ages are microseconds
/// around the cutoffs, or hours.
#[derive(Debug, Clone)]
struct Rows {
    sessions: Vec<(u128, i64, u8, u8)>,
    messages: Vec<(u128, bool, i64)>,
    bookings: Vec<(u128, i64, &'static str, Option<i64>)>,
    limit: u32,
    only: Option<u128>,
    rejected: Option<usize>,
}

const IDLE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const EXPIRE_AFTER: Duration = Duration::from_secs(15 * 60);

/// Microseconds from the cutoff: right around it, or up to three days to either side.
fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![
        -2_i64..=2,
        -259_200_000_000..86_000_000_000_i64,
        -3_600_000_000..=0_i64
    ]
}

fn rows() -> impl Strategy<Value = Rows> {
    let status = prop_oneof![4 => Just("Pending"), 1 => Just("Confirmed"), 1 => Just("Waiting")];
    let hold = proptest::option::of(prop_oneof![-2_i64..=2, -900_000_000..900_000_000_i64]);
    (
        proptest::collection::vec((1..6_u128, offset(), 0..3_u8, 0..3_u8), 0..12),
        proptest::collection::vec((1..7_u128, any::<bool>(), offset()), 0..14),
        proptest::collection::vec((1..6_u128, offset(), status, hold), 0..14),
        1..6_u32,
        proptest::option::weighted(0.3, 1..6_u128),
        proptest::option::of(0..12_usize),
    )
        .prop_map(
            |(sessions, messages, bookings, limit, only, rejected)| Rows {
                sessions,
                messages,
                bookings,
                limit,
                only,
                rejected,
            },
        )
}

fn around(age: Duration, offset: i64) -> DateTime<Utc> {
    now() - age + TimeDelta::microseconds(offset)
}

async fn fill(world: &impl StoreUnderTest, model: &MemoryStore, rows: &Rows) -> TestResult {
    for (number, (owner, at, images, videos)) in rows.sessions.iter().enumerate() {
        let (id, at) = (format!("s{number:02}"), around(IDLE_AFTER, *at));
        world.session(&id, user(*owner), at).await?;
        model.add_session(&id, user(*owner), at);
        for _ in 0..*images {
            world.image(&id).await?;
            model.add_image(&id);
        }
        for _ in 0..*videos {
            world.video(&id).await?;
            model.add_video(&id);
        }
    }
    for (owner, is_guest, at) in &rows.messages {
        let sender = if *is_guest { "user" } else { "bot" };
        let at = around(IDLE_AFTER, *at);
        world.message(user(*owner), sender, at).await?;
        model.add_message(user(*owner), sender, at);
    }
    for (number, (owner, at, status, hold)) in rows.bookings.iter().enumerate() {
        let created_at = around(EXPIRE_AFTER, *at);
        let booking = MemoryBooking {
            status: (*status).to_owned(),
            held_until: hold.map(|hold| now() + TimeDelta::microseconds(hold)),
            ..MemoryBooking::pending(format!("b{number:02}"), user(*owner), created_at)
        };
        world.booking(&booking).await?;
        model.add_booking(booking);
    }
    Ok(())
}

/// The results that two stores are compared by: everything a caller sees but the order of pages.
#[derive(Debug, PartialEq, Default)]
struct Seen {
    previews: Vec<(BoundedCount, BTreeMap<String, PreviewRow>)>,
    session_forecast: Vec<(BoundedCount, Option<Duration>)>,
    booking_forecast: Vec<ractor_housekeeper::job::Forecast>,
    handled: Vec<(Vec<String>, String)>,
    sessions: Vec<String>,
    bookings: BTreeMap<String, (String, DateTime<Utc>)>,
}

async fn look(jobs: &Jobs, rows: &Rows, seen: &mut Seen) -> TestResult {
    let only = rows.only.map(user);
    for of_sessions in [true, false] {
        let mut found = BTreeMap::new();
        let mut page = Page::first(NonZeroU32::new(rows.limit).expect("not zero"));
        loop {
            let part = if of_sessions {
                let cutoff = now() - IDLE_AFTER;
                jobs.idle_sessions(cutoff, only, &page).await?
            } else {
                let cutoff = now() - EXPIRE_AFTER;
                jobs.overdue_bookings(cutoff, only, &page).await?
            };
            for mut row in part.rows {
                // The model knows nothing of what a booking costs.
                row.details.remove("total_cost");
                assert!(found.insert(row.id.clone(), row).is_none(), "shown twice");
            }
            match part.next {
                None => {
                    seen.previews.push((part.due, found));
                    break;
                }
                next => page.after = next,
            }
        }
    }
    let rejected = |letter| -> Vec<String> {
        let rejected = rows.rejected.iter();
        rejected
            .map(|number| format!("{letter}{number:02}"))
            .collect()
    };
    let forecast = jobs.session_forecast(IDLE_AFTER, &rejected("s")).await?;
    seen.session_forecast
        .push((forecast.due, forecast.oldest_overdue));
    let forecast = jobs.booking_forecast(EXPIRE_AFTER, &rejected("b")).await?;
    seen.booking_forecast.push(forecast);
    Ok(())
}

async fn work(jobs: &Jobs, rows: &Rows, seen: &mut Seen) -> TestResult {
    for of_sessions in [true, false] {
        let age = if of_sessions {
            IDLE_AFTER
        } else {
            EXPIRE_AFTER
        };
        let mut request = BatchRequest {
            scope: rows.only.map_or(Scope::All, |only| Scope::user(user(only))),
            now: now(),
            cutoff: now() - age,
            limit: NonZeroU32::new(rows.limit).expect("not zero"),
            after: None,
        };
        let mut ids = Vec::new();
        let mut counts = ractor_housekeeper::job::Counts::default();
        loop {
            let batch = if of_sessions {
                jobs.delete_idle_sessions(&request).await?
            } else {
                jobs.expire_bookings(&request).await?
            };
            ids.extend(batch.ids);
            counts.merge(&batch.counts);
            match batch.next_cursor {
                None => break,
                next_cursor => request.after = next_cursor,
            }
        }
        ids.sort();
        seen.handled.push((ids, format!("{counts:?}")));
    }
    Ok(())
}

/// Compares `world`, emptied by `clear`, with the model over one set of rows.
async fn compare<W: StoreUnderTest>(world: &W, clear: &str, rows: &Rows) -> TestResult {
    world.execute(clear).await?;
    let model = MemoryStore::new().with_clock(clock());
    fill(world, &model, rows).await?;

    let (mut expected, mut seen) = (Seen::default(), Seen::default());
    let exact = Jobs::over(model.clone());
    for (jobs, seen) in [(&exact, &mut expected), (world.jobs(), &mut seen)] {
        look(jobs, rows, seen).await?;
        work(jobs, rows, seen).await?;
        look(jobs, rows, seen).await?;
    }
    // The databases know the next idle session by a lower bound only: never later than the model.
    let next = world.jobs().session_forecast(IDLE_AFTER, &[]).await?;
    let exact = exact.session_forecast(IDLE_AFTER, &[]).await?;
    expected.sessions = model.sessions().into_iter().map(|row| row.id).collect();
    expected.bookings = model
        .bookings()
        .into_iter()
        .map(|row| (row.id, (row.status, row.updated_at)))
        .collect();
    seen.sessions = world.sessions_left().await?;
    seen.bookings = world.bookings_now().await?;

    assert_eq!(seen, expected);
    assert_eq!(next.next_due.is_some(), exact.next_due.is_some());
    assert!(next.next_due <= exact.next_due);
    Ok(())
}

/// Compares over a few dozen made-up sets of rows.
fn agrees<W: StoreUnderTest>(runtime: &Runtime, world: &W) -> crate::TestResult {
    let config = Config {
        cases: 48,
        failure_persistence: None,
        ..Config::default()
    };
    let clear = "delete from bookings; delete from messages; delete from sessions";
    TestRunner::new(config).run(&rows(), |rows| {
        runtime
            .block_on(compare(world, clear, &rows))
            .map_err(|error| TestCaseError::fail(error.to_string()))
    })?;
    Ok(())
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_does_what_the_model_does() -> crate::TestResult {
    let runtime = runtime()?;
    let world = runtime.block_on(crate::sqlite::SqliteUnderTest::open())?;
    agrees(&runtime, &world.expect("SQLite is built in"))
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_does_what_the_model_does() -> crate::TestResult {
    let runtime = runtime()?;
    let Some(world) = runtime.block_on(crate::postgres::PostgresUnderTest::open())? else {
        println!("left out: Postgres is not installed");
        return Ok(());
    };
    agrees(&runtime, &world)
}
