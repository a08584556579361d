//! Every statement of both jobs finds its rows through an index, however many there are.

use std::time::Duration;

use ractor_housekeeper::job::Page;
use ractor_housekeeper::model::{Claim, Outbox, ParkedPage, RefusedEntry, Settlement};
use ractor_housekeeper::{Job, Scope};
use uuid::Uuid;

use crate::TestResult;
use crate::jobs::Jobs;
use crate::recorder::{Recorder, Statement};
use crate::rules::request;
use crate::world::{now, user};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const QUARTER: Duration = Duration::from_secs(15 * 60);

/// The tables that grow.
pub(crate) const TABLES: &[&str] = &[
    "sessions",
    "messages",
    "image_sent",
    "video_sent",
    "bookings",
];

/// Runs the jobs and their previews once each: over all rows and one user's, from the start and
/// from a place behind.
pub(crate) async fn do_everything(jobs: &Jobs) -> TestResult {
    let cutoff = now() - DAY;
    let mut only = request(cutoff, 100);
    only.scope = Scope::user(user(160));
    let page = Page::default();
    let rejected = ["x".to_owned(), "y".to_owned()];
    jobs.idle_sessions(cutoff, None, &page).await?;
    jobs.idle_sessions(cutoff, Some(user(160)), &page).await?;
    jobs.session_forecast(DAY, &[]).await?;
    jobs.session_forecast(DAY, &rejected).await?;
    jobs.overdue_bookings(now() - QUARTER, None, &page).await?;
    jobs.booking_forecast(QUARTER, &[]).await?;
    jobs.booking_forecast(QUARTER, &rejected).await?;
    // Nothing is due by then, so that the next row is looked for.
    jobs.session_forecast(365 * DAY, &[]).await?;
    jobs.booking_forecast(365 * DAY, &[]).await?;
    jobs.delete_idle_sessions(&only).await?;
    jobs.expire_bookings(&only).await?;
    let mut all = request(cutoff, 20);
    let first = jobs.delete_idle_sessions(&all).await?;
    all.after = first.next_cursor;
    let second = jobs.delete_idle_sessions(&all).await?;
    let expired = jobs.expire_bookings(&request(now() - QUARTER, 20)).await?;

    assert_eq!(
        (first.ids.len(), second.ids.len(), expired.ids.len()),
        (20, 20, 20)
    );
    Ok(())
}

/// Takes a job through two pages of a preview and two batches. Returns what reads the rows of the
/// second ones, behind a place.
pub(crate) async fn second_of_each(job: &dyn Job, traced: &Recorder) -> TestResult<[Statement; 2]> {
    let mut page = Page::first(20.try_into()?);
    page.after = job.preview(&Scope::All, &page).await?.next;
    assert!(page.after.is_some());
    traced.take_with("");
    job.preview(&Scope::All, &page).await?;
    let of_page = reading(traced);
    let mut batch = request(now(), 20);
    batch.after = job.batch(&batch).await?.next_cursor;
    assert!(batch.after.is_some());
    traced.take_with("");
    job.batch(&batch).await?;
    Ok([of_page, reading(traced)])
}

/// The one statement that reads rows, not their number.
fn reading(traced: &Recorder) -> Statement {
    let mut found = traced.take_with(" LIMIT ");
    found.retain(|it| !it.sql.contains("count(*) FROM (SELECT 1"));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

/// The rule of the entries in the outbox.
pub(crate) const RULE: &str = "expirer";

/// Delivers ten entries beside parked ones, as a courier does, and lists parked ones. Returns the
/// number of entries that were claimed.
pub(crate) async fn deliver_beside_parked(outbox: &impl Outbox) -> TestResult<usize> {
    let mut claim = Claim {
        rule: RULE.into(),
        owner: Uuid::from_u128(1),
        limit: 100.try_into()?,
        lease: QUARTER,
        max_wait: Duration::from_secs(600),
        in_order_of_key: false,
    };
    outbox.release(&claim.rule, claim.owner).await?;
    let claimed = outbox.claim(&claim).await?.entries;
    let settlement = Settlement {
        acknowledged: vec![claimed[0].id],
        refused: vec![RefusedEntry {
            id: claimed[1].id,
            attempts: 1,
            error: Some("not now".to_owned()),
            again_after: Some(Duration::ZERO),
        }],
    };
    outbox.settle(claim.owner, &settlement).await?;
    outbox.counts(&claim.rule).await?;
    outbox.parked(&claim.rule, &ParkedPage::default()).await?;
    outbox.release(&claim.rule, claim.owner).await?;
    claim.in_order_of_key = true;
    outbox.claim(&claim).await?;
    Ok(claimed.len())
}
