//! What all four jobs need for walking rows in an order, whatever the database.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use ractor_housekeeper::Scope;
use ractor_housekeeper::job::{BatchRequest, BoundedCount, Cursor, Page, PreviewRow};

pub(crate) fn check_user(scope: &Scope) -> Result<(), String> {
    match scope.user_id() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{scope} is not keyed by a UUID")),
    }
}

/// Where the next batch begins. A batch that was not full is the last.
pub(crate) fn next_cursor(
    picked: &[(String, NaiveDateTime)],
    request: &BatchRequest,
) -> Option<Cursor> {
    let full = picked.len() == request.limit.get() as usize;
    picked.last().filter(|_| full).map(|(id, since)| Cursor {
        since: since.and_utc(),
        id: id.clone(),
    })
}

/// Rows to load for a page: one more than it shows, to know whether another follows.
pub(crate) fn page_limit(page: &Page) -> i64 {
    i64::from(page.size.get()) + 1
}

/// Splits what was loaded into the page and the beginning of the next one.
pub(crate) fn paged(
    mut found: Vec<(Cursor, PreviewRow)>,
    page: &Page,
) -> (Vec<PreviewRow>, Option<Cursor>) {
    let size = page.size.get() as usize;
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(|(at, _)| at.clone());
    (found.into_iter().map(|(_, row)| row).collect(), next)
}

/// Ids to load for a count: beyond the cap nobody counts.
pub(crate) fn probe() -> i64 {
    i64::try_from(BoundedCount::CAP)
        .unwrap_or(i64::MAX)
        .saturating_add(1)
}

pub(crate) fn capped(ids: &[String]) -> BoundedCount {
    BoundedCount::from_probe(ids.len() as u64)
}

/// How long a row has been due that became so `age` after `since`.
pub(crate) fn overdue_for(now: DateTime<Utc>, since: NaiveDateTime, age: Duration) -> Duration {
    let overdue = now - since.and_utc() - TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    overdue.to_std().unwrap_or_default()
}

/// How long it is until such a row is due. The rule says strictly older, and the databases count in
/// microseconds.
pub(crate) fn due_in(now: DateTime<Utc>, since: NaiveDateTime, age: Duration) -> Duration {
    let due = since.and_utc() + age + TimeDelta::microseconds(1);
    (due - now).to_std().unwrap_or_default()
}
