//! Everything that can be set, with the booking application's values as defaults.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::job::JobName;

mod check;

pub(crate) use check::{LONGEST, check_age};

/// Settings of a housekeeper. Durations read and write as `15m`, `24h`, `1h 30m`.
///
/// # Examples
///
/// ```
/// let config: ractor_housekeeper::HousekeeperConfig = serde_json::from_str(
///     r#"{ "jobs": { "booking-expirer": { "schedule": { "every": "5m" }, "batch_size": 200 } } }"#,
/// )?;
///
/// assert_eq!(config.jobs[&"booking-expirer".into()].batch_size.get(), 200);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HousekeeperConfig {
    /// Settings of every job that has none of its own in `jobs`.
    pub job: JobConfig,
    /// Settings of single jobs, whole: a field left out has its default, not the value of `job`.
    pub jobs: BTreeMap<JobName, JobConfig>,
    /// When a worker that died is started again.
    pub restart: RestartConfig,
    /// When a run that failed is tried again.
    pub retry: BackoffConfig,
    /// How many runs, and how many subscribers' events, are kept.
    pub kept: KeptConfig,
}

/// Settings of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// When it runs by itself.
    pub schedule: Schedule,
    /// Rows a batch, and so a transaction, looks at.
    pub batch_size: NonZeroU32,
    /// Pause between two batches, so that others get their turn at the database. Zero is allowed.
    #[serde(with = "humantime_serde")]
    pub batch_pause: Duration,
    /// Longest run. What is left waits for the next one. `None`: no limit.
    #[serde(with = "humantime_serde::option")]
    pub run_limit: Option<Duration>,
    /// Longest single step (check, batch, preview, outlook, history). A step that takes longer is dropped and fails.
    #[serde(with = "humantime_serde")]
    pub step_limit: Duration,
    /// A row this long overdue, or a run this long past its time, makes the job `Late`.
    #[serde(with = "humantime_serde")]
    pub late_after: Duration,
    /// Ids a report keeps.
    pub ids_kept: u32,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            batch_size: const { NonZeroU32::new(500).expect("500 is not zero") },
            batch_pause: Duration::from_millis(20),
            run_limit: None,
            step_limit: Duration::from_secs(30),
            late_after: Duration::from_secs(60),
            ids_kept: 100,
        }
    }
}

/// When a job runs by itself. Each part can be switched off; with all of them off, only messages start runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Time between two ticks. `None`: no ticks.
    #[serde(with = "humantime_serde::option")]
    pub every: Option<Duration>,
    /// Whether it runs when the housekeeper starts.
    pub at_start: bool,
    /// The start is put off by up to this much, at random, so that replicas started together do not run together.
    #[serde(with = "humantime_serde")]
    pub start_jitter: Duration,
    /// Whether it runs when the next row falls due.
    pub at_deadline: bool,
    /// Deadline runs keep at least this distance, so a deadline is met to within it.
    #[serde(with = "humantime_serde")]
    pub resolution: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            every: Some(Duration::from_secs(15 * 60)),
            at_start: true,
            start_jitter: Duration::from_secs(1),
            at_deadline: true,
            resolution: Duration::from_secs(1),
        }
    }
}

/// When a worker that died is started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartConfig {
    /// Restart intensity: more deaths than this within `within`, and the job is given up for now.
    pub max_restarts: u32,
    /// The sliding window of the intensity.
    #[serde(with = "humantime_serde")]
    pub within: Duration,
    /// Wait before a restart.
    pub backoff: BackoffConfig,
    /// What happens beyond the intensity.
    pub beyond: Beyond,
    /// How long a degraded job rests before it is tried again.
    #[serde(with = "humantime_serde")]
    pub cool_down: Duration,
}

impl Default for RestartConfig {
    /// Five restarts in a minute, 100 ms to 10 s apart, then a rest of five minutes.
    fn default() -> Self {
        Self {
            max_restarts: 5,
            within: Duration::from_secs(60),
            backoff: BackoffConfig {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(10),
            },
            beyond: Beyond::Degrade,
            cool_down: Duration::from_secs(5 * 60),
        }
    }
}

/// What happens to a job whose worker dies too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// The job is `Degraded` and tried again after the cool-down. Its siblings go on.
    #[default]
    Degrade,
    /// The housekeeper stops with an error that its own supervisor sees.
    Escalate,
}

/// A wait that doubles with each attempt, with jitter: the wait is drawn between half and all of the doubled value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// The first wait.
    #[serde(with = "humantime_serde")]
    pub first: Duration,
    /// The longest wait.
    #[serde(with = "humantime_serde")]
    pub longest: Duration,
}

impl Default for BackoffConfig {
    /// One second, doubling to a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(60),
        }
    }
}

/// How old a row must be before the booking application's two jobs act on it.
///
/// `None` switches the job off; it never means zero. A field left out has its default, so off is written `null`.
///
/// # Examples
///
/// ```
/// let ages: ractor_housekeeper::Ages = serde_json::from_str(r#"{ "idle_after": "48h", "expire_after": null }"#)?;
///
/// assert_eq!(ages.idle_after.map(|age| age.as_secs()), Some(172_800));
/// assert_eq!(ages.expire_after, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ages {
    /// A session whose guest has been silent for longer is deleted. `None` switches the job off; it never means zero.
    #[serde(with = "humantime_serde::option")]
    pub idle_after: Option<Duration>,
    /// A booking that has been pending for longer expires. `None` switches the job off; it never means zero.
    #[serde(with = "humantime_serde::option")]
    pub expire_after: Option<Duration>,
}

impl Default for Ages {
    /// 24 hours and 15 minutes.
    fn default() -> Self {
        Self {
            idle_after: Some(Duration::from_secs(24 * 60 * 60)),
            expire_after: Some(Duration::from_secs(15 * 60)),
        }
    }
}

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeptConfig {
    /// Runs kept in the database, for each job.
    pub runs: NonZeroU32,
}

impl Default for KeptConfig {
    fn default() -> Self {
        Self {
            runs: const { NonZeroU32::new(1_000).expect("1000 is not zero") },
        }
    }
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    /// The setting, as it is written: `jobs.booking-expirer.schedule.every`.
    pub setting: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            problem: problem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_booking_application() {
        let config = HousekeeperConfig::default();

        assert_eq!(config.check(&known()), Ok(()));
        assert_eq!(config.job.schedule.every, Some(minutes(15)));
        assert!(config.job.schedule.at_start);
        assert!(config.job.schedule.at_deadline);
        assert_eq!(Ages::default().idle_after, Some(minutes(24 * 60)));
        assert_eq!(Ages::default().expire_after, Some(minutes(15)));
    }

    #[test]
    fn each_bad_value_is_named_and_says_what_would_be_right() {
        let zero = "is zero; give a time such as \"15m\", or leave an optional setting unset to switch it off";
        let short = "is 999us; the shortest is 1ms";
        let long = "is 100years 9h; the longest is 100 years";
        let crossed = "is longer than the longest wait";
        let table = [
            (
                r#"{"job":{"schedule":{"every":"0s"}}}"#,
                "job.schedule.every",
                zero,
            ),
            (
                r#"{"job":{"schedule":{"every":"999us"}}}"#,
                "job.schedule.every",
                short,
            ),
            (
                r#"{"job":{"schedule":{"every":"36525d 9h"}}}"#,
                "job.schedule.every",
                long,
            ),
            (
                r#"{"job":{"schedule":{"start_jitter":"36525d 9h"}}}"#,
                "job.schedule.start_jitter",
                long,
            ),
            (
                r#"{"job":{"schedule":{"resolution":"0s"}}}"#,
                "job.schedule.resolution",
                zero,
            ),
            (
                r#"{"job":{"batch_pause":"36525d 9h"}}"#,
                "job.batch_pause",
                long,
            ),
            (r#"{"job":{"run_limit":"0s"}}"#, "job.run_limit", zero),
            (r#"{"job":{"step_limit":"0s"}}"#, "job.step_limit", zero),
            (r#"{"job":{"late_after":"0s"}}"#, "job.late_after", zero),
            (
                r#"{"jobs":{"booking-expirer":{"schedule":{"every":"0s"}}}}"#,
                "jobs.booking-expirer.schedule.every",
                zero,
            ),
            (
                r#"{"jobs":{"booking-expirer":{"late_after":"0s"}}}"#,
                "jobs.booking-expirer.late_after",
                zero,
            ),
            (r#"{"restart":{"within":"0s"}}"#, "restart.within", zero),
            (
                r#"{"restart":{"cool_down":"0s"}}"#,
                "restart.cool_down",
                zero,
            ),
            (
                r#"{"restart":{"backoff":{"first":"0s"}}}"#,
                "restart.backoff.first",
                zero,
            ),
            (
                r#"{"restart":{"backoff":{"longest":"0s"}}}"#,
                "restart.backoff.longest",
                zero,
            ),
            (
                r#"{"restart":{"backoff":{"first":"11s","longest":"10s"}}}"#,
                "restart.backoff.first",
                crossed,
            ),
            (
                r#"{"retry":{"longest":"36525d 9h"}}"#,
                "retry.longest",
                long,
            ),
            (r#"{"retry":{"first":"61s"}}"#, "retry.first", crossed),
        ];

        for (json, setting, problem) in table {
            let config: HousekeeperConfig = serde_json::from_str(json).expect(json);

            let checked = config.check(&known());

            assert_eq!(checked, Err(ConfigError::new(setting, problem)), "{json}");
        }
    }

    #[test]
    fn an_unknown_job_is_named_with_the_known_ones() {
        let config: HousekeeperConfig =
            serde_json::from_str(r#"{"jobs":{"booking-expire":{}}}"#).expect("is a config");

        let error = config.check(&known()).expect_err("no job has that name");

        assert_eq!(
            error.to_string(),
            "jobs.booking-expire is no job of this housekeeper, which has session-cleaner, booking-expirer"
        );
    }

    #[test]
    fn a_misspelt_field_is_refused_at_every_level() {
        let table = [
            r#"{"jbo":{}}"#,
            r#"{"job":{"batchsize":1}}"#,
            r#"{"job":{"schedule":{"evry":"1m"}}}"#,
            r#"{"restart":{"max":1}}"#,
            r#"{"restart":{"backoff":{"frist":"1s"}}}"#,
            r#"{"retry":{"last":"1s"}}"#,
            r#"{"kept":{"run":1}}"#,
        ];

        for json in table {
            let error = serde_json::from_str::<HousekeeperConfig>(json).expect_err(json);

            assert!(error.to_string().starts_with("unknown field `"), "{error}");
        }
        assert!(serde_json::from_str::<Ages>(r#"{"idle_afer":"1h"}"#).is_err());
    }

    #[test]
    fn counts_that_cannot_be_zero_are_refused_as_zero() {
        let table = [r#"{"job":{"batch_size":0}}"#, r#"{"kept":{"runs":0}}"#];

        for json in table {
            let error = serde_json::from_str::<HousekeeperConfig>(json).expect_err(json);

            assert!(error.to_string().contains("nonzero"), "{error}");
        }
    }

    #[test]
    fn an_optional_time_is_off_when_null_and_has_its_default_when_left_out() {
        let left_out: JobConfig = serde_json::from_str("{}").expect("is a config");
        let off: JobConfig =
            serde_json::from_str(r#"{"schedule":{"every":null},"run_limit":null}"#)
                .expect("is a config");
        let ages_left_out: Ages = serde_json::from_str("{}").expect("are ages");
        let ages_off: Ages =
            serde_json::from_str(r#"{"idle_after":null,"expire_after":null}"#).expect("are ages");

        assert_eq!(left_out, JobConfig::default());
        assert_eq!((off.schedule.every, off.run_limit), (None, None));
        assert_eq!(ages_left_out, Ages::default());
        assert_eq!((ages_off.idle_after, ages_off.expire_after), (None, None));
    }

    #[test]
    fn times_read_as_people_write_them() {
        let config: JobConfig =
            serde_json::from_str(r#"{"schedule":{"every":"1h 30m"},"batch_pause":"0s"}"#)
                .expect("is a config");

        assert_eq!(config.schedule.every, Some(minutes(90)));
        assert_eq!(config.batch_pause, Duration::ZERO);
        assert_eq!(config.check("job"), Ok(()));
    }

    #[test]
    fn a_job_without_settings_of_its_own_has_the_common_ones() {
        let config: HousekeeperConfig = serde_json::from_str(
            r#"{"job":{"ids_kept":1},"jobs":{"session-cleaner":{"batch_size":7}}}"#,
        )
        .expect("is a config");

        let (own, common) = (
            config.of(&"session-cleaner".into()),
            config.of(&"booking-expirer".into()),
        );

        assert_eq!((own.batch_size.get(), own.ids_kept), (7, 100));
        assert_eq!((common.batch_size.get(), common.ids_kept), (500, 1));
    }

    #[test]
    fn the_age_of_a_rule_is_off_or_at_least_a_millisecond() {
        let off = check_age("ages.idle_after", None);
        let right = check_age("ages.idle_after", Some(minutes(15)));
        let zero = check_age("ages.idle_after", Some(Duration::ZERO));

        assert_eq!(off, Ok(None));
        assert_eq!(right, Ok(Some(TimeDelta::minutes(15))));
        assert_eq!(
            zero.map_err(|error| error.setting),
            Err("ages.idle_after".to_owned())
        );
    }

    proptest! {
        #[test]
        fn a_config_reads_back_as_it_was_written(config in config(), ages in ages()) {
            let json = serde_json::to_string(&(&config, &ages)).expect("is plain data");

            let read: (HousekeeperConfig, Ages) = serde_json::from_str(&json).expect("is a config");

            prop_assert_eq!(read, (config, ages));
        }

        #[test]
        fn a_span_is_right_from_a_millisecond_to_a_hundred_years(
            span in prop_oneof![any::<Duration>(), span(), edge()],
        ) {
            let checked = check_span("a", span);

            let right = span >= Duration::from_millis(1) && span <= Duration::from_secs(3_153_600_000);
            prop_assert_eq!(checked.is_ok(), right);
        }
    }

    prop_compose! {
        fn config()(
            job in job(),
            jobs in prop::collection::btree_map("[a-z-]{1,9}".prop_map(JobName::from), job(), 0..3),
            restart in restart(),
            retry in wait(),
            runs: NonZeroU32,
        ) -> HousekeeperConfig {
            HousekeeperConfig { job, jobs, restart, retry, kept: KeptConfig { runs } }
        }
    }

    prop_compose! {
        fn job()(
            schedule in schedule(),
            batch_size: NonZeroU32,
            batch_pause in span(),
            run_limit in prop::option::of(span()),
            step_limit in span(),
            late_after in span(),
            ids_kept: u32,
        ) -> JobConfig {
            JobConfig { schedule, batch_size, batch_pause, run_limit, step_limit, late_after, ids_kept }
        }
    }

    prop_compose! {
        fn schedule()(
            every in prop::option::of(span()),
            at_start: bool,
            start_jitter in span(),
            at_deadline: bool,
            resolution in span(),
        ) -> Schedule {
            Schedule { every, at_start, start_jitter, at_deadline, resolution }
        }
    }

    prop_compose! {
        fn restart()(
            max_restarts: u32,
            within in span(),
            backoff in wait(),
            beyond in prop::sample::select(vec![Beyond::Degrade, Beyond::Escalate]),
            cool_down in span(),
        ) -> RestartConfig {
            RestartConfig { max_restarts, within, backoff, beyond, cool_down }
        }
    }

    prop_compose! {
        fn wait()(first in span(), longest in span()) -> BackoffConfig {
            BackoffConfig { first, longest }
        }
    }

    prop_compose! {
        fn ages()(idle_after in prop::option::of(span()), expire_after in prop::option::of(span())) -> Ages {
            Ages { idle_after, expire_after }
        }
    }

    fn span() -> impl Strategy<Value = Duration> {
        prop_oneof![
            Just(Duration::ZERO),
            (0..100_000_u64).prop_map(Duration::from_millis),
            (0..LONGEST.as_secs(), 0..1_000_000_000_u32)
                .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
        ]
    }

    fn edge() -> impl Strategy<Value = Duration> {
        let nano = Duration::from_nanos(1);
        prop::sample::select(vec![
            Duration::from_nanos(999_999),
            SHORTEST,
            LONGEST,
            LONGEST + nano,
        ])
    }

    fn known() -> [JobName; 2] {
        ["session-cleaner".into(), "booking-expirer".into()]
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }
}
