//! Whether a run comes forward.

use super::Cursor;

/// Notices a walk that comes back to a place it was at.
///
/// Places are in the order of the database, in its collation, so that only equality can be judged
/// here. Brent's algorithm finds a circle of any length with one place remembered, after at most
/// three times its length.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    remembered: Option<Cursor>,
    steps: u64,
    until: u64,
}

impl Progress {
    /// Notes a step from one place to the next; says whether the walk goes in a circle.
    pub(crate) fn circles(&mut self, from: Option<&Cursor>, to: &Cursor) -> bool {
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

    /// Steps until a walk is found to circle: `start` places once, then `length` of them again and
    /// again.
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
            if progress.circles(from.as_ref(), &to) {
                return step;
            }
            from = Some(to);
        }
        unreachable!("the loop ends by its return")
    }

    #[test]
    fn a_circle_of_any_length_is_found_soon() {
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
    fn places_that_fall_in_bytes_are_no_circle() {
        let mut progress = Progress::default();
        let mut from = None;
        for id in (0..5_000).rev() {
            let to = cursor(id);
            assert!(!progress.circles(from.as_ref(), &to));
            from = Some(to);
        }
    }
}
