//! Rows that are too slow to be written, left alone for a while so that the others go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::job::Batch;
use crate::store::Timeouts;

/// Rows that used up the time of a statement, with a backoff of their own.
///
/// A row is slow only beside others that are written: if none is, the fault is the table's, and the
/// retries of the run find out when it is over.
#[derive(Debug, Clone, Default)]
pub(super) struct SlowRows {
    rows: BTreeMap<String, SlowRow>,
    last_written: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct SlowRow {
    next_attempt: Instant,
    backoff: Duration,
    /// Whether others were written meanwhile. Until then the row is not left alone.
    is_confirmed: bool,
}

impl SlowRows {
    /// Returns how long a row is left alone; `None` if it is to be tried.
    pub(super) fn wait(&self, id: &str, now: Instant) -> Option<Duration> {
        let row = self.rows.get(id)?;
        let wait = row.next_attempt.saturating_duration_since(now);
        (!wait.is_zero()).then_some(wait)
    }

    /// Shortens the time of a statement where several rows have used up theirs.
    pub(super) fn shorten(&self, timeouts: Timeouts) -> Timeouts {
        let slow = self.rows.values().filter(|row| row.is_confirmed).count();
        let halvings = u32::try_from(slow.saturating_sub(1)).unwrap_or(u32::MAX);
        let divisor = 2_u32.saturating_pow(halvings);
        let statement = (timeouts.statement / divisor).max(MIN_STATEMENT);
        Timeouts {
            statement: statement.min(timeouts.statement),
            ..timeouts
        }
    }

    /// Returns whether the batch met a slow row.
    pub(super) fn note(&mut self, batch: &Batch, now: Instant) -> bool {
        if !batch.ids.is_empty() {
            self.last_written = Some(now);
        }
        let others_are_written = self
            .last_written
            .is_some_and(|written| now.saturating_duration_since(written) < FIRST);
        let mut is_slow = false;
        for row in &batch.rejected {
            is_slow |= row.error.starts_with(TOO_LONG);
            if row.error == TOO_LONG {
                self.leave_alone(&row.id, others_are_written, now);
            }
        }
        let mut one_was_written = false;
        for id in &batch.ids {
            one_was_written |= self.rows.remove(id).is_some();
        }
        for row in self.rows.values_mut() {
            if one_was_written {
                // The cause may be over for the others as well.
                row.next_attempt = now;
            } else if !batch.ids.is_empty() && !row.is_confirmed {
                row.confirm(now);
            }
        }
        // Rows that no batch met for that long are gone.
        self.rows
            .retain(|_, row| now.saturating_duration_since(row.next_attempt) < MAX);
        is_slow
    }

    fn leave_alone(&mut self, id: &str, others_are_written: bool, now: Instant) {
        if self.rows.len() == MAX_SLOW && !self.rows.contains_key(id) {
            return;
        }
        let row = self.rows.entry(id.to_owned()).or_insert(SlowRow {
            next_attempt: now,
            backoff: FIRST,
            is_confirmed: false,
        });
        if row.is_confirmed && others_are_written {
            row.backoff = row.backoff.saturating_mul(2).min(MAX);
        }
        if row.is_confirmed || others_are_written {
            row.confirm(now);
        }
    }
}

impl SlowRow {
    fn confirm(&mut self, now: Instant) {
        self.is_confirmed = true;
        self.next_attempt = now.checked_add(self.backoff).unwrap_or(now);
    }
}

/// Said of a row that used up the time of a statement.
pub(super) const TOO_LONG: &str = "writing it takes too long";

/// Wait before the second attempt at a slow row. Each further wait is twice as long.
pub(super) const FIRST: Duration = Duration::from_secs(60);
const MAX: Duration = Duration::from_secs(60 * 60);

/// Slow rows that are remembered.
const MAX_SLOW: usize = 1_000;

/// Ordinary rows are written in less, many times over.
const MIN_STATEMENT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::RejectedRow;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_slow_row_is_tried_again_after_a_growing_wait() {
        let mut slow = SlowRows::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();

        for _ in 0..8 {
            slow.note(&writing("free"), now);
            slow.note(&rejecting("b0", TOO_LONG), now);
            let wait = slow.wait("b0", now).expect("is left alone");
            waits.push(wait.as_secs() / 60);
            // A run that reports it meanwhile makes no attempt.
            assert!(slow.note(&rejecting("b0", "writing it takes too long; later"), now));
            assert_eq!(slow.wait("b0", now), Some(wait));
            now += wait;
            assert_eq!(slow.wait("b0", now), None, "is tried");
        }

        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(slow.wait("b1", now), None);
    }

    #[test]
    fn a_slow_row_that_was_written_or_is_gone_is_forgotten() {
        let mut slow = SlowRows::default();
        let now = Instant::now();
        slow.note(&writing("free"), now);
        slow.note(&rejecting("b0", TOO_LONG), now);
        slow.note(&rejecting("b1", TOO_LONG), now);

        slow.note(&writing("b0"), now);

        assert_eq!(slow.rows.keys().collect::<Vec<_>>(), ["b1"]);
        assert_eq!(slow.wait("b1", now), None, "the cause may be over");
        assert!(!slow.note(&Batch::default(), now + MAX + MINUTE));
        assert_eq!(slow.rows.len(), 0);
    }

    #[test]
    fn rows_that_are_all_slow_are_not_left_alone() {
        let mut slow = SlowRows::default();
        let now = Instant::now();

        assert!(slow.note(&rejecting("b0", TOO_LONG), now));
        assert_eq!(slow.wait("b0", now), None);
        slow.note(&writing("free"), now);
        assert_eq!(slow.wait("b0", now), Some(MINUTE));
        for minutes in [1, 2, 3] {
            let now = now + MINUTE * minutes;
            slow.note(&rejecting("b0", TOO_LONG), now);
            assert_eq!(slow.wait("b0", now), Some(MINUTE), "the wait does not grow");
        }
    }

    #[test]
    fn several_slow_rows_shorten_the_time_of_each_down_to_a_second() {
        let timeouts = |statement| Timeouts {
            statement: Duration::from_millis(statement),
            ..Timeouts::default()
        };
        let mut slow = SlowRows::default();
        let now = Instant::now();

        slow.note(&writing("free"), now);
        let shortened: Vec<u64> = (0..6)
            .map(|number| {
                slow.note(&rejecting(&format!("b{number}"), TOO_LONG), now);
                slow.shorten(timeouts(10_000)).statement.as_secs()
            })
            .collect();

        assert_eq!(shortened, [10, 5, 2, 1, 1, 1]);
        assert_eq!(slow.shorten(timeouts(300)), timeouts(300));
    }

    #[test]
    fn many_slow_rows_take_bounded_memory() {
        let mut slow = SlowRows::default();
        let now = Instant::now();

        slow.note(&writing("free"), now);
        for number in 0..=MAX_SLOW {
            slow.note(&rejecting(&number.to_string(), TOO_LONG), now);
        }

        assert_eq!(slow.rows.len(), MAX_SLOW);
    }

    fn writing(id: &str) -> Batch {
        Batch::new(vec![id.to_owned()], None)
    }

    fn rejecting(id: &str, error: &str) -> Batch {
        Batch::default().with_rejected(vec![RejectedRow {
            id: id.to_owned(),
            error: error.to_owned(),
        }])
    }
}
