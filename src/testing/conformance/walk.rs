//! Reads all pages of a preview, and runs all batches of a run.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use crate::job::{BatchRequest, Job, JobError, Page, PreviewRow, PreviewRows, Progress, Scope};

pub(super) fn ids(rows: &[PreviewRow]) -> Vec<String> {
    rows.iter().map(|row| row.id.clone()).collect()
}

/// Returns the rows on all pages.
pub(super) async fn preview(
    job: &dyn Job,
    scope: &Scope,
    size: NonZeroU32,
) -> Result<Vec<PreviewRow>, JobError> {
    let mut all = Vec::new();
    let mut page = Page::first(size);
    let mut progress = Progress::default();
    loop {
        let PreviewRows {
            rows, due, next, ..
        } = job.preview(scope, &page).await?;
        assert!(
            rows.len() <= size.get() as usize,
            "a page of {size} has {} rows",
            rows.len()
        );
        all.extend(rows);
        let Some(next) = next else {
            let listed = all.len() as u64;
            assert!(
                due.capped || due.count == listed,
                "a preview counts {due} due rows and lists {listed}"
            );
            let ids = ids(&all);
            let unique: BTreeSet<&String> = ids.iter().collect();
            assert_eq!(
                unique.len(),
                ids.len(),
                "a preview lists a row twice: {ids:?}"
            );
            return Ok(all);
        };
        assert!(
            !progress.is_cycle(page.after.as_ref(), &next),
            "a preview would never end: it goes from {:?} to {next:?}",
            page.after
        );
        page.after = Some(next);
    }
}

/// Reads the preview row by row, and asserts that no row is older than the one before it.
pub(super) async fn assert_oldest_first(job: &dyn Job) -> Result<(), JobError> {
    let mut page = Page::first(NonZeroU32::MIN);
    let mut places = Vec::new();
    // A job may show another instant of a row than the one that orders the rows.
    let mut exact = true;
    while places.len() < MAX_PLACES {
        let PreviewRows { rows, next, .. } = job.preview(&Scope::All, &page).await?;
        let Some(row) = rows.into_iter().next() else {
            break;
        };
        let Some(next) = next else {
            places.extend(exact.then_some((row.since, row.id)));
            break;
        };
        exact &= next.since == row.since;
        places.push((next.since, row.id));
        page.after = Some(next);
    }
    for pair in places.windows(2) {
        let [(since, id), (next_since, next_id)] = pair else {
            continue;
        };
        assert!(
            since <= next_since,
            "rows do not come oldest first: {id} of {since} comes before {next_id} of {next_since}. \
             Order by the instant, then by the id"
        );
    }
    Ok(())
}

/// Runs the job. Returns the ids of handled and of rejected rows.
pub(super) async fn run(
    job: &dyn Job,
    scope: &Scope,
    limit: NonZeroU32,
) -> Result<(Vec<String>, Vec<String>), JobError> {
    let (mut handled, mut rejected) = (Vec::new(), Vec::new());
    let mut request = request(job, scope, limit).await?;
    let mut progress = Progress::default();
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
            !progress.is_cycle(request.after.as_ref(), &next_cursor),
            "a run would never end: a batch after {:?} ends at {next_cursor:?}",
            request.after
        );
        request.after = Some(next_cursor);
    }
}

/// Begins a run. Returns the request for its first batch.
pub(super) async fn request(
    job: &dyn Job,
    scope: &Scope,
    limit: NonZeroU32,
) -> Result<BatchRequest, JobError> {
    let bounds = job.begin_run().await?;
    Ok(BatchRequest {
        scope: scope.clone(),
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit,
        after: None,
    })
}

/// Maximum rows whose order is checked, because each costs a preview.
const MAX_PLACES: usize = 100;
