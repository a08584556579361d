//! Detects a run that makes no progress.

use super::Cursor;

/// Detects a run that returns to an earlier cursor.
///
/// Only the database orders cursors, in its collation; equal ones are equal everywhere. Brent's
/// algorithm finds a cycle of any length with one remembered cursor, after at most three times its
/// length.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    remembered: Option<Cursor>,
    steps: u64,
    until: u64,
}

impl Progress {
    /// Records a step from one cursor to the next. Returns whether the run is in a cycle.
    pub(crate) fn is_cycle(&mut self, from: Option<&Cursor>, to: &Cursor) -> bool {
        if from == Some(to) || self.remembered.as_ref() == Some(to) {
            return true;
        }
        self.steps += 1;
        if self.steps > self.until {
            self.until = self.until.saturating_mul(2).max(1);
            self.steps = 0;
            self.remembered = Some(to.clone());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn cursor(id: u64) -> Cursor {
        Cursor {
            since: DateTime::UNIX_EPOCH,
            id: id.to_string(),
        }
    }

    /// Returns the steps until a cycle is found, after `start` cursors and then `length` of them
    /// repeated.
    fn steps(start: u64, length: u64) -> u64 {
        let mut progress = Progress::default();
        let mut from = None;
        for step in 0.. {
            let at = if step < start {
                step
            } else {
                start + (step - start) % length
            };
            let to = cursor(at);
            if progress.is_cycle(from.as_ref(), &to) {
                return step;
            }
            from = Some(to);
        }
        unreachable!("the loop ends by its return")
    }

    #[test]
    fn a_cycle_of_any_length_is_found() {
        for start in [0, 1, 7, 100] {
            for length in [1, 2, 3, 50] {
                let found = steps(start, length);
                assert!(
                    found > start && found <= 3 * (start + length) + 3,
                    "{start} {length}: {found}"
                );
            }
        }
    }

    #[test]
    fn descending_ids_are_no_cycle() {
        let mut progress = Progress::default();
        let mut from = None;
        for id in (0..5_000).rev() {
            let to = cursor(id);
            assert!(!progress.is_cycle(from.as_ref(), &to));
            from = Some(to);
        }
    }
}
