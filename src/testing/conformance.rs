//! A test of the contract of `Job`.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::job::{BatchRequest, Job, JobError, Page, PreviewRows, Scope};

/// Checks a job against the contract of [`Job`]: previews, runs in batches of `limit` rows, and
/// forecasts. Returns the ids it handled.
///
/// The job needs more than `limit` due rows, which no one else changes, and a frozen clock. A limit
/// of 1 or 2 finds most errors.
///
/// # Panics
///
/// Panics if the job breaks the contract: a preview that changes, skips or repeats rows; a forecast
/// that disagrees with the preview; a batch that exceeds its limit or makes no progress; a run that
/// handles other rows than the preview showed, or leaves some.
///
/// # Errors
///
/// Returns the first error of a step.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use chrono::{TimeDelta, Utc};
/// use ractor_housekeeper::testing::{ManualClock, MemoryBooking, MemoryStore, assert_conforms};
/// use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new().with_clock(Arc::new(ManualClock::frozen(Utc::now())));
/// for id in ["b1", "b2", "b3"] {
///     let created_at = Utc::now() - TimeDelta::hours(1);
///     store.add_booking(MemoryBooking::pending(id, uuid::Uuid::nil(), created_at));
/// }
/// let job = BookingExpirer::new(Arc::new(store), BookingPolicy::default().expire_after)?;
///
/// let handled = assert_conforms(&job, 2.try_into()?).await.map_err(|error| error.to_string())?;
///
/// assert_eq!(handled, ["b1", "b2", "b3"]);
/// # Ok(())
/// # }
/// ```
pub async fn assert_conforms(job: &dyn Job, limit: NonZeroU32) -> Result<Vec<String>, JobError> {
    job.check().await?;
    let shown = preview(job, limit).await?;
    assert_eq!(
        shown,
        preview(job, limit).await?,
        "a preview changed what is due"
    );
    let forecast = job.forecast(&[]).await?;
    let due = shown.len() as u64;
    assert!(
        forecast.due.capped || forecast.due.count == due,
        "the forecast counts {} due rows, the preview lists {due}",
        forecast.due
    );
    let (overdue, wait) = (forecast.oldest_overdue, forecast.next_due);
    assert_eq!(
        overdue.is_some(),
        due > 0,
        "with {due} due rows, the oldest is overdue for {overdue:?}"
    );
    assert!(
        due == 0 || wait == Some(Duration::ZERO),
        "with {due} due rows, the next is due in {wait:?}"
    );

    let (handled, rejected) = run(job, limit).await?;
    let done: BTreeSet<&String> = handled.iter().chain(&rejected).collect();
    assert_eq!(
        done,
        shown.iter().collect(),
        "a run (left) and the preview before it (right) differ"
    );
    assert_eq!(
        done.len(),
        handled.len() + rejected.len(),
        "a run handled a row twice: {handled:?} {rejected:?}"
    );

    let left: BTreeSet<String> = preview(job, limit).await?.into_iter().collect();
    assert_eq!(
        left,
        rejected.iter().cloned().collect(),
        "a run left due rows (left) that it did not reject (right)"
    );
    let forecast = job.forecast(&rejected).await?;
    assert_eq!(
        forecast.due.count, 0,
        "a forecast counts rejected rows as due"
    );
    assert_ne!(
        forecast.next_due,
        Some(Duration::ZERO),
        "the forecast after a run says that a row is due"
    );
    let (again, _) = run(job, limit).await?;
    assert_eq!(again, [""; 0], "a second run handled rows again");
    Ok(handled)
}

/// Returns the ids on all pages.
async fn preview(job: &dyn Job, size: NonZeroU32) -> Result<Vec<String>, JobError> {
    let mut ids = Vec::new();
    let mut page = Page::first(size);
    loop {
        let PreviewRows {
            rows, due, next, ..
        } = job.preview(&Scope::All, &page).await?;
        assert!(
            rows.len() <= size.get() as usize,
            "a page of {size} has {} rows",
            rows.len()
        );
        ids.extend(rows.into_iter().map(|row| row.id));
        let Some(next) = next else {
            let listed = ids.len() as u64;
            assert!(
                due.capped || due.count == listed,
                "a preview counts {due} due rows and lists {listed}"
            );
            let unique: BTreeSet<&String> = ids.iter().collect();
            assert_eq!(
                unique.len(),
                ids.len(),
                "a preview lists a row twice: {ids:?}"
            );
            return Ok(ids);
        };
        assert!(
            page.after.as_ref() != Some(&next),
            "a page after {:?} returned the next cursor {next:?}",
            page.after
        );
        page.after = Some(next);
    }
}

/// Runs the job. Returns the ids handled and the ids rejected.
async fn run(job: &dyn Job, limit: NonZeroU32) -> Result<(Vec<String>, Vec<String>), JobError> {
    let bounds = job.begin_run().await?;
    let (mut handled, mut rejected) = (Vec::new(), Vec::new());
    let mut request = BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit,
        after: None,
    };
    loop {
        let batch = job.batch(&request).await?;
        let rows = batch.ids.len() + batch.rejected.len();
        assert!(
            rows <= limit.get() as usize,
            "a batch of {limit} rows handled {rows}"
        );
        handled.extend(batch.ids);
        rejected.extend(batch.rejected.into_iter().map(|row| row.id));
        let Some(next_cursor) = batch.next_cursor else {
            return Ok((handled, rejected));
        };
        assert!(
            request.after.as_ref() != Some(&next_cursor),
            "a batch after {:?} returned the next cursor {next_cursor:?}",
            request.after
        );
        request.after = Some(next_cursor);
    }
}
