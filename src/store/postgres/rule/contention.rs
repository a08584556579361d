//! What a rule remembers of rows that made it wait.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::each::TOO_LONG;
use crate::job::Batch;

/// Until when batches go row by row at once.
///
/// A batch that fails as a whole has lost the time it waited, and the next one meets the same rows
/// or their neighbours.
#[derive(Debug, Default)]
pub(super) struct Contention(Mutex<Option<Instant>>);

impl Contention {
    pub(super) fn goes_row_by_row(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Remembers what came of a batch row by row.
    pub(super) fn note(&self, batch: &Batch) {
        let is_slow = batch.rejected.iter().any(|row| row.error == TOO_LONG);
        let wait = match batch.rejected.iter().any(|row| !row.is_kept()) {
            true if is_slow => SLOW,
            true => LOCKED,
            false => return,
        };
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Instant::now().checked_add(wait));
    }
}

/// Rows that are locked elsewhere, or rejected, are so for a while.
const LOCKED: Duration = Duration::from_secs(5);

/// A row that is slow stays slow.
const SLOW: Duration = Duration::from_secs(10 * 60);
