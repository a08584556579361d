//! Work that was given up while another process held the file.

use std::sync::Arc;

use diesel::connection::InstrumentationEvent;
use diesel_async::SimpleAsyncConnection;
use ractor_housekeeper::job::{BatchRequest, Job, Scope};
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::rule::{Rule, at, eq};
use ractor_housekeeper::store::sqlite::SqliteStore;
use tokio::sync::Notify;

use super::SqliteUnderTest;
use crate::TestResult;
use crate::listening_pool;
use crate::rules::record;
use crate::world::clock;

/// It is handed over again with the next runs. If those came first, it would be counted twice.
#[tokio::test]
async fn a_write_whose_caller_left_before_the_lock_is_not_made() -> TestResult {
    let world = SqliteUnderTest::open().await?.ok_or("SQLite is built in")?;
    let begun = Arc::new(Notify::new());
    let reported = Arc::clone(&begun);
    let listener = move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::BeginTransaction { .. } = event {
            reported.notify_one();
        }
    };
    let pool = listening_pool::pool(&world.folder.path().join("test.db"), listener).await?;
    let store = SqliteStore::with_pool(pool);
    let job = "booking-expirer".into();
    let runs = [record("k", "booking-expirer", 0, 2)];

    let mut other = world.store.pool().get().await?;
    other.batch_execute("begin immediate").await?;
    tokio::select! {
        biased;
        () = begun.notified() => {}
        done = store.record(&runs, 10) => panic!("the file is taken: {done:?}"),
    }
    other.batch_execute("commit").await?;

    // The pool's only connection is free once the write has ended.
    assert_eq!(store.runs(&job, 10).await?, []);
    store.record(&runs, 10).await?;
    assert_eq!(store.runs(&job, 10).await?.len(), 1);
    Ok(())
}

/// The step timed out, and the batch ended in its own time.
#[tokio::test]
async fn a_batch_whose_caller_left_is_reported_with_the_next() -> TestResult {
    let actions = [
        Rule::new("notes", "notes").delete(),
        Rule::new("notes", "notes").archive("old_notes"),
        Rule::new("notes", "notes")
            .only(eq("status", "open"))
            .set("status", "gone"),
    ];
    for rule in actions {
        let world = SqliteUnderTest::empty().await?;
        world
            .sql(
                "create table notes (id text primary key, at integer, status text default 'open'); create table old_notes (id text, at integer, status text); \
                 insert into notes (id, at) values ('a', 1), ('b', 1), ('c', 2)",
            )
            .await?;
        let begun = Arc::new(Notify::new());
        let told = Arc::clone(&begun);
        let listener = move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::BeginTransaction { .. } = event {
                told.notify_one();
            }
        };
        let path = world.folder.path().join("test.db");
        let pool = listening_pool::pool(&path, listener).await?;
        let store = SqliteStore::with_pool(pool).with_clock(clock());
        let job = store.rule(rule.due(at("at").seconds()))?;
        let bounds = job.begin_run().await.map_err(|error| error.chain())?;
        let request = |limit: u32| BatchRequest {
            scope: Scope::All,
            now: bounds.now,
            cutoff: bounds.cutoff,
            limit: limit.try_into().expect("is not zero"),
            after: None,
        };
        let first = request(2);
        let mut other = world.store.pool().get().await?;
        other.batch_execute("begin immediate").await?;
        tokio::select! {
            biased;
            () = async {
                // The first looks the rows up, the second writes.
                begun.notified().await;
                begun.notified().await;
            } => {}
            done = job.batch(&first) => panic!("the file is taken: {:?}", done.map(|batch| batch.ids)),
        }
        other.batch_execute("commit").await?;

        // The pool has one connection, which is free once the batch has ended.
        let next = job
            .batch(&request(10))
            .await
            .map_err(|error| error.chain())?;
        let last = job
            .batch(&request(10))
            .await
            .map_err(|error| error.chain())?;

        assert_eq!(next.ids, ["a", "b", "c"]);
        assert_eq!(next.counts.of("notes"), 3);
        assert_eq!(last.ids, [""; 0]);
    }
    Ok(())
}
