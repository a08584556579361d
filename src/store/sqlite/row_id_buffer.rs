//! The rows of a run, looked up many at a time and then handled in the order in which they lie in
//! the file.
//!
//! Age finds the rows that are due, but says nothing of where they are. Small batches by age would
//! each touch pages all over the file, and every page is written anew by each batch that touches
//! it: three to five times as much as one large statement writes. So a run reads the addresses of
//! the next [`SIZE`] rows by age, in a read that blocks no writer, sorts them by address, and
//! its batches take slices of them. The write judges each row again: an address is only a hint.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use diesel::QueryResult;

use crate::job::{BatchRequest, Cursor, Scope};

/// The part of a run that lies between two places in the order of age.
#[derive(Debug)]
pub(super) struct RowIdBuffer {
    run: Run,
    /// The last cursor that a batch returned.
    next_cursor: Option<Cursor>,
    /// Where the window begins.
    begin: Cursor,
    /// Its last row, if more may follow behind it.
    end: Option<Cursor>,
    /// Addresses of the rows that are left.
    rows: VecDeque<i64>,
    handed_out: u64,
}

/// Two passes of one run agree in these.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    now: DateTime<Utc>,
    cutoff: DateTime<Utc>,
    scope: Scope,
}

/// The result of a look-up.
pub(super) struct Found {
    /// Addresses, in the order in which they are to be handled.
    pub(super) rows: Vec<i64>,
    /// The last row in the order of age, if the window is full.
    pub(super) end: Option<Cursor>,
}

impl RowIdBuffer {
    /// The next rows. None are left only at the end of the run.
    pub(super) fn slice(&mut self, limit: NonZeroU32) -> Vec<i64> {
        let count = self.rows.len().min(limit.get() as usize);
        self.handed_out += count as u64;
        self.next_cursor = if count < self.rows.len() {
            Some(self.inside())
        } else {
            self.end.clone()
        };
        self.rows.drain(..count).collect()
    }

    /// Where the batch ends, for [`Batch::next_cursor`](crate::job::Batch::next_cursor).
    pub(super) fn next_cursor(&self) -> Option<Cursor> {
        self.next_cursor.clone()
    }

    /// A place behind the beginning and before any row. A run that finds its window gone goes on
    /// from there, so that it loses none.
    fn inside(&self) -> Cursor {
        Cursor {
            since: self.begin.since,
            id: format!("{}\0{:010}", self.begin.id, self.handed_out),
        }
    }
}

/// The windows of runs in progress, between two of their batches. Housekeepers on clones of one
/// store each have theirs.
#[derive(Debug, Default)]
pub(super) struct Windows(Mutex<VecDeque<RowIdBuffer>>);

impl Windows {
    /// Takes out the buffer of this run, or looks the next one up. A caller that does not put it
    /// back begins a new one.
    pub(super) fn take(
        &self,
        pass: &BatchRequest,
        look_up: impl FnOnce() -> QueryResult<Found>,
    ) -> QueryResult<RowIdBuffer> {
        let run = Run {
            now: pass.now,
            cutoff: pass.cutoff,
            scope: pass.scope.clone(),
        };
        let kept = {
            let mut windows = self.lock();
            let place = windows.iter().position(|window| window.run == run);
            place.and_then(|place| windows.remove(place))
        };
        if let Some(window) = kept.filter(|window| window.next_cursor == pass.after) {
            return Ok(window);
        }
        let found = look_up()?;
        Ok(RowIdBuffer {
            run,
            next_cursor: pass.after.clone(),
            begin: pass.after.clone().unwrap_or_else(start),
            end: found.end,
            rows: found.rows.into(),
            handed_out: 0,
        })
    }

    /// Keeps what is left of a window for the next batch.
    pub(super) fn put_back(&self, window: RowIdBuffer) {
        if window.rows.is_empty() {
            return;
        }
        let mut windows = self.lock();
        windows.push_back(window);
        // Only runs that were given up leave a window behind.
        if windows.len() > KEPT {
            windows.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<RowIdBuffer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place before all rows.
pub(super) fn start() -> Cursor {
    Cursor {
        since: DateTime::<Utc>::MIN_UTC,
        id: String::new(),
    }
}

/// Rows of a full window: 0.8 MB of addresses.
pub(super) const SIZE: i64 = 100_000;

/// Windows that are kept. More runs at once, on one store, lose theirs and look again.
const KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroU32 = NonZeroU32::new(2).expect("two");
    const NINE: NonZeroU32 = NonZeroU32::new(9).expect("nine");

    fn pass(after: Option<Cursor>) -> BatchRequest {
        BatchRequest {
            scope: Scope::All,
            now: DateTime::<Utc>::UNIX_EPOCH,
            cutoff: DateTime::<Utc>::UNIX_EPOCH,
            limit: TWO,
            after,
        }
    }

    fn cursor(id: &str) -> Cursor {
        Cursor {
            since: DateTime::<Utc>::UNIX_EPOCH,
            id: id.to_owned(),
        }
    }

    fn found(rows: impl IntoIterator<Item = i64>, end: Option<&str>) -> Found {
        Found {
            rows: rows.into_iter().collect(),
            end: end.map(cursor),
        }
    }

    #[test]
    fn slices_hand_out_each_row_once_and_marks_ascend() {
        let windows = Windows::default();
        let mut after = None;
        let mut rows = Vec::new();
        let mut look_ups = 0;

        loop {
            let mut window = windows
                .take(&pass(after.clone()), || {
                    look_ups += 1;
                    Ok(match look_ups {
                        1 => found(0..5, Some("m")),
                        _ => found(5..8, None),
                    })
                })
                .expect("a window");
            rows.extend(window.slice(TWO));
            let next_cursor = window.next_cursor();
            windows.put_back(window);
            if next_cursor.is_none() {
                break;
            }
            assert!(next_cursor > after, "{next_cursor:?} after {after:?}");
            after = next_cursor;
        }

        assert_eq!(rows, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(look_ups, 2);
    }

    #[test]
    fn a_run_that_lost_its_window_looks_from_where_that_began() {
        let windows = Windows::default();
        let mut lost = windows
            .take(&pass(Some(cursor("c"))), || Ok(found(0..5, Some("m"))))
            .expect("a window");
        lost.slice(TWO);
        let next_cursor = lost.next_cursor();

        assert!(next_cursor > Some(cursor("c")) && next_cursor < Some(cursor("c!")));
        let again = windows.take(&pass(next_cursor), || Ok(found([7], None)));
        assert_eq!(again.expect("a window").slice(NINE), [7]);
    }

    #[test]
    fn runs_that_take_turns_keep_their_windows() {
        let windows = Windows::default();
        let runs = [Scope::All, Scope::user("somebody")];
        let mut look_ups = 0;
        let mut after = [None, None];

        for _ in 0..3 {
            for (scope, after) in runs.iter().zip(&mut after) {
                let pass = BatchRequest {
                    scope: scope.clone(),
                    ..pass(after.clone())
                };
                let window = windows.take(&pass, || {
                    look_ups += 1;
                    Ok(found(0..9, None))
                });
                let mut window = window.expect("a window");
                assert_eq!(window.slice(TWO).len(), 2);
                *after = window.next_cursor();
                windows.put_back(window);
            }
        }

        assert_eq!(look_ups, 2);
    }

    #[test]
    fn of_more_runs_than_windows_are_kept_the_oldest_look_again() {
        let windows = Windows::default();
        let pass_of = |run: usize, after: Option<Cursor>| BatchRequest {
            scope: Scope::user(run),
            ..pass(after)
        };
        let mut marks = Vec::new();
        for run in 0..=KEPT {
            let window = windows.take(&pass_of(run, None), || Ok(found(0..9, None)));
            let mut window = window.expect("a window");
            window.slice(TWO);
            marks.push(window.next_cursor());
            windows.put_back(window);
        }

        let looks_again = |run: usize| {
            let mut looked = false;
            let window = windows.take(&pass_of(run, marks[run].clone()), || {
                looked = true;
                Ok(found([], None))
            });
            assert!(window.is_ok());
            looked
        };

        let again: Vec<usize> = (0..=KEPT).filter(|run| looks_again(*run)).collect();
        assert_eq!(again, [0]);
    }

    #[test]
    fn a_window_of_another_run_is_not_taken() {
        let windows = Windows::default();
        let mut window = windows
            .take(&pass(None), || Ok(found(0..5, None)))
            .expect("a window");
        window.slice(TWO);
        let after = window.next_cursor();
        windows.put_back(window);

        let other = BatchRequest {
            scope: Scope::user("somebody"),
            ..pass(after)
        };
        let other = windows.take(&other, || Ok(found([7], None)));

        assert_eq!(other.expect("a window").slice(NINE), [7]);
    }
}
