//! What every job must keep, asked of one.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::job::{BatchRequest, Job, JobError, Page, PreviewRows, Scope};

/// Takes a job through its steps as a housekeeper would, in batches of `limit` rows, and returns
/// the ids it handled.
///
/// Give it rows to handle, more than `limit`, and a clock that stands, and let nobody else change
/// them. A limit of 1 or 2 finds most.
///
/// # Panics
///
/// Where the job does not keep what [`Job`] asks: a preview that changes something, skips rows or
/// repeats them; an forecast that disagrees with the preview; a batch that exceeds its limit or
/// does not come forward; a run that handles other rows than the preview showed, or leaves some.
///
/// # Errors
///
/// The first error of any step.
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
///     store.add_booking(MemoryBooking::pending(id, uuid::Uuid::nil(), Utc::now() - TimeDelta::hours(1)));
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

    let (handled, aside) = run(job, limit).await?;
    let done: BTreeSet<&String> = handled.iter().chain(&aside).collect();
    assert_eq!(
        done,
        shown.iter().collect(),
        "a run (left) and the preview before it (right) differ"
    );
    assert_eq!(
        done.len(),
        handled.len() + aside.len(),
        "a run handled a row twice: {handled:?} {aside:?}"
    );

    let left: BTreeSet<String> = preview(job, limit).await?.into_iter().collect();
    assert_eq!(
        left,
        aside.iter().cloned().collect(),
        "a run left due rows (left) that it did not set aside (right)"
    );
    let forecast = job.forecast(&aside).await?;
    assert_eq!(forecast.due.count, 0, "rows set aside count as due");
    assert_ne!(
        forecast.next_due,
        Some(Duration::ZERO),
        "the next row is due at once, after a run"
    );
    let (again, _) = run(job, limit).await?;
    assert_eq!(again, [""; 0], "a second run handled rows again");
    Ok(handled)
}

/// The ids on all pages.
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
            "a preview goes from {:?} to {next:?}",
            page.after
        );
        page.after = Some(next);
    }
}

/// The ids handled, and those set aside.
async fn run(job: &dyn Job, limit: NonZeroU32) -> Result<(Vec<String>, Vec<String>), JobError> {
    let window = job.begin_run().await?;
    let (mut handled, mut aside) = (Vec::new(), Vec::new());
    let mut pass = BatchRequest {
        scope: Scope::All,
        now: window.now,
        cutoff: window.cutoff,
        limit,
        after: None,
    };
    loop {
        let batch = job.batch(&pass).await?;
        let rows = batch.ids.len() + batch.rejected.len();
        assert!(
            rows <= limit.get() as usize,
            "a batch of {limit} rows handled {rows}"
        );
        handled.extend(batch.ids);
        aside.extend(batch.rejected.into_iter().map(|row| row.id));
        let Some(next_cursor) = batch.next_cursor else {
            return Ok((handled, aside));
        };
        assert!(
            pass.after.as_ref() != Some(&next_cursor),
            "a batch after {:?} next_cursor {next_cursor:?}",
            pass.after
        );
        pass.after = Some(next_cursor);
    }
}
