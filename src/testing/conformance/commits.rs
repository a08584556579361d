//! Checks that rows are reported although the answer of their commit is lost.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use super::walk::{ids, preview, request, run};
use crate::job::{Job, JobError, Scope};
use crate::testing::{PostgresProxy, WireFault};

/// Runs batches with one unconfirmed commit each, then the rest, and returns the reported ids;
/// `None` if no row is due.
pub(super) async fn assert_reported(
    job: &dyn Job,
    limit: NonZeroU32,
    proxy: &PostgresProxy,
) -> Result<Option<Vec<String>>, JobError> {
    let due = ids(&preview(job, &Scope::All, limit).await?);
    if due.is_empty() {
        return Ok(None);
    }
    let mut reported = Vec::new();
    // A batch may commit a transaction that only reads before it commits the one that writes.
    for commit in 1..=MAX_COMMITS {
        let request = request(job, &Scope::All, limit).await?;
        proxy.fail_commit(commit, WireFault::AnswerLost);
        let done = job.batch(&request).await;
        let was_cut = proxy.clear();
        reported.extend(done.map(|batch| batch.ids).unwrap_or_default());
        assert!(
            was_cut || commit > 1,
            "no commit came through the proxy: build the job's store with its URL"
        );
        if !was_cut {
            break;
        }
    }
    let (handled, rejected) = run(job, &Scope::All, limit).await?;
    reported.extend(handled);
    let left = ids(&preview(job, &Scope::All, limit).await?);

    let unique: BTreeSet<&String> = reported.iter().collect();
    assert_eq!(
        unique.len(),
        reported.len(),
        "a row was reported twice after a commit that was not confirmed: {reported:?}"
    );
    let known: BTreeSet<&String> = unique.into_iter().chain(&rejected).chain(&left).collect();
    let lost: Vec<&String> = due.iter().filter(|id| !known.contains(id)).collect();
    assert!(
        lost.is_empty(),
        "the commit of {lost:?} was not confirmed, and no batch reports them: look up afterwards \
         whether it succeeded, as declared rules do"
    );
    Ok(Some(reported))
}

/// Maximum transactions of a batch.
const MAX_COMMITS: usize = 3;
