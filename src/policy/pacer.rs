//! The size of the next batch, and the pause after it.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::Pace;

/// The size of the next batch, learnt from those before it.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    batch: NonZeroU32,
    /// No batch has come near the target yet.
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

    /// Rows the next batch may look at.
    pub(crate) fn batch(&self) -> NonZeroU32 {
        self.batch
    }

    /// Learns from a batch that took this long, and says how long to pause after it.
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

    /// Learns from a batch that failed: it may have been too large for a limit.
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
    fn a_batch_is_halved_by_a_failure_or_beyond_the_target_and_by_nothing_else() {
        let target = Pace::full_speed().target;
        let moment = Duration::from_nanos(1);
        // From a batch of 8,000 rows, reached by doubling.
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
    fn from_any_trouble_the_presets_recover_within_ten_batches() {
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
        fn bounds_are_kept_whatever_happens(pace in pace(), fates in fates(200)) {
            let mut pacer = Pacer::new(pace.clone());

            for fate in fates {
                 let pause = if let Some(work) = fate {
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
        fn it_converges_under_any_cost_that_grows_with_the_batch(
            pace in pace(),
            fixed_us in 0_u64..20_000,
            per_row_ns in 0_u64..200_000,
        ) {
            let cost = |batch: NonZeroU32| {
                Duration::from_micros(fixed_us) + Duration::from_nanos(per_row_ns) * batch.get()
            };
            let mut pacer = Pacer::new(pace.clone());
            for _ in 0..enough(&pace) {
                pacer.took(cost(pacer.batch()));
            }

            for _ in 0..enough(&pace) {
                let batch = pacer.batch();
                pacer.took(cost(batch));

                // Too long only right after one step beyond what fits, or where the smallest batch
                // does not fit.
                let one_less = NonZeroU32::new(batch.get().saturating_sub(pace.min_batch.get()));
                let fits_one_less = one_less.is_none_or(|batch| cost(batch) <= pace.target);
                prop_assert!(cost(batch) <= pace.target || batch == pace.min_batch || fits_one_less);
                // Never stuck below what fits easily.
                prop_assert!(cost(batch) >= pace.target / 2 || pacer.batch() > batch || batch == pace.max_batch);
            }
        }

        #[test]
        fn it_recovers_from_trouble_within_as_many_batches_as_there_are_steps(pace in pace(), troubles in 1_usize..50) {
            let mut pacer = Pacer::new(pace.clone());
            for _ in 0..troubles {
                pacer.failed();
            }

            for _ in 0..enough(&pace) {
                pacer.took(Duration::ZERO);
            }

            prop_assert_eq!(pacer.batch(), pace.max_batch);
        }

        #[test]
        fn the_share_of_work_is_kept_unless_a_bound_on_the_pause_cuts_it(pace in pace(), work_us in 1_u64..10_000_000) {
            let work = Duration::from_micros(work_us);
            let mut pacer = Pacer::new(pace.clone());

            let pause = pacer.took(work);

            let share = 100.0 * work.as_secs_f64() / (work + pause).as_secs_f64();
            let cut = pause == pace.max_pause || pause == pace.min_pause;
            prop_assert!(cut || (share - f64::from(pace.duty_percent)).abs() < 0.5, "{share}");
        }
    }

    /// Steps from the smallest batch to the largest.
    fn enough(pace: &Pace) -> u32 {
        pace.max_batch.get().div_ceil(pace.min_batch.get())
    }

    prop_compose! {
        fn pace()(
            smallest in 1_u32..1_000,
            steps in 1_u32..100,
            target_ms in 1_u64..500,
            duty_percent in 1_u8..=100,
            shortest_ms in 0_u64..50,
            longest_ms in 50_u64..5_000,
        ) -> Pace {
            Pace {
                min_batch: rows(smallest),
                max_batch: rows(smallest * steps),
                target: Duration::from_millis(target_ms),
                duty_percent,
                min_pause: Duration::from_millis(shortest_ms),
                max_pause: Duration::from_millis(longest_ms),
            }
        }
    }

    /// How long each batch took; `None` is one that failed.
    fn fates(most: usize) -> impl Strategy<Value = Vec<Option<Duration>>> {
        let work = (0_u64..10_000_000).prop_map(Duration::from_micros);
        prop::collection::vec(prop::option::of(work), 0..most)
    }

    fn rows(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).expect("a batch has rows")
    }
}
