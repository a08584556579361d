//! Every config reads back as it was written.

use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use crate::config::*;

proptest! {
    #[test]
    fn a_config_reads_back_as_it_was_written(config in config()) {
        let json = serde_json::to_string(&config).expect("is plain data");

        let read: HousekeeperConfig = serde_json::from_str(&json).expect("is a config");

        prop_assert_eq!(read, config);
    }
}

prop_compose! {
    fn config()(
        job in job(),
        jobs in prop::collection::btree_map("[a-z-]{1,9}".prop_map(JobName::from), job(), 0..3),
        restart in restart(),
        courier in courier(),
        couriers in prop::collection::btree_map("[a-z-]{1,9}".prop_map(JobName::from), courier(), 0..3),
        retry in wait(),
        runs: NonZeroU32,
    ) -> HousekeeperConfig {
        HousekeeperConfig { job, jobs, courier, couriers, restart, retry, history: HistoryConfig { runs } }
    }
}

prop_compose! {
    fn courier()(
        sizes: (NonZeroU32, NonZeroU32, NonZeroU32),
        per_key: bool,
        answer_timeout in span(),
        look_every in span(),
        late_after in span(),
        backoff in wait(),
    ) -> CourierConfig {
        let (batch, in_flight, max_attempts) = sizes;
        let order = if per_key { DeliveryOrder::PerKey } else { DeliveryOrder::AsWritten };
        CourierConfig { batch, in_flight, order, answer_timeout, look_every, max_attempts, backoff, late_after }
    }
}

prop_compose! {
    fn job()(
        schedule in schedule(),
        pace in pace(),
        run_timeout in prop::option::of(span()),
        step_timeout in span(),
        read_timeout in span(),
        late_after in span(),
        max_clock_leap in prop::option::of(span()),
        max_reported_ids: u32,
    ) -> JobConfig {
        JobConfig { schedule, pace, run_timeout, step_timeout, read_timeout, late_after, max_clock_leap, runbook: None, max_reported_ids }
    }
}

prop_compose! {
    fn pace()(
        min_batch: NonZeroU32,
        max_batch: NonZeroU32,
        target in span(),
        duty_percent: u8,
        min_duty_percent: u8,
        finish_by in prop::option::of(cron()),
        min_pause in span(),
        max_pause in span(),
    ) -> Pace {
        Pace { min_batch, max_batch, target, duty_percent, min_duty_percent, min_pause, max_pause, finish_by }
    }
}

prop_compose! {
    fn schedule()(
        every in prop::option::of(span()),
        cron in prop::option::of(cron()),
        at_start: bool,
        start_jitter in span(),
        at_deadline: bool,
        min_interval in span(),
    ) -> Schedule {
        Schedule { every, cron, at_start, start_jitter, at_deadline, min_interval }
    }
}

prop_compose! {
    fn cron()(expression in ".{0,12}", zone in prop_oneof![Just("UTC".to_owned()), any::<String>()]) -> Cron {
        Cron { expression, zone }
    }
}

prop_compose! {
    fn restart()(
        max_restarts: u32,
        within in span(),
        backoff in wait(),
        on_limit in prop::sample::select(vec![OnRestartLimit::Degrade, OnRestartLimit::Escalate]),
        cool_down in span(),
    ) -> RestartConfig {
        RestartConfig { max_restarts, within, backoff, on_limit, cool_down }
    }
}

prop_compose! {
    fn wait()(first in span(), max in span()) -> BackoffConfig {
        BackoffConfig { first, max }
    }
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0..100_000_u64).prop_map(Duration::from_millis),
        (0..MAX_DURATION.as_secs(), 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}
