//! The page under load: all streams taken, a flood of requests, and a database that is silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use ractor_housekeeper::model::{RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::{Fault, MemoryStore, Step};
use ractor_housekeeper::{JobName, Scope};
use tokio::task::JoinSet;

use crate::support::host::Setup;
use crate::web::streams::{next, open};
use crate::web::visitor::Visitor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_comes_at_once_under_load_on_a_frozen_database() {
    let mut setup = Setup::new();
    let frozen = Arc::new(AtomicBool::new(false));
    let history = Freezing(MemoryStore::new(), frozen.clone());
    setup.arguments = setup.arguments.with_history(history);
    let host = setup.start().await;
    // One job's previews hang, and later the database of all histories.
    host.faults.always(Step::Preview, Fault::Hang);
    host.add_overdue(2);
    host.run_now(Scope::All).await.expect("a report");
    let visitor = Visitor::reader(&host);
    let mut streams = Vec::new();
    for _ in 0..64 {
        streams.push(open(&visitor).await);
    }
    next(&mut streams[0]).await.expect("a frame");
    for _ in 0..100 {
        let visitor = visitor.clone();
        tokio::spawn(async move { visitor.get("/api/v1/jobs/booking-expirer/preview").await });
    }
    let answered = Arc::new(AtomicU64::new(0));
    let mut flood = JoinSet::new();
    for _ in 0..8 {
        let (visitor, answered) = (visitor.clone(), answered.clone());
        flood.spawn(async move {
            while visitor.get("/api/v1/status").await.status == 200 {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    let busy = measure(&visitor, "database").await;
    frozen.store(true, Ordering::Relaxed);
    let since = Instant::now();
    let silent = measure(&visitor, "memory").await;
    let since = since.elapsed();
    assert!(flood.try_join_next().is_none(), "each status was answered");
    flood.abort_all();

    let answered = answered.load(Ordering::Relaxed);
    println!(
        "a card and another job's history in {busy:?}, frozen in {silent:?}, beside {answered} requests"
    );
    for took in [busy.0, busy.1, silent.0, silent.1] {
        assert!(took < Duration::from_millis(300), "{busy:?} {silent:?}");
    }
    // The first history waits for a second, and none for its timeout.
    assert!(since < Duration::from_secs(9), "{since:?}");
}

/// Returns the median times of a card and of another job's history, which is from this source.
async fn measure(visitor: &Visitor, source: &str) -> (Duration, Duration) {
    let (mut cards, mut histories) = (Vec::new(), Vec::new());
    for _ in 0..21 {
        let asked = Instant::now();
        let page = visitor.get("/jobs/booking-expirer").await;
        cards.push(asked.elapsed());
        assert!(page.page(200).contains("data-job=\"booking-expirer\""));
        let asked = Instant::now();
        let history = visitor.get("/api/v1/jobs/session-cleaner/history").await;
        histories.push(asked.elapsed());
        assert_eq!(history.json()["source"]["kind"], source);
    }
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    (median(cards), median(histories))
}

/// A history whose database freezes.
struct Freezing(MemoryStore, Arc<AtomicBool>);

impl Freezing {
    async fn freeze(&self) {
        if self.1.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl RunHistory for Freezing {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        self.freeze().await;
        self.0.record(runs, keep).await
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        self.freeze().await;
        self.0.runs(job, limit).await
    }
}
