//! Decides the size of the next batch and the pause before it.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::Pace;

mod baseline;
#[cfg(test)]
mod simulation;

use baseline::Baseline;

/// Adapts the batch size and the share of time at work to the database.
///
/// The size grows as far as the target allows, at most eightfold at a time, until a batch comes
/// near it. From then on it grows by the minimum size, shrinks in proportion, by half at most, when
/// a batch takes longer than the target, and halves when one fails. The share of time at work grows
/// while batches take as long as the best of their size, and shrinks while they take longer,
/// because then others load the database.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    batch: NonZeroU32,
    /// Whether no batch has come near the target yet.
    starting: bool,
    /// Share of time at work, from 0 to 1.
    duty: f64,
    baseline: Baseline,
    /// The same of batches that go row by row.
    baseline_one_by_one: Baseline,
    one_by_one: bool,
}

impl Pacer {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            batch: pace.min_batch,
            starting: true,
            duty: min_duty(&pace),
            baseline: Baseline::default(),
            baseline_one_by_one: Baseline::default(),
            one_by_one: false,
            pace,
        }
    }

    /// Returns the row limit of the next batch.
    pub(crate) fn batch(&self) -> NonZeroU32 {
        self.batch
    }

    /// Sets whether the batches to come go row by row. Their latency says nothing of the others'.
    pub(crate) fn compare_one_by_one(&mut self, one_by_one: bool) {
        self.one_by_one = one_by_one;
    }

    /// Adapts to a full batch that took `work`. Returns the pause before the next batch.
    ///
    /// `urgency`, from 0 to 1, is the minimum share of time at work: see [`urgency`].
    pub(crate) fn took(&mut self, work: Duration, urgency: f64) -> Duration {
        let size = self.batch;
        if let Some(slowdown) = self.baseline().slowdown(size, work) {
            self.adapt_duty(slowdown);
        }
        let target = self.target();
        let fitting = AIM * target.as_secs_f64() / work.as_secs_f64();
        if work > target {
            self.shrink(fitting);
        } else if work < target / 2 {
            let grown = self.batch.saturating_add(self.pace.min_batch.get());
            let grown = if self.starting {
                grown.max(scaled(self.batch, fitting.min(MAX_GROWTH)))
            } else {
                grown
            };
            self.batch = grown.min(self.pace.max_batch);
        } else {
            self.starting = false;
        }
        let pause = self.pause(work, urgency.clamp(0.0, 1.0));
        self.baseline().pass(work.saturating_add(pause));
        pause
    }

    /// Row by row, a row costs several times as much, and a smaller batch would only add pauses.
    fn target(&self) -> Duration {
        if self.one_by_one {
            self.pace.target.max(ONE_BY_ONE)
        } else {
            self.pace.target
        }
    }

    fn baseline(&mut self) -> &mut Baseline {
        if self.one_by_one {
            &mut self.baseline_one_by_one
        } else {
            &mut self.baseline
        }
    }

    /// Halves size and share after a failed batch: it may have been too large for a timeout, or the
    /// database too busy.
    pub(crate) fn failed(&mut self) {
        self.shrink(0.0);
        self.set_duty(self.duty / 2.0);
    }

    /// Shrinks the size to this share, but by half at most.
    fn shrink(&mut self, share: f64) {
        self.starting = false;
        self.batch = scaled(self.batch, share.max(0.5)).max(self.pace.min_batch);
    }

    /// Doubles the share without a slowdown, keeps it at the tolerated one, and halves it at twice
    /// that and beyond.
    fn adapt_duty(&mut self, slowdown: f64) {
        let excess = (slowdown - 1.0) / TOLERATED_SLOWDOWN;
        let factor = if excess < 1.0 {
            2.0 - excess
        } else {
            (1.5 - excess / 2.0).max(0.5)
        };
        self.set_duty(self.duty * factor);
    }

    fn set_duty(&mut self, duty: f64) {
        self.duty = duty.clamp(min_duty(&self.pace), max_duty(&self.pace));
    }

    fn pause(&self, work: Duration, urgency: f64) -> Duration {
        let Pace {
            min_pause,
            max_pause,
            ..
        } = self.pace;
        let duty = self.duty.max(urgency);
        let pause = work.as_secs_f64() * (1.0 - duty) / duty;
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(max_pause);
        pause.min(max_pause).max(min_pause.mul_f64(1.0 - urgency))
    }
}

/// Returns the share of the time until the end of a run that has passed; zero after the end.
///
/// A job that works at least this share of the time is at full speed just before the end. Without
/// knowledge of the backlog, an early rise would disturb others for nothing.
pub(crate) fn urgency(elapsed: Duration, available: Duration) -> f64 {
    if elapsed >= available {
        return 0.0;
    }
    elapsed.as_secs_f64() / available.as_secs_f64()
}

fn max_duty(pace: &Pace) -> f64 {
    f64::from(pace.duty_percent.clamp(1, 100)) / 100.0
}

fn min_duty(pace: &Pace) -> f64 {
    let min = f64::from(pace.min_duty_percent.clamp(1, 100)) / 100.0;
    min.min(max_duty(pace))
}

fn scaled(rows: NonZeroU32, factor: f64) -> NonZeroU32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and a factor is not negative"
    )]
    let scaled = (f64::from(rows.get()) * factor) as u32;
    NonZeroU32::new(scaled).unwrap_or(NonZeroU32::MIN)
}

/// Share of the target that a new size aims at, so that the next batch stays below it although a
/// part of its cost does not depend on the size.
const AIM: f64 = 0.75;

/// Largest growth after one batch. The first may be quick because it found less to do.
const MAX_GROWTH: f64 = 8.0;

/// Minimum target of a batch that goes row by row.
const ONE_BY_ONE: Duration = Duration::from_millis(250);

/// Slowdown against the best latency at which the share neither grows nor shrinks.
const TOLERATED_SLOWDOWN: f64 = 0.25;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quarter_of_duty_pauses_three_times_the_work() {
        let mut pacer = Pacer::new(Pace {
            duty_percent: 25,
            min_duty_percent: 25,
            ..Pace::polite()
        });

        let pause = pacer.took(Duration::from_millis(8), 0.0);

        assert_eq!(pause, Duration::from_millis(24));
    }

    #[test]
    fn a_minimum_share_above_the_maximum_fixes_the_share() {
        let pace = Pace {
            duty_percent: 25,
            min_duty_percent: 90,
            ..Pace::polite()
        };
        let mut pacer = Pacer::new(pace);

        let first = pacer.took(Duration::from_millis(8), 0.0);
        pacer.failed();
        steady(&mut pacer, Duration::from_millis(8));
        let later = pacer.took(Duration::from_millis(8), 0.0);

        assert_eq!([first, later], [Duration::from_millis(24); 2]);
    }

    #[test]
    fn full_speed_never_pauses() {
        let mut pacer = Pacer::new(Pace::full_speed());

        let pause = pacer.took(Duration::from_secs(3), 0.0);

        assert_eq!(pause, Duration::ZERO);
    }

    #[test]
    fn a_fixed_batch_stays_as_it_is() {
        let mut pacer = Pacer::new(Pace::fixed(rows(7)));

        pacer.took(Duration::ZERO, 0.0);
        let quick = pacer.batch();
        pacer.took(Duration::from_secs(9), 0.0);
        pacer.failed();

        assert_eq!((quick, pacer.batch()), (rows(7), rows(7)));
    }

    #[test]
    fn the_first_batches_grow_as_far_as_the_target_allows() {
        let target = Pace::full_speed().target;
        let mut pacer = Pacer::new(Pace {
            max_batch: rows(1_000_000),
            ..Pace::full_speed()
        });
        let mut sizes = Vec::new();

        // The fourth comes near the target: from there on, only the minimum size is added.
        for work in [target / 50, target / 4, target / 4, target, target / 4] {
            pacer.took(work, 0.0);
            sizes.push(pacer.batch().get());
        }

        assert_eq!(sizes, [8_000, 24_000, 72_000, 72_000, 73_000]);
    }

    #[test]
    fn batches_row_by_row_are_no_sign_of_load() {
        let pace = Pace {
            min_batch: rows(100),
            max_batch: rows(100),
            target: Duration::from_secs(1),
            ..Pace::polite()
        };
        let mut pacer = Pacer::new(pace.clone());
        steady(&mut pacer, Duration::from_millis(4));

        pacer.compare_one_by_one(true);
        steady(&mut pacer, Duration::from_millis(40));
        let row_by_row = pacer.duty;
        steady(&mut pacer, Duration::from_millis(80));

        assert!(reached(row_by_row, max_duty(&pace)), "{row_by_row}");
        assert!(reached(pacer.duty, min_duty(&pace)), "{}", pacer.duty);
    }

    #[test]
    fn batches_row_by_row_may_take_a_quarter_of_a_second() {
        let size_after = |one_by_one, work_ms| {
            let mut pacer = Pacer::new(Pace::polite());
            pacer.compare_one_by_one(one_by_one);
            pacer.took(Duration::from_millis(work_ms), 0.0);
            pacer.batch().get()
        };

        let sizes = [(false, 12), (false, 13), (true, 124), (true, 125)]
            .map(|(one_by_one, work_ms)| size_after(one_by_one, work_ms));

        assert_eq!(sizes, [100, 50, 100, 50]);
    }

    #[test]
    fn a_failure_halves_the_size_and_a_long_batch_fits_it() {
        let target = Pace::full_speed().target;
        // Starts from a batch of 8,000 rows.
        let after = |work: Option<Duration>| {
            let mut pacer = Pacer::new(Pace::full_speed());
            pacer.took(Duration::ZERO, 0.0);
            match work {
                Some(work) => drop(pacer.took(work, 0.0)),
                None => pacer.failed(),
            }
            pacer.batch().get()
        };

        assert_eq!(after(None), 4_000);
        assert_eq!(after(Some(target * 9)), 4_000);
        assert_eq!(after(Some(target * 5 / 4)), 4_800);
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
                pacer.took(Duration::ZERO, 0.0);
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
                    pacer.took(work, 0.0)
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
                pacer.took(cost(pacer.batch()), 0.0);
            }

            for _ in 0..size_steps(&pace) {
                let batch = pacer.batch();
                pacer.took(cost(batch), 0.0);

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
                pacer.took(Duration::ZERO, 0.0);
            }

            prop_assert_eq!(pacer.batch(), pace.max_batch);
        }

        #[test]
        fn the_share_is_kept_unless_a_bound_cuts_the_pause(
            pace in pace(),
            work_us in 1_u64..10_000_000,
            urgency in prop_oneof![Just(0.0), 0.0..=1.0_f64],
        ) {
            let work = Duration::from_micros(work_us);
            let mut pacer = Pacer::new(pace.clone());

            let pause = pacer.took(work, urgency);

            let share = work.as_secs_f64() / (work + pause).as_secs_f64();
            let expected = min_duty(&pace).max(urgency);
            let cut = pause == pace.max_pause || pause <= pace.min_pause;
            prop_assert!(cut || (share - expected).abs() < 0.005, "{share} {expected}");
        }

        /// The minimum share ends any backlog, whatever the latencies.
        #[test]
        fn no_latency_moves_the_share_out_of_its_bounds(pace in pace(), outcomes in outcomes(200)) {
            let mut pacer = Pacer::new(pace.clone());

            for outcome in outcomes {
                match outcome {
                    Some(work) => drop(pacer.took(work, 0.0)),
                    None => pacer.failed(),
                }

                prop_assert!(pacer.duty >= min_duty(&pace) && pacer.duty <= max_duty(&pace));
            }
        }

        #[test]
        fn the_share_follows_the_slowdown_at_any_latency(
            pace in pace(),
            base_us in 200_u64..5_000,
            factor in 2_u32..10,
        ) {
            // A target beyond all latencies, and one size: only the share adapts.
            let pace = Pace { target: Duration::from_secs(60), max_batch: pace.min_batch, ..pace };
            let base = Duration::from_micros(base_us);
            let mut pacer = Pacer::new(pace.clone());

            steady(&mut pacer, base);
            let alone = pacer.duty;
            steady(&mut pacer, base * factor);
            let beside_others = pacer.duty;
            steady(&mut pacer, base);

            prop_assert!(reached(alone, max_duty(&pace)), "{alone}");
            prop_assert!(reached(beside_others, min_duty(&pace)), "{beside_others}");
            prop_assert!(reached(pacer.duty, max_duty(&pace)), "{}", pacer.duty);
        }

        #[test]
        fn urgency_rises_to_the_end_and_is_over_then(
            available in 1_u64..1_000_000,
            elapsed in prop::collection::vec(0_u64..1_000_000, 2),
        ) {
            let at = |elapsed: u64| urgency(Duration::from_secs(elapsed), Duration::from_secs(available));
            let (early, late) = (elapsed[0].min(elapsed[1]), elapsed[0].max(elapsed[1]));

            prop_assert!(late >= available || at(early) <= at(late));
            prop_assert!(at(available) == 0.0 && at(available - 1) < 1.0);
        }
    }

    /// Enough batches of one latency to move the share from one bound to the other.
    fn steady(pacer: &mut Pacer, work: Duration) {
        for _ in 0..100 {
            pacer.took(work, 0.0);
        }
    }

    fn reached(duty: f64, bound: f64) -> bool {
        (duty - bound).abs() < 1e-9
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
            min_duty_percent in 1_u8..=100,
            min_pause_ms in 0_u64..50,
            max_pause_ms in 50_u64..5_000,
        ) -> Pace {
            Pace {
                min_batch: rows(min_batch),
                max_batch: rows(min_batch * steps),
                target: Duration::from_millis(target_ms),
                duty_percent,
                min_duty_percent: min_duty_percent.min(duty_percent),
                finish_by: None,
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
