//! How much of the database a job takes: the size of its batches, and the pauses between them.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much of the database a job takes.
///
/// Batches grow while they finish well within the target and shrink when they do not, so that a slow disk, a busy table or a missing index
/// costs this job speed and nobody else theirs. Between two batches the worker pauses in proportion to the work.
///
/// The rule is additive increase and multiplicative decrease with a slow start, as in TCP's congestion control (Jacobson, 1988; Chiu and Jain,
/// 1989): batches double until one takes more than half of the target. From then on one that took less than that adds `smallest_batch` rows to
/// the next, and one that took longer than the target, or failed (a limit on a lock or a statement was reached), halves it. After any
/// trouble the largest batch is reached again within `largest_batch / smallest_batch` batches, four by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Rows of the first batch, and of the smallest.
    pub smallest_batch: NonZeroU32,
    /// Rows of the largest batch.
    pub largest_batch: NonZeroU32,
    /// How long a batch, and so a transaction, should take.
    #[serde(with = "humantime_serde")]
    pub target: Duration,
    /// Share of the time in which the job may be at work, 1 to 100 percent. At 25 a batch of 10 ms is followed by a pause of 30 ms.
    pub duty_percent: u8,
    /// Shortest pause, whatever the share.
    #[serde(with = "humantime_serde")]
    pub shortest_pause: Duration,
    /// Longest pause, whatever the share.
    #[serde(with = "humantime_serde")]
    pub longest_pause: Duration,
}

impl Pace {
    /// Leaves most of the database to others: batches of at most 200 rows and about 25 ms, at work less than a third of the time. That is some
    /// 5,000 bookings a second on two cores, with clients who hardly notice: see `benches/foreground`.
    #[must_use]
    pub fn polite() -> Self {
        Self {
            smallest_batch: rows(50),
            largest_batch: rows(200),
            // A commit alone takes several milliseconds where it waits for a disk.
            target: Duration::from_millis(25),
            duty_percent: 30,
            shortest_pause: Duration::from_millis(5),
            longest_pause: Duration::from_secs(1),
        }
    }

    /// Works off a backlog as fast as the database can: batches of about 250 ms, without a pause.
    #[must_use]
    pub fn full_speed() -> Self {
        Self {
            smallest_batch: rows(1_000),
            largest_batch: rows(10_000),
            target: Duration::from_millis(250),
            duty_percent: 100,
            shortest_pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
        }
    }

    /// Batches of always the same size, without a pause.
    #[must_use]
    pub fn fixed(batch: NonZeroU32) -> Self {
        Self {
            smallest_batch: batch,
            largest_batch: batch,
            ..Self::full_speed()
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::polite()
    }
}

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
            batch: pace.smallest_batch,
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
                self.pace.smallest_batch
            };
            let grown = self.batch.saturating_add(step.get());
            self.batch = grown.min(self.pace.largest_batch);
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
        self.batch = halved.max(self.pace.smallest_batch);
    }

    fn pause(&self, work: Duration) -> Duration {
        let Pace {
            duty_percent,
            shortest_pause,
            longest_pause,
            ..
        } = self.pace;
        let duty = u32::from(duty_percent.clamp(1, 100));
        let pause = work.saturating_mul(100 - duty) / duty;
        pause.min(longest_pause).max(shortest_pause)
    }
}

const fn rows(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("a batch of the presets has rows")
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
            sizes.push(pacer.batch().get() / Pace::full_speed().smallest_batch);
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

            assert_eq!(pacer.batch(), pace.largest_batch);
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

                prop_assert!(pacer.batch() >= pace.smallest_batch);
                prop_assert!(pacer.batch() <= pace.largest_batch);
                prop_assert!(pause <= pace.longest_pause.max(pace.shortest_pause));
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

                // Too long only right after one step beyond what fits, or where the smallest batch does not fit.
                let one_less = NonZeroU32::new(batch.get().saturating_sub(pace.smallest_batch.get()));
                let fits_one_less = one_less.is_none_or(|batch| cost(batch) <= pace.target);
                prop_assert!(cost(batch) <= pace.target || batch == pace.smallest_batch || fits_one_less);
                // Never stuck below what fits easily.
                prop_assert!(cost(batch) >= pace.target / 2 || pacer.batch() > batch || batch == pace.largest_batch);
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

            prop_assert_eq!(pacer.batch(), pace.largest_batch);
        }

        #[test]
        fn the_share_of_work_is_kept_unless_a_bound_on_the_pause_cuts_it(pace in pace(), work_us in 1_u64..10_000_000) {
            let work = Duration::from_micros(work_us);
            let mut pacer = Pacer::new(pace.clone());

            let pause = pacer.took(work);

            let share = 100.0 * work.as_secs_f64() / (work + pause).as_secs_f64();
            let cut = pause == pace.longest_pause || pause == pace.shortest_pause;
            prop_assert!(cut || (share - f64::from(pace.duty_percent)).abs() < 0.5, "{share}");
        }
    }

    /// Steps from the smallest batch to the largest.
    fn enough(pace: &Pace) -> u32 {
        pace.largest_batch.get().div_ceil(pace.smallest_batch.get())
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
                smallest_batch: rows(smallest),
                largest_batch: rows(smallest * steps),
                target: Duration::from_millis(target_ms),
                duty_percent,
                shortest_pause: Duration::from_millis(shortest_ms),
                longest_pause: Duration::from_millis(longest_ms),
            }
        }
    }

    /// How long each batch took; `None` is one that failed.
    fn fates(most: usize) -> impl Strategy<Value = Vec<Option<Duration>>> {
        let work = (0_u64..10_000_000).prop_map(Duration::from_micros);
        prop::collection::vec(prop::option::of(work), 0..most)
    }
}
