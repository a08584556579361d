//! Checks that a row survives that a user saves while a batch is in progress.

use std::num::NonZeroU32;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;

use super::walk::{ids, preview, request};
use crate::job::{Job, JobError, Scope};

/// A user of the host's application who saves a due row: a payment, a message, a new deadline.
///
/// It needs its own connection. [`Conformance`](super::Conformance) calls the methods in order,
/// with a batch between the first two.
#[async_trait]
pub trait Guest: Send {
    /// Begins a transaction, changes the row so that it is no longer due, and does not commit.
    async fn begin(&mut self, id: &str) -> Result<(), JobError>;

    /// Commits the transaction.
    async fn commit(&mut self) -> Result<(), JobError>;

    /// Returns whether the row exists as the user saved it.
    async fn is_saved(&mut self, id: &str) -> Result<bool, JobError>;
}

/// Runs a batch while the guest saves this row, and returns the ids of the other rows it handled.
pub(super) async fn assert_saved(
    job: &dyn Job,
    limit: NonZeroU32,
    guest: &mut dyn Guest,
    id: &str,
) -> Result<Vec<String>, JobError> {
    let request = request(job, &Scope::All, limit).await?;
    guest.begin(id).await?;
    let mut batch = pin!(job.batch(&request));
    // A batch that skips the locked row ends; one that waits for it continues after the commit.
    let done = tokio::time::timeout(WAIT, &mut batch).await;
    guest.commit().await?;
    let done = match done {
        Ok(done) => done,
        Err(_) => batch.await,
    };
    // A batch that timed out on the lock, or could not be serialized, has changed nothing.
    let handled = done.map(|batch| batch.ids).unwrap_or_default();
    assert!(
        !handled.iter().any(|handled| handled == id),
        "a batch handled {id}, which a user had saved before it was written: lock the rows that are \
         picked, or check the rule in the write"
    );
    assert!(
        guest.is_saved(id).await?,
        "a batch changed {id} after a user had saved it"
    );
    let due = ids(&preview(job, &Scope::All, limit).await?);
    assert!(
        !due.iter().any(|due| due == id),
        "{id} is due after the guest saved it: `Guest::begin` must end that"
    );
    Ok(handled)
}

/// How long a batch may wait for the guest's lock: long enough to have read its rows.
const WAIT: Duration = Duration::from_millis(300);
