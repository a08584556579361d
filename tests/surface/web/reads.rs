//! Reads from a database that is away, silent or busy.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use ractor_housekeeper::model::{
    History, HistoryPage, HistoryQuery, HistorySource, RunHistory, RunRecord, StoreError,
};
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::{JobName, Scope};

use tokio::time::Instant;

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
        .get("/api/v1/jobs/booking-expirer/preview")
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
            tokio::spawn(async move { visitor.get("/api/v1/jobs/booking-expirer/preview").await })
        })
        .collect();
    let mut reported = BTreeMap::new();

    for preview in previews {
        let answer = preview.await.expect("an answer");
        let retry_after = answer.header("retry-after").to_owned();
        let facts = (answer.problem(), answer.status.as_u16(), retry_after);
        *reported.entry(facts).or_insert(0) += 1;
    }

    let fact =
        |kind: &str, status, retry_after: &str| (kind.to_owned(), status, retry_after.to_owned());
    let expected = [
        (fact("busy", 503, "5"), 70 - 16 - 1),
        (fact("read_timeout", 504, ""), 17),
    ];
    assert_eq!(reported, BTreeMap::from(expected));
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

    let history = visitor.get("/api/v1/jobs/booking-expirer/history").await;
    let page = visitor.get("/jobs/booking-expirer?wait=20").await;
    let preview = visitor.get("/api/v1/jobs/booking-expirer/preview").await;

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
async fn a_silent_database_delays_no_card() {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(HangingHistory);
    let host = setup.start().await;
    host.faults.always(Step::Preview, Fault::Hang);
    let visitor = Visitor::reader(&host);
    host.add_overdue(1);
    host.run_now(Scope::All).await.expect("a report");
    // Each hangs up while it waits.
    for path in ["history", "preview"].repeat(35) {
        let visitor = visitor.clone();
        let path = format!("/api/v1/jobs/booking-expirer/{path}");
        tokio::spawn(async move {
            let answer = visitor.get(&path);
            tokio::time::timeout(Duration::from_secs(1), answer).await
        });
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut took = Vec::new();

    for job in ["booking-expirer", "session-cleaner"] {
        let asked = Instant::now();
        let page = visitor.get(&format!("/jobs/{job}?outcome=failed")).await;
        took.push(asked.elapsed());
        assert!(page.page(200).contains(&format!("data-job=\"{job}\"")));
        // The first waits for the database; the second knows already that it is silent.
        let pending = page.body.split("data-pending=\"./../").nth(1);
        let page = match pending.and_then(|rest| rest.split('"').next()) {
            Some(link) => {
                visitor
                    .get(&format!("/{}", link.replace("&amp;", "&")))
                    .await
            }
            None => page,
        };
        assert!(
            page.page(200).contains("Only what this process saw"),
            "{job}"
        );
        assert!(page.body.contains("No such run."), "{job}");
    }

    assert!(
        took.iter().all(|took| *took < Duration::from_millis(300)),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn unreadable_records_are_counted_on_the_page_and_as_json() {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(SkippingHistory);
    let host = setup.start().await;
    let visitor = Visitor::reader(&host);

    let history = visitor.get("/api/v1/jobs/booking-expirer/history").await;
    let page = visitor.get("/jobs/booking-expirer?wait=20").await;

    let history: History = serde_json::from_str(&history.body).expect("is a history");
    assert_eq!(history.source, HistorySource::Database);
    assert_eq!((history.runs.len(), history.unreadable), (0, 2));
    let page = page.page(200);
    assert!(page.contains("Skipped 2 unreadable records"), "{page}");
    assert!(!page.contains("No run has changed anything yet"), "{page}");
}

/// A history whose records are all of a newer version.
struct SkippingHistory;

#[async_trait]
impl RunHistory for SkippingHistory {
    async fn record(&self, _: &[RunRecord], _: u32) -> Result<(), StoreError> {
        Ok(())
    }

    async fn runs(&self, _: &JobName, _: u32) -> Result<Vec<RunRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn page(&self, _: &JobName, _: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        let mut page = HistoryPage::default();
        page.unreadable = 2;
        Ok(page)
    }
}

/// A history that stores nothing and returns nothing.
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
