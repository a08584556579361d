//! Compares the latency of batches with the best latency seen.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// The best latency of batches by size, over the last ten to twenty minutes of a job's runs.
///
/// A batch waits for a connection, for locks, for the processor and for the flush of the log like
/// any other client, so its latency rises with their load. As in LEDBAT (RFC 6817), a rise above
/// the best is taken for the load of others. Medians of a few batches are compared with medians, so
/// that ordinary jitter cancels out, and old ones are dropped, because tables grow.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    size: Option<NonZeroU32>,
    recent: Vec<Duration>,
    /// The best medians of the present window and of the one before.
    best: [BTreeMap<NonZeroU32, Duration>; 2],
    age: Duration,
}

impl Baseline {
    /// Adds a batch. Returns how many times as long as the best the last batches took, at least 1;
    /// `None` until [`SAMPLES`] batches of one size are known.
    pub(super) fn slowdown(&mut self, size: NonZeroU32, work: Duration) -> Option<f64> {
        if self.size != Some(size) {
            self.size = Some(size);
            self.recent.clear();
        }
        self.recent.push(work);
        if self.recent.len() < SAMPLES {
            return None;
        }
        let mut recent = std::mem::take(&mut self.recent);
        recent.sort();
        let median = recent[SAMPLES / 2].max(MIN_LATENCY);
        let best = &mut self.best[0];
        if best.len() < MAX_SIZES || best.contains_key(&size) {
            let best = best.entry(size).or_insert(median);
            *best = median.min(*best);
        }
        let expected = self.expected(size)?;
        Some(median.as_secs_f64() / expected.min(median).as_secs_f64())
    }

    /// Returns the latency of a batch of this size without load. A batch costs a fixed part and a
    /// part per row: a smaller one takes no longer, a larger one at most its multiple.
    fn expected(&self, size: NonZeroU32) -> Option<Duration> {
        let scaled = |(known, best): (&NonZeroU32, &Duration)| {
            best.mul_f64((f64::from(size.get()) / f64::from(known.get())).max(1.0))
        };
        self.best.iter().flatten().map(scaled).min()
    }

    /// Lets time pass: the work and the pause of a batch.
    pub(super) fn pass(&mut self, time: Duration) {
        self.age = self.age.saturating_add(time);
        if self.age >= WINDOW {
            self.age = Duration::ZERO;
            self.best[1] = std::mem::take(&mut self.best[0]);
        }
    }
}

/// Batches that a median is taken of.
const SAMPLES: usize = 9;

/// Time for which the best latencies are collected before the older ones are dropped.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// Below this the machine's timers decide, not the database.
const MIN_LATENCY: Duration = Duration::from_micros(100);

/// Sizes whose best latency is kept.
const MAX_SIZES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slowdown_is_a_median_against_the_best_median() {
        let mut baseline = Baseline::default();

        let steady = add(&mut baseline, 200, [4, 4, 40, 4, 4, 40, 4, 4, 4]);
        let slow = add(&mut baseline, 200, [8, 8, 8, 1, 8, 8, 8, 1, 8]);
        let steady_again = add(&mut baseline, 200, [4, 3, 5, 4, 4, 3, 5, 4, 4]);

        assert_eq!([steady, slow, steady_again], ["1.00", "2.00", "1.00"]);
    }

    #[test]
    fn another_size_is_judged_by_what_is_known() {
        let mut baseline = Baseline::default();
        add(&mut baseline, 100, [10; SAMPLES]);

        let smaller = add(&mut baseline, 50, [30; SAMPLES]);
        let larger = add(&mut baseline, 200, [30; SAMPLES]);

        assert_eq!([smaller, larger], ["3.00", "1.50"]);
    }

    #[test]
    fn the_best_is_dropped_after_two_windows() {
        let mut baseline = Baseline::default();
        add(&mut baseline, 100, [10; SAMPLES]);

        baseline.pass(WINDOW);
        let before = add(&mut baseline, 100, [20; SAMPLES]);
        baseline.pass(WINDOW);
        let after = add(&mut baseline, 100, [20; SAMPLES]);

        assert_eq!([before, after], ["2.00", "1.00"]);
    }

    fn add(baseline: &mut Baseline, size: u32, millis: [u64; SAMPLES]) -> String {
        let size = NonZeroU32::new(size).expect("a batch has rows");
        let batches = millis.map(Duration::from_millis);
        let last = batches.map(|work| baseline.slowdown(size, work));
        format!(
            "{:.2}",
            last[SAMPLES - 1].expect("the samples are complete")
        )
    }
}
