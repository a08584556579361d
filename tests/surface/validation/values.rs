//! Generated input, with the ends of each range as likely as the values between.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use ractor_housekeeper::booking::BookingPolicy;
use ractor_housekeeper::config::{
    BackoffConfig, CourierConfig, Cron, DeliveryOrder, HistoryConfig, JobConfig, OnRestartLimit,
    Pace, RestartConfig, Schedule,
};
use ractor_housekeeper::job::{Cursor, Page};
use ractor_housekeeper::{HousekeeperConfig, JobName, Scope};

use crate::validation::drive::Settings;

prop_compose! {
    pub(crate) fn settings()(
        ages in ages().boxed(),
        housekeeper in config().boxed(),
        now in instant(),
        step in span(),
        reschedule in schedule().boxed(),
        scope in scope(),
        page in page(),
        grace in span(),
    ) -> Settings {
        Settings { ages, housekeeper, now, step, reschedule, scope, page, grace }
    }
}

prop_compose! {
    fn config()(
        job in job().boxed(),
        jobs in prop::collection::btree_map(name(), job().boxed(), 0..2),
        restart in restart().boxed(),
        courier in courier().boxed(),
        couriers in prop::collection::btree_map(name(), courier().boxed(), 0..2),
        retry in wait().boxed(),
        runs: NonZeroU32,
    ) -> HousekeeperConfig {
        HousekeeperConfig { job, jobs, courier, couriers, restart, retry, history: HistoryConfig { runs } }
    }
}

prop_compose! {
    fn courier()(
        sizes: (NonZeroU32, NonZeroU32, NonZeroU32),
        per_key: bool,
        answer_timeout in up_to(24 * 60 * 60),
        poll_interval in up_to(24 * 60 * 60),
        late_after in span(),
        backoff in wait().boxed(),
    ) -> CourierConfig {
        let (batch, in_flight, max_attempts) = sizes;
        let order = if per_key { DeliveryOrder::PerKey } else { DeliveryOrder::AsWritten };
        CourierConfig { batch, in_flight, order, answer_timeout, poll_interval, max_attempts, backoff, late_after }
    }
}

prop_compose! {
    fn job()(
        schedule in schedule().boxed(),
        pace in pace().boxed(),
        run_timeout in prop::option::of(span()),
        step_timeout in up_to(24 * 60 * 60),
        read_timeout in up_to(24 * 60 * 60),
        late_after in span(),
        max_clock_leap in prop::option::of(span()),
        max_reported_ids: u32,
    ) -> JobConfig {
        JobConfig { schedule, pace, run_timeout, step_timeout, read_timeout, late_after, max_clock_leap, runbook: None, max_reported_ids }
    }
}

prop_compose! {
    fn pace()(
        sizes: (NonZeroU32, NonZeroU32),
        target in up_to(60),
        duty_percent in 1..=100_u8,
        min_duty_percent in 1..=100_u8,
        finish_by in cron(),
        pauses in (up_to(60 * 60), up_to(60 * 60)),
    ) -> Pace {
        Pace {
            min_batch: sizes.0.min(sizes.1),
            max_batch: sizes.0.max(sizes.1),
            target,
            duty_percent,
            min_duty_percent,
            finish_by,
            min_pause: pauses.0.min(pauses.1),
            max_pause: pauses.0.max(pauses.1),
        }
    }
}

prop_compose! {
    pub(crate) fn schedule()(
        every in prop::option::of(span()),
        cron in cron(),
        at_start: bool,
        start_jitter in span(),
        at_deadline: bool,
        min_interval in span(),
        both in prop::bool::weighted(0.05),
    ) -> Schedule {
        let every = every.filter(|_| both || cron.is_none());
        Schedule { every, cron, at_start, start_jitter, at_deadline, min_interval }
    }
}

/// Mostly none, or one that can be; now and then any text.
pub(crate) fn cron() -> impl Strategy<Value = Option<Cron>> {
    let expression = prop_oneof![
        20 => prop::sample::select(vec![
            "* * * * *", "* * * * * *", "*/7 3-5 * * MON-FRI", "30 2 * * *", "0 0 29 2 *", "15 1,2 LW * FRI#2", "@daily",
        ]).prop_map(str::to_owned),
        1 => "[0-9*/,-]{1,3} [0-9*/,-]{1,3} [0-9*LW]{1,2} [0-9*JAN]{1,3} [0-9*#LMON]{1,4}",
        1 => text(),
    ];
    let zone = prop_oneof![
        20 => prop::sample::select(vec!["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"])
            .prop_map(str::to_owned),
        1 => text(),
    ];
    prop::option::weighted(
        0.3,
        (expression, zone).prop_map(|(expression, zone)| Cron { expression, zone }),
    )
}

prop_compose! {
    fn restart()(
        max_restarts: u32,
        within in span(),
        backoff in wait().boxed(),
        on_limit in prop::sample::select(vec![OnRestartLimit::Degrade, OnRestartLimit::Escalate]),
        cool_down in span(),
    ) -> RestartConfig {
        RestartConfig { max_restarts, within, backoff, on_limit, cool_down }
    }
}

prop_compose! {
    fn wait()(one in span(), other in span()) -> BackoffConfig {
        BackoffConfig { first: one.min(other), max: one.max(other) }
    }
}

prop_compose! {
    fn ages()(idle_after in prop::option::of(span()), expire_after in prop::option::of(span())) -> BookingPolicy {
        BookingPolicy { idle_after, expire_after }
    }
}

prop_compose! {
    pub(crate) fn page()(
        size in prop_oneof![Just(1_u32), Just(1_000), Just(1_001), Just(u32::MAX), 1..2_000_u32],
        after in prop::option::of((instant(), text())),
    ) -> Page {
        let size = size.try_into().expect("is not zero");
        Page { size, after: after.map(|(since, id)| Cursor::new(since, id)) }
    }
}

pub(crate) fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::All),
        any::<u128>().prop_map(|id| Scope::user(uuid::Uuid::from_u128(id))),
        text().prop_map(Scope::User),
    ]
}

pub(crate) fn name() -> impl Strategy<Value = JobName> {
    prop_oneof![
        Just("booking-expirer".to_owned()),
        Just("session-cleaner".to_owned()),
        text(),
    ]
    .prop_map(JobName::from)
}

/// Empty, long, of any characters, with NUL.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\0".to_owned()),
        Just("ä".repeat(10_000)),
        any::<String>(),
        "[a-z0-9-]{1,40}",
    ]
}

pub(crate) fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    let (first, last) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    prop_oneof![
        Just(first),
        Just(last),
        Just("-0001-12-31T23:59:59Z".parse().expect("an instant")),
        Just("+10000-01-01T00:00:00Z".parse().expect("an instant")),
        Just("-4800-01-01T00:00:00Z".parse().expect("an instant")),
        (first.timestamp_millis()..last.timestamp_millis()).prop_map(|millis| {
            DateTime::from_timestamp_millis(millis).expect("is in the calendar")
        }),
        (0..4_000_000_000_i64)
            .prop_map(|seconds| DateTime::from_timestamp(seconds, 0).expect("is near")),
    ]
}

/// Mostly a time that may be set; now and then nothing, too short, too long.
pub(crate) fn span() -> impl Strategy<Value = Duration> {
    let century = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    prop_oneof![
        600 => (1..100_000_u64).prop_map(Duration::from_millis),
        200 => (1..century.as_secs(), 0..1_000_000_000_u32)
            .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
        100 => prop::sample::select(vec![Duration::from_millis(1), century]),
        3 => any::<Duration>(),
        3 => prop::sample::select(vec![Duration::ZERO, Duration::from_nanos(1), Duration::MAX]),
    ]
}

/// Mostly a time up to so many seconds.
fn up_to(seconds: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![
        300 => (1..=seconds.min(100) * 1_000).prop_map(Duration::from_millis),
        100 => (1..=seconds).prop_map(Duration::from_secs),
        1 => span(),
    ]
}

/// A finding becomes a seed of the fuzz targets, or a test of its own.
pub(crate) fn unsaved(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
