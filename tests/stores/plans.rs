//! Every statement of both jobs finds its rows through an index, however many there are.

use std::time::Duration;

use ractor_housekeeper::Scope;
use ractor_housekeeper::job::Page;
use ractor_housekeeper::store::Store;

use crate::TestResult;
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

/// What the jobs and their previews do, once each: over all rows and one user's, from the start and
/// from a place behind.
pub(crate) async fn do_everything(store: &dyn Store) -> TestResult {
    let cutoff = now() - DAY;
    let mut only = request(cutoff, 100);
    only.scope = Scope::user(user(160));
    let page = Page::default();
    let rejected = ["x".to_owned(), "y".to_owned()];
    store.idle_sessions(cutoff, None, &page).await?;
    store.idle_sessions(cutoff, Some(user(160)), &page).await?;
    store.session_forecast(DAY, &[]).await?;
    store.session_forecast(DAY, &rejected).await?;
    store
        .overdue_bookings(now(), now() - QUARTER, None, &page)
        .await?;
    store.booking_forecast(QUARTER, &[]).await?;
    store.booking_forecast(QUARTER, &rejected).await?;
    store.delete_idle_sessions(&only).await?;
    store.expire_bookings(&only).await?;
    let mut all = request(cutoff, 20);
    let first = store.delete_idle_sessions(&all).await?;
    all.after = first.next_cursor;
    let second = store.delete_idle_sessions(&all).await?;
    let expired = store.expire_bookings(&request(now() - QUARTER, 20)).await?;

    assert_eq!(
        (first.ids.len(), second.ids.len(), expired.ids.len()),
        (20, 20, 20)
    );
    Ok(())
}
