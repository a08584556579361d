//! A write of the history that was given up while another process held the file.

use std::sync::Arc;

use diesel::connection::InstrumentationEvent;
use diesel_async::SimpleAsyncConnection;
use ractor_housekeeper::model::RunHistory;
use ractor_housekeeper::store::sqlite::SqliteStore;
use tokio::sync::Notify;

use super::SqliteUnderTest;
use crate::TestResult;
use crate::listening_pool;
use crate::rules::record;

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
