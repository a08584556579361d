//! Batches that were committed and are not reported yet.
//!
//! Work on SQLite runs to its end, even if its caller gave up: the step timed out, or its worker
//! was killed. Rows that go one by one may meet an error after others were committed. The next
//! batch of the job reports the rows.

use std::sync::{Mutex, PoisonError};

use crate::job::{Batch, Cursor};

/// The batches of a job that no caller has received.
#[derive(Debug, Default)]
pub(super) struct Done(Mutex<Vec<Batch>>);

impl Done {
    /// Keeps a batch that was committed. Returns where the next one begins.
    pub(super) fn note(&self, batch: Batch) -> Option<Cursor> {
        let next_cursor = batch.next_cursor.clone();
        self.batches().push(batch);
        next_cursor
    }

    /// Joins all that were kept. No await may lie between this and the report.
    pub(super) fn take(&self, next_cursor: Option<Cursor>) -> Batch {
        let batches = std::mem::take(&mut *self.batches());
        let joined = batches.into_iter().reduce(|mut all, batch| {
            all.counts.merge(&batch.counts);
            all.ids.extend(batch.ids);
            all.rejected.extend(batch.rejected);
            all
        });
        Batch {
            next_cursor,
            ..joined.unwrap_or_default()
        }
    }

    fn batches(&self) -> std::sync::MutexGuard<'_, Vec<Batch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
