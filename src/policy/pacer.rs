//! Decides the size of the next batch and the pause before it.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::Pace;

/// Adapts the batch size to the target duration of a [`Pace`].
///
/// The size doubles until a batch comes near the target, then grows by the minimum size, and halves
/// when a batch takes longer than the target or fails.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    batch: NonZeroU32,
    /// Whether no batch has come near the target yet.
    doubling: bool,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            batch: pace.min_batch,
            doubling: true,
            pace,
        }
    }

    /// Returns the row limit of the next batch.
    pub(crate) fn batch(&self) -> NonZeroU32 {
        self.batch
    }

    /// Adapts the size to a batch that took `work`. Returns the pause before the next batch.
    pub(crate) fn took(&mut self, work: Duration) -> Duration {
        if work > self.pace.target {
            self.shrink();
        } else if work < self.pace.target / 2 {
            let step = if self.doubling {
                self.batch
            } else {
                self.pace.min_batch
            };
            let grown = self.batch.saturating_add(step.get());
            self.batch = grown.min(self.pace.max_batch);
        } else {
            self.doubling = false;
        }
        self.pause(work)
    }

    /// Halves the size after a failed batch: it may have been too large for a timeout.
    pub(crate) fn failed(&mut self) {
        self.shrink();
    }

    fn shrink(&mut self) {
        self.doubling = false;
        let halved = NonZeroU32::new(self.batch.get() / 2).unwrap_or(NonZeroU32::MIN);
        self.batch = halved.max(self.pace.min_batch);
    }

    fn pause(&self, work: Duration) -> Duration {
        let Pace {
            duty_percent,
            min_pause,
            max_pause,
            ..
        } = self.pace;
        let duty = u32::from(duty_percent.clamp(1, 100));
        let pause = work.saturating_mul(100 - duty) / duty;
        pause.min(max_pause).max(min_pause)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quarter_of_duty_pauses_three_times_the_work() {
        let mut pacer = Pacer::new(Pace {
            duty_percent: 25,
            ..Pace::polite()
        });

        let pause = pacer.took(Duration::from_millis(8));

        assert_eq!(pause, Duration::from_millis(24));
    }

    #[test]
    fn full_speed_never_pauses() {
        let mut pacer = Pacer::new(Pace::full_speed());

        let pause = pacer.took(Duration::from_secs(3));

        assert_eq!(pause, Duration::ZERO);
    }

    #[test]
    fn a_fixed_batch_stays_as_it_is() {
        let mut pacer = Pacer::new(Pace::fixed(rows(7)));

        pacer.took(Duration::ZERO);
        let quick = pacer.batch();
        pacer.took(Duration::from_secs(9));
        pacer.failed();

        assert_eq!((quick, pacer.batch()), (rows(7), rows(7)));
    }

    #[test]
    fn batches_double_until_one_comes_near_the_target() {
        let mut pacer = Pacer::new(Pace::full_speed());
        let (quick, near) = (Duration::ZERO, Pace::full_speed().target * 3 / 4);
        let mut sizes = Vec::new();

        for work in [quick, quick, near, quick, quick] {
            pacer.took(work);
            sizes.push(pacer.batch().get() / Pace::full_speed().min_batch);
        }

        assert_eq!(sizes, [2, 4, 4, 5, 6]);
    }

    #[test]
    fn only_a_failure_or_a_batch_over_target_halves_the_size() {
        let target = Pace::full_speed().target;
        let moment = Duration::from_nanos(1);
        // Starts from a batch of 8,000 rows, reached by doubling.
        let after = |work: Option<Duration>| {
            let mut pacer = Pacer::new(Pace::full_speed());
            for _ in 0..3 {
                pacer.took(Duration::ZERO);
            }
            match work {
                Some(work) => drop(pacer.took(work)),
                None => pacer.failed(),
            }
            pacer.batch().get()
        };

        assert_eq!(after(None), 4_000);
        assert_eq!(after(Some(target + moment)), 4_000);
        assert_eq!(after(Some(target)), 8_000);
        assert_eq!(after(Some(target / 2)), 8_000);
        assert_eq!(after(Some(target / 3)), 10_000);
    }

    #[test]
    fn the_presets_recover_within_ten_batches() {
        for pace in [Pace::polite(), Pace::full_speed()] {
            let mut pacer = Pacer::new(pace.clone());
            pacer.failed();

            for _ in 0..10 {
                pacer.took(Duration::ZERO);
            }

            assert_eq!(pacer.batch(), pace.max_batch);
        }
    }

    proptest! {
        #[test]
        fn size_and_pause_stay_within_their_bounds(pace in pace(), outcomes in outcomes(200)) {
            let mut pacer = Pacer::new(pace.clone());

            for outcome in outcomes {
                let pause = if let Some(work) = outcome {
                    pacer.took(work)
                } else {
                    pacer.failed();
                    Duration::ZERO
                };

                prop_assert!(pacer.batch() >= pace.min_batch);
                prop_assert!(pacer.batch() <= pace.max_batch);
                prop_assert!(pause <= pace.max_pause.max(pace.min_pause));
            }
        }

        #[test]
        fn the_size_converges_under_any_cost_that_grows_with_it(
            pace in pace(),
            fixed_us in 0_u64..20_000,
            per_row_ns in 0_u64..200_000,
        ) {
            let cost = |batch: NonZeroU32| {
                Duration::from_micros(fixed_us) + Duration::from_nanos(per_row_ns) * batch.get()
            };
            let mut pacer = Pacer::new(pace.clone());
            for _ in 0..size_steps(&pace) {
                pacer.took(cost(pacer.batch()));
            }

            for _ in 0..size_steps(&pace) {
                let batch = pacer.batch();
                pacer.took(cost(batch));

                // Over target only one step beyond a size that fits, or at the minimum size.
                let one_less = NonZeroU32::new(batch.get().saturating_sub(pace.min_batch.get()));
                let fits_one_less = one_less.is_none_or(|batch| cost(batch) <= pace.target);
                prop_assert!(cost(batch) <= pace.target || batch == pace.min_batch || fits_one_less);
                // Never stuck below a size that easily fits.
                prop_assert!(cost(batch) >= pace.target / 2 || pacer.batch() > batch || batch == pace.max_batch);
            }
        }

        #[test]
        fn after_failures_the_size_recovers_within_its_steps(pace in pace(), failures in 1_usize..50) {
            let mut pacer = Pacer::new(pace.clone());
            for _ in 0..failures {
                pacer.failed();
            }

            for _ in 0..size_steps(&pace) {
                pacer.took(Duration::ZERO);
            }

            prop_assert_eq!(pacer.batch(), pace.max_batch);
        }

        #[test]
        fn the_duty_is_kept_unless_a_bound_cuts_the_pause(pace in pace(), work_us in 1_u64..10_000_000) {
            let work = Duration::from_micros(work_us);
            let mut pacer = Pacer::new(pace.clone());

            let pause = pacer.took(work);

            let share = 100.0 * work.as_secs_f64() / (work + pause).as_secs_f64();
            let cut = pause == pace.max_pause || pause == pace.min_pause;
            prop_assert!(cut || (share - f64::from(pace.duty_percent)).abs() < 0.5, "{share}");
        }
    }

    /// Steps from the minimum size to the maximum.
    fn size_steps(pace: &Pace) -> u32 {
        pace.max_batch.get().div_ceil(pace.min_batch.get())
    }

    prop_compose! {
        fn pace()(
            min_batch in 1_u32..1_000,
            steps in 1_u32..100,
            target_ms in 1_u64..500,
            duty_percent in 1_u8..=100,
            min_pause_ms in 0_u64..50,
            max_pause_ms in 50_u64..5_000,
        ) -> Pace {
            Pace {
                min_batch: rows(min_batch),
                max_batch: rows(min_batch * steps),
                target: Duration::from_millis(target_ms),
                duty_percent,
                min_pause: Duration::from_millis(min_pause_ms),
                max_pause: Duration::from_millis(max_pause_ms),
            }
        }
    }

    /// Durations of batches; `None` is a failed one.
    fn outcomes(most: usize) -> impl Strategy<Value = Vec<Option<Duration>>> {
        let work = (0_u64..10_000_000).prop_map(Duration::from_micros);
        prop::collection::vec(prop::option::of(work), 0..most)
    }

    fn rows(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).expect("a batch has rows")
    }
}
