//! What is read from a database that is away, silent or asked by many.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use ractor_housekeeper::model::{History, HistorySource, RunHistory, RunRecord, StoreError};
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::{JobName, Scope};

use crate::support::host::Setup;
use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_database_that_fails_is_a_bad_gateway() {
    let host = host().await;
    host.faults.always(
        Step::Preview,
        Fault::Fail("the database is away".to_owned()),
    );

    let answer = Visitor::reader(&host)
        .get("/api/jobs/booking-expirer/preview")
        .await;

    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (502, "failed")
    );
}

#[tokio::test(start_paused = true)]
async fn previews_beyond_the_queue_are_answered_with_retry_later() {
    let host = host().await;
    host.faults.always(Step::Preview, Fault::Hang);
    let visitor = Visitor::reader(&host);
    let previews: Vec<_> = (0..70)
        .map(|_| {
            let visitor = visitor.clone();
            tokio::spawn(async move { visitor.get("/api/jobs/booking-expirer/preview").await })
        })
        .collect();
    let mut told = BTreeMap::new();

    for preview in previews {
        let answer = preview.await.expect("an answer");
        let retry_after = answer.header("retry-after").to_owned();
        let facts = (answer.problem(), answer.status.as_u16(), retry_after);
        *told.entry(facts).or_insert(0) += 1;
    }

    let fact =
        |kind: &str, status, retry_after: &str| (kind.to_owned(), status, retry_after.to_owned());
    let expected = [
        (fact("busy", 503, "5"), 70 - 16 - 1),
        (fact("read_timeout", 504, ""), 17),
    ];
    assert_eq!(told, BTreeMap::from(expected));
}

#[tokio::test(start_paused = true)]
async fn a_silent_database_fails_previews_but_not_the_history() {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(HangingHistory);
    let host = setup.start().await;
    host.faults.always(Step::Preview, Fault::Hang);
    let visitor = Visitor::reader(&host);
    host.add_overdue(1);
    host.run_now(Scope::All).await.expect("a report");

    let history = visitor.get("/api/jobs/booking-expirer/history").await;
    let page = visitor.get("/jobs/booking-expirer").await;
    let preview = visitor.get("/api/jobs/booking-expirer/preview").await;

    let history: History = serde_json::from_str(&history.body).expect("is a history");
    assert!(matches!(history.source, HistorySource::Memory { .. }));
    assert_eq!(history.runs.len(), 1);
    assert!(page.page(200).contains("Only what this process saw"));
    assert_eq!(
        (preview.status.as_u16(), preview.problem().as_str()),
        (504, "read_timeout")
    );
}

#[tokio::test(start_paused = true)]
async fn a_history_that_waits_too_long_is_left_off_the_card() {
    let host = host().await;
    host.faults.always(Step::Preview, Fault::Hang);
    let visitor = Visitor::reader(&host);
    for _ in 0..66 {
        let visitor = visitor.clone();
        tokio::spawn(async move { visitor.get("/api/jobs/booking-expirer/preview").await });
    }
    // They are all asked before the clock moves.
    tokio::time::sleep(Duration::from_secs(1)).await;

    let page = visitor.get("/jobs/booking-expirer").await;

    assert!(page.page(503).contains("They could not be read: "));
    assert!(page.body.contains("data-job=\"booking-expirer\""));
}

/// A history that takes nothing and tells nothing.
struct HangingHistory;

#[async_trait]
impl RunHistory for HangingHistory {
    async fn record(&self, _: &[RunRecord], _: u32) -> Result<(), StoreError> {
        std::future::pending().await
    }

    async fn runs(&self, _: &JobName, _: u32) -> Result<Vec<RunRecord>, StoreError> {
        std::future::pending().await
    }
}
