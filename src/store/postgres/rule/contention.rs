//! A rule's memory of rows that made it wait.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::slow_rows::SlowRows;
use crate::job::Batch;

/// Until when batches go row by row at once, and the rows that are too slow.
///
/// A batch that fails as a whole has lost the time it waited, and the next one meets the same rows
/// or their neighbours.
#[derive(Debug, Default)]
pub(super) struct Contention(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    slow: SlowRows,
    /// Rows that ended a batch, each with its code.
    endings: BTreeSet<(String, String)>,
}

impl Contention {
    pub(super) fn goes_row_by_row(&self) -> bool {
        let until = self.state().until;
        until.is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn slow_rows(&self) -> SlowRows {
        self.state().slow.clone()
    }

    /// Returns whether a row ends a batch with the code it has ended one with before.
    pub(super) fn ends_again(&self, id: &str, code: &str) -> bool {
        let mut state = self.state();
        if state.endings.len() == MAX_ENDINGS {
            state.endings.clear();
        }
        !state.endings.insert((id.to_owned(), code.to_owned()))
    }

    /// Remembers what came of a batch row by row.
    pub(super) fn note(&self, batch: &Batch) {
        let now = Instant::now();
        let mut state = self.state();
        let is_slow = state.slow.note(batch, now);
        state.endings.retain(|(id, _)| !batch.ids.contains(id));
        let wait = match batch.rejected.iter().any(|row| !row.is_kept()) {
            true if is_slow => SLOW,
            true => LOCKED,
            false => return,
        };
        state.until = state.until.max(now.checked_add(wait));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows that are locked elsewhere, or rejected, are so for a while.
const LOCKED: Duration = Duration::from_secs(5);

/// Rows that ended a batch which are remembered.
const MAX_ENDINGS: usize = 1_000;

/// A row that is slow stays slow.
const SLOW: Duration = Duration::from_secs(10 * 60);
