//! What a rule remembers of rows that made it wait.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::each::TOO_LONG;
use crate::job::Batch;

/// How patient the next batches are.
#[derive(Debug, Default)]
pub(super) struct Contention(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
struct State {
    /// Until then, a batch waits for locks no longer than a single row does.
    hasty: Option<Instant>,
    /// Until then, batches go row by row.
    one_by_one: Option<Instant>,
}

impl Contention {
    pub(super) fn is_hasty(&self) -> bool {
        is_ahead(self.state().hasty)
    }

    pub(super) fn goes_row_by_row(&self) -> bool {
        is_ahead(self.state().one_by_one)
    }

    /// Remembers what came of a batch row by row.
    pub(super) fn note(&self, batch: &Batch) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !batch.rejected.is_empty() {
            state.hasty = now.checked_add(HASTE);
        }
        if batch.rejected.iter().any(|row| row.error == TOO_LONG) {
            state.one_by_one = now.checked_add(ONE_BY_ONE);
        }
    }

    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ahead(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

/// Rows that are locked elsewhere are so for a while.
const HASTE: Duration = Duration::from_secs(60);

/// A row that is slow stays slow, and all rows of its batch would wait for it in vain.
const ONE_BY_ONE: Duration = Duration::from_secs(10 * 60);
