//! A panic in the middle of a transaction: it comes out where it was asked for, and nothing of it
//! stays behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::InstrumentationEvent;
use ractor_housekeeper::job::Page;
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::testing::MemoryBooking;
use tokio::sync::Notify;

use super::SqliteUnderTest;
use crate::TestResult;
use crate::jobs::{Jobs, StepError};
use crate::listening_pool;
use crate::rules::{idle_request, request};
use crate::world::{StoreUnderTest, clock, micro, now, user};

/// Lets the next piece of work die.
#[derive(Default)]
struct PanicTrigger {
    armed: AtomicBool,
    /// That a transaction has begun.
    begun: Notify,
}

/// The name of a step, and the start of the statement that it panics at.
#[derive(Debug, Clone, Copy)]
enum StoreCall {
    Delete,
    Expire,
    Preview,
    Forecast,
}

impl StoreCall {
    async fn run(self, jobs: &Jobs) -> Result<(), StepError> {
        match self {
            Self::Delete => jobs
                .delete_idle_sessions(&idle_request(now(), 10))
                .await
                .map(drop),
            Self::Expire => jobs.expire_bookings(&request(now(), 10)).await.map(drop),
            Self::Preview => jobs
                .idle_sessions(now(), None, &Page::default())
                .await
                .map(drop),
            Self::Forecast => jobs
                .booking_forecast(std::time::Duration::from_secs(60), &[])
                .await
                .map(drop),
        }
    }
}

#[tokio::test]
async fn a_panic_inside_a_transaction_rolls_back_and_propagates() -> TestResult {
    for (step, statement) in [
        (StoreCall::Delete, "SELECT \"sessions\""),
        (StoreCall::Delete, "DELETE FROM \"video_sent\""),
        (StoreCall::Delete, "DELETE FROM \"sessions\""),
        (StoreCall::Delete, "COMMIT"),
        // The database is in a transaction, and diesel has not noted it yet.
        (StoreCall::Delete, "after BEGIN IMMEDIATE"),
        (StoreCall::Expire, "UPDATE \"bookings\""),
        (StoreCall::Expire, "COMMIT"),
        (StoreCall::Preview, "SELECT coalesce(CASE typeof"),
        (StoreCall::Forecast, "SELECT count(*) FROM ("),
    ] {
        let case = format!("{step:?} at {statement}");
        let (world, store, trigger) = world_that_dies_at(statement).await?;
        let jobs = Jobs::over(store);

        trigger.armed.store(true, Ordering::SeqCst);
        let dying = jobs.clone();
        let died = tokio::spawn(async move { step.run(&dying).await }).await;

        let panic = died.expect_err(&case).into_panic();
        assert_eq!(panic.downcast_ref(), Some(&"the host's listener"), "{case}");
        // The next writer does not wait: neither lock nor transaction is left.
        world
            .sql("pragma busy_timeout = 0; begin immediate; rollback; pragma busy_timeout = 1000")
            .await?;
        assert_eq!(world.sessions_left().await?, ["a"], "{case}");
        assert_eq!(world.records_left().await?, (1, 1), "{case}");
        assert_eq!(world.bookings_now().await?["b"].0, "Pending", "{case}");
        // The pool of one connection serves again.
        let batch = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;
        let expired = jobs.expire_bookings(&request(now(), 10)).await?;
        assert_eq!((batch.ids.len(), expired.ids.len()), (1, 1), "{case}");
        assert_eq!(world.records_left().await?, (0, 0), "{case}");
    }
    Ok(())
}

/// One row is refused, so each goes in a savepoint of its own; the panic comes inside one.
#[tokio::test]
async fn a_panic_inside_a_savepoint_rolls_everything_back() -> TestResult {
    let (world, store, trigger) = world_that_dies_at("RELEASE").await?;
    let jobs = Jobs::over(store.clone());
    world.session("c", user(3), now() - micro()).await?;
    world
        .sql("create trigger keep before delete on sessions when old.id = 'c' begin select raise(abort, 'not this one'); end")
        .await?;

    trigger.armed.store(true, Ordering::SeqCst);
    let dying = jobs.clone();
    let died = tokio::spawn(async move { StoreCall::Delete.run(&dying).await }).await;

    assert!(died.is_err_and(|error| error.is_panic()));
    assert_eq!(world.sessions_left().await?, ["a", "c"]);
    let batch = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;
    assert_eq!(batch.ids, ["a"]);
    assert_eq!(batch.rejected.len(), 1);
    Ok(())
}

/// The worker was killed meanwhile, so no caller receives the panic, and the pool still works.
#[tokio::test]
async fn a_panic_after_the_caller_left_keeps_the_pool_usable() -> TestResult {
    let (world, store, trigger) = world_that_dies_at("DELETE FROM \"sessions\"").await?;
    let jobs = Jobs::over(store.clone());

    trigger.armed.store(true, Ordering::SeqCst);
    tokio::select! {
        biased;
        () = trigger.begun.notified() => {}
        _ = StoreCall::Delete.run(&jobs) => {}
    }
    let batch = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;

    assert!(!trigger.armed.load(Ordering::SeqCst), "it died");
    assert_eq!(batch.ids, ["a"]);
    assert!(world.sessions_left().await?.is_empty());
    Ok(())
}

/// diesel turns a panic of the host's SQL function into an error of the statement that has the
/// function's name, so it is one of ours: the row is refused.
#[tokio::test]
async fn a_panicking_sql_function_of_the_host_rejects_the_row() -> TestResult {
    let (world, store, _) = world_that_dies_at("nothing").await?;
    let jobs = Jobs::over(store.clone());
    let mut conn = store.pool().get().await?;
    conn.spawn_blocking(|conn| {
        brittle_utils::register_impl(conn, |_: String| -> bool { panic!("the host's function") })
    })
    .await?;
    drop(conn);
    world
        .sql("create trigger brittle_one before delete on sessions begin select brittle(old.id); end")
        .await?;

    let refused = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;

    assert!(refused.ids.is_empty());
    assert_eq!(refused.rejected.len(), 1);
    assert_eq!(refused.rejected[0].error, "brittle");
    assert_eq!(world.records_left().await?, (1, 1));
    world.sql("drop trigger brittle_one").await?;
    let batch = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;
    assert_eq!(batch.ids, ["a"]);
    Ok(())
}

/// An idle session, an overdue booking, and a store on one connection whose listener panics once,
/// when it is armed and sees `statement`.
async fn world_that_dies_at(
    statement: &'static str,
) -> TestResult<(SqliteUnderTest, SqliteStore, Arc<PanicTrigger>)> {
    let world = SqliteUnderTest::open().await?.ok_or("SQLite is built in")?;
    world.session("a", user(1), now() - micro()).await?;
    world.image("a").await?;
    world.video("a").await?;
    world
        .booking(&MemoryBooking::pending("b", user(1), now() - micro()))
        .await?;
    let trigger = Arc::new(PanicTrigger::default());
    let set = Arc::clone(&trigger);
    let listener = move |event: InstrumentationEvent<'_>| {
        let recorded = match event {
            InstrumentationEvent::StartQuery { query, .. } => query.to_string(),
            InstrumentationEvent::FinishQuery { query, .. } => format!("after {query}"),
            InstrumentationEvent::BeginTransaction { .. } => return set.begun.notify_one(),
            _ => return,
        };
        let hit = recorded.starts_with(statement);
        assert!(
            !(hit && set.armed.swap(false, Ordering::SeqCst)),
            "the host's listener"
        );
    };
    let pool = listening_pool::pool(&world.folder.path().join("test.db"), listener).await?;
    let store = SqliteStore::with_pool(pool).with_clock(clock());
    Ok((world, store, trigger))
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// Panics.
    fn brittle(id: diesel::sql_types::Text) -> diesel::sql_types::Bool;
}
