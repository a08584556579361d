//! Tests of the pace of batches.

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

    assert_eq!(sizes, [50, 25, 50, 25]);
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
