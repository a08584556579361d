//! Checks settings once, on the way in.

use std::time::Duration;

use chrono::TimeDelta;

use super::{BackoffConfig, ConfigError, CourierConfig, HousekeeperConfig, JobConfig, Schedule};
use crate::config::Pace;
use crate::config::cron::{Calendar, Cron, CronError};
use crate::job::JobName;

impl HousekeeperConfig {
    /// Returns the settings of a job: its own, or else the common ones.
    #[must_use]
    pub fn for_job(&self, job: &JobName) -> &JobConfig {
        self.jobs.get(job).unwrap_or(&self.job)
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// Fails on the first value that is out of bounds, and on settings of a job that is not in
    /// `known`.
    pub fn check(&self, known: &[JobName]) -> Result<(), ConfigError> {
        for name in known {
            check_name(name.as_str())?;
        }
        self.job.check("job")?;
        for (name, job) in &self.jobs {
            if !known.contains(name) {
                let known: Vec<&str> = known.iter().map(JobName::as_str).collect();
                return Err(ConfigError::new(
                    format!("jobs.{}", name.as_str().escape_debug()),
                    format!(
                        "is no job of this housekeeper, which has {}",
                        known.join(", ")
                    ),
                ));
            }
            job.check(&format!("jobs.{name}"))?;
        }
        self.restart.backoff.check("restart.backoff")?;
        check_duration("restart.within", self.restart.within)?;
        check_duration("restart.cool_down", self.restart.cool_down)?;
        self.retry.check("retry")
    }
}

impl HousekeeperConfig {
    /// Returns the settings of a courier: its own, or else the common ones.
    #[must_use]
    pub fn for_courier(&self, rule: &JobName) -> &CourierConfig {
        self.couriers.get(rule).unwrap_or(&self.courier)
    }

    /// Checks the settings of couriers, and that each one named is one of `known`.
    pub(crate) fn check_couriers(&self, known: &[JobName]) -> Result<(), ConfigError> {
        for name in known {
            check_name(name.as_str())?;
        }
        self.courier.check("courier")?;
        for (name, courier) in &self.couriers {
            let path = format!("couriers.{}", name.as_str().escape_debug());
            if !known.contains(name) {
                let known: Vec<&str> = known.iter().map(JobName::as_str).collect();
                let problem = format!(
                    "is no courier of this housekeeper, which has {}",
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    }
                );
                return Err(ConfigError::new(path, problem));
            }
            courier.check(&path)?;
        }
        Ok(())
    }
}

impl CourierConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        check_wait(&format!("{path}.answer_timeout"), self.answer_timeout, DAY)?;
        check_wait(&format!("{path}.look_every"), self.look_every, DAY)?;
        check_duration(&format!("{path}.late_after"), self.late_after)?;
        self.backoff.check(&format!("{path}.backoff"))
    }
}

impl JobConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        self.schedule.check(&format!("{path}.schedule"))?;
        self.pace.check(&format!("{path}.pace"))?;
        check_wait(&format!("{path}.step_timeout"), self.step_timeout, DAY)?;
        check_wait(&format!("{path}.read_timeout"), self.read_timeout, DAY)?;
        check_duration(&format!("{path}.late_after"), self.late_after)?;
        if let Some(runbook) = &self.runbook {
            let is_web = ["https://", "http://"]
                .iter()
                .any(|start| runbook.starts_with(start));
            let is_plain = !runbook.chars().any(|c| c.is_whitespace() || c.is_control());
            if !(is_web && is_plain) {
                let path = format!("{path}.runbook");
                let problem = "is no address; give one such as \"https://wiki.example/cleaner\"";
                return Err(ConfigError::new(path, problem));
            }
        }
        if let Some(limit) = self.run_timeout {
            check_duration(&format!("{path}.run_timeout"), limit)?;
        }
        if let Some(leap) = self.max_clock_leap {
            check_duration(&format!("{path}.max_clock_leap"), leap)?;
        }
        Ok(())
    }
}

impl Pace {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let wrong =
            |field: &str, problem: &str| Err(ConfigError::new(format!("{path}.{field}"), problem));
        check_wait(&format!("{path}.target"), self.target, MINUTE)?;
        at_most(&format!("{path}.min_pause"), self.min_pause, HOUR)?;
        at_most(&format!("{path}.max_pause"), self.max_pause, HOUR)?;
        if self.min_pause > self.max_pause {
            return wrong("min_pause", "is longer than max_pause");
        }
        if self.min_batch > self.max_batch {
            let problem = format!(
                "is {}, which is larger than max_batch, {}",
                self.min_batch, self.max_batch
            );
            return wrong("min_batch", &problem);
        }
        for (field, percent) in [
            ("duty_percent", self.duty_percent),
            ("min_duty_percent", self.min_duty_percent),
        ] {
            if !(1..=100).contains(&percent) {
                let problem = format!("is {percent}; give a percentage from 1 to 100");
                return wrong(field, &problem);
            }
        }
        if let Some(cron) = &self.finish_by {
            check_cron(&format!("{path}.finish_by"), cron)?;
        }
        Ok(())
    }
}

impl Schedule {
    /// Checks every value. Errors name the setting with `path` in front.
    pub(crate) fn check(&self, path: &str) -> Result<(), ConfigError> {
        if let Some(every) = self.every {
            check_duration(&format!("{path}.every"), every)?;
        }
        if let Some(cron) = &self.cron {
            let setting = format!("{path}.cron");
            if self.every.is_some() {
                return Err(ConfigError::new(
                    setting,
                    "is set beside `every`, but a job ticks by one of them; give `every` as null to tick by cron, or leave `cron` out",
                ));
            }
            check_cron(&setting, cron)?;
        }
        check_pause(&format!("{path}.start_jitter"), self.start_jitter)?;
        check_duration(&format!("{path}.min_interval"), self.min_interval)?;
        Ok(())
    }
}

impl BackoffConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        check_duration(&format!("{path}.first"), self.first)?;
        check_duration(&format!("{path}.max"), self.max)?;
        if self.first > self.max {
            return Err(ConfigError::new(
                format!("{path}.first"),
                "is longer than max",
            ));
        }
        Ok(())
    }
}

/// Checks the name of a job. It appears in logs, tables and the database, and Postgres stores no
/// NUL.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let length = name.chars().count();
    let problem = if name.trim().is_empty() {
        "is empty".to_owned()
    } else if name.contains(char::is_control) {
        "contains a control character".to_owned()
    } else if length > MAX_NAME {
        format!("has {length} characters, more than {MAX_NAME}")
    } else {
        return Ok(());
    };
    Err(ConfigError::new(
        format!("the name of a job, {name:?},"),
        format!("{problem}; give one such as \"draft-sweeper\""),
    ))
}

/// Checks an expression and its zone. Without the feature `cron`, every expression is an error.
fn check_cron(setting: &str, cron: &Cron) -> Result<(), ConfigError> {
    let wrong = |CronError { field, problem }| {
        let setting = match field {
            "" => setting.to_owned(),
            field => format!("{setting}.{field}"),
        };
        ConfigError::new(setting, problem)
    };
    Calendar::new(cron).map(drop).map_err(wrong)
}

/// Checks the age of a rule, such as `expire_after`. `None` switches the rule off and is valid.
pub(crate) fn check_age(
    setting: &str,
    age: Option<Duration>,
) -> Result<Option<TimeDelta>, ConfigError> {
    age.map(|age| check_duration(setting, age)).transpose()
}

/// Checks a timeout or a target: not zero, at most `max`.
pub(crate) fn check_wait(setting: &str, wait: Duration, max: Duration) -> Result<(), ConfigError> {
    check_duration(setting, wait)?;
    at_most(setting, wait, max)
}

/// Checks a duration from [`MIN_DURATION`] to [`MAX_DURATION`].
fn check_duration(setting: &str, span: Duration) -> Result<TimeDelta, ConfigError> {
    if span.is_zero() {
        return Err(ConfigError::new(
            setting,
            "is zero; give a time such as \"15m\", or leave an optional setting unset to switch it off",
        ));
    }
    if span < MIN_DURATION {
        return Err(ConfigError::new(
            setting,
            format!(
                "is {}; the minimum is 1ms",
                humantime::format_duration(span)
            ),
        ));
    }
    check_pause(setting, span)
}

/// Checks a duration that may be zero, up to [`MAX_DURATION`].
fn check_pause(setting: &str, span: Duration) -> Result<TimeDelta, ConfigError> {
    at_most(setting, span, MAX_DURATION)?;
    Ok(TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX))
}

fn at_most(setting: &str, span: Duration, max: Duration) -> Result<(), ConfigError> {
    if span <= max {
        return Ok(());
    }
    let max = if max == MAX_DURATION {
        "100 years".to_owned()
    } else {
        humantime::format_duration(max).to_string()
    };
    Err(ConfigError::new(
        setting,
        format!(
            "is {}; the maximum is {max}",
            humantime::format_duration(span)
        ),
    ))
}

/// Maximum characters of a name, which is a column of the status.
const MAX_NAME: usize = 200;

/// Timers count in milliseconds.
const MIN_DURATION: Duration = Duration::from_millis(1);

/// Maximum target of a transaction, which keeps its rows locked.
const MINUTE: Duration = Duration::from_secs(60);

/// Maximum wait of a step for the database, and maximum pause between two batches.
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// Maximum timeout of a step.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Adding this to a date, or subtracting it, stays within the calendar.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::*;
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let config = HousekeeperConfig::default();

        assert_eq!(config.check(&known()), Ok(()));
        assert_eq!(config.job.schedule.every, Some(minutes(15)));
        assert!(config.job.schedule.at_start);
        assert!(config.job.schedule.at_deadline);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a row for each setting")]
    fn an_invalid_value_is_named_with_a_valid_one() {
        let zero = "is zero; give a time such as \"15m\", or leave an optional setting unset to switch it off";
        let short = "is 999us; the minimum is 1ms";
        let long = "is 100years 9h; the maximum is 100 years";
        let hour = "is 1h 1s; the maximum is 1h";
        let crossed = "is longer than max";
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
                r#"{"job":{"schedule":{"min_interval":"0s"}}}"#,
                "job.schedule.min_interval",
                zero,
            ),
            (
                r#"{"job":{"pace":{"max_pause":"1h 1s"}}}"#,
                "job.pace.max_pause",
                hour,
            ),
            (
                // Meant as 25 milliseconds.
                r#"{"job":{"pace":{"target":"25m"}}}"#,
                "job.pace.target",
                "is 25m; the maximum is 1m",
            ),
            (
                r#"{"job":{"step_timeout":"1month"}}"#,
                "job.step_timeout",
                "is 1month; the maximum is 1day",
            ),
            (
                r#"{"job":{"pace":{"min_pause":"2s"}}}"#,
                "job.pace.min_pause",
                "is longer than max_pause",
            ),
            (
                r#"{"job":{"pace":{"target":"0s"}}}"#,
                "job.pace.target",
                zero,
            ),
            (
                r#"{"job":{"pace":{"min_batch":1001}}}"#,
                "job.pace.min_batch",
                "is 1001, which is larger than max_batch, 200",
            ),
            (
                r#"{"job":{"pace":{"duty_percent":0}}}"#,
                "job.pace.duty_percent",
                "is 0; give a percentage from 1 to 100",
            ),
            (
                r#"{"job":{"pace":{"duty_percent":101}}}"#,
                "job.pace.duty_percent",
                "is 101; give a percentage from 1 to 100",
            ),
            (
                r#"{"job":{"pace":{"min_duty_percent":0}}}"#,
                "job.pace.min_duty_percent",
                "is 0; give a percentage from 1 to 100",
            ),
            (r#"{"job":{"run_timeout":"0s"}}"#, "job.run_timeout", zero),
            (r#"{"job":{"step_timeout":"0s"}}"#, "job.step_timeout", zero),
            (r#"{"job":{"read_timeout":"0s"}}"#, "job.read_timeout", zero),
            (r#"{"job":{"late_after":"0s"}}"#, "job.late_after", zero),
            (
                r#"{"jobs":{"draft-sweeper":{"schedule":{"every":"0s"}}}}"#,
                "jobs.draft-sweeper.schedule.every",
                zero,
            ),
            (
                r#"{"jobs":{"draft-sweeper":{"late_after":"0s"}}}"#,
                "jobs.draft-sweeper.late_after",
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
                r#"{"restart":{"backoff":{"max":"0s"}}}"#,
                "restart.backoff.max",
                zero,
            ),
            (
                r#"{"restart":{"backoff":{"first":"11s","max":"10s"}}}"#,
                "restart.backoff.first",
                crossed,
            ),
            (r#"{"retry":{"max":"36525d 9h"}}"#, "retry.max", long),
            (r#"{"retry":{"first":"61s"}}"#, "retry.first", crossed),
        ];

        for (json, setting, problem) in table {
            let config: HousekeeperConfig = serde_json::from_str(json).expect(json);

            let checked = config.check(&known());

            assert_eq!(checked, Err(ConfigError::new(setting, problem)), "{json}");
        }
    }

    #[test]
    fn every_and_cron_exclude_each_other() {
        let both = r#"{"job":{"schedule":{"every":"15m","cron":{"expression":"0 3 * * *"}}}}"#;
        let config: HousekeeperConfig = serde_json::from_str(both).expect("is a config");

        let checked = config.check(&known()).expect_err("both are set");

        assert_eq!(
            checked.to_string(),
            "job.schedule.cron is set beside `every`, but a job ticks by one of them; give `every` as null to tick by cron, or leave `cron` out"
        );
    }

    #[test]
    #[cfg(feature = "cron")]
    fn an_invalid_cron_is_named_with_its_field() {
        let table = [
            (
                Cron::new("61 * * * *"),
                "schedule.cron.expression \"61 * * * *\": minute 61 is not within 0-59",
            ),
            (
                Cron::new("0 3 * * *").in_zone("berlin"),
                "schedule.cron.zone \"berlin\" is no time zone; give an IANA name such as \"Europe/Berlin\", or \"UTC\"",
            ),
        ];

        for (cron, told) in table {
            let error = Schedule::cron(cron).check("schedule");

            assert_eq!(error.expect_err(told).to_string(), told);
        }
        let mut config = HousekeeperConfig::default();
        config.job.pace.finish_by = Some("61 * * * *".into());
        let error = config.check(&[]).expect_err("minute 61 is invalid");
        assert_eq!(error.setting, "job.pace.finish_by.expression");
        let right =
            Schedule::cron(Cron::new("0 3 * * *").in_zone("America/Argentina/Buenos_Aires"));
        assert_eq!(right.check("schedule"), Ok(()));
    }

    #[test]
    #[cfg(not(feature = "cron"))]
    fn without_the_feature_a_cron_is_an_error_that_names_it() {
        let error = Schedule::cron("0 3 * * *").check("schedule");

        assert_eq!(
            error.expect_err("the feature is off").to_string(),
            "schedule.cron needs the feature `cron` of ractor-housekeeper, which is not switched on; give a time between ticks in `every`, or build with the feature"
        );
    }

    #[test]
    fn a_minimum_may_equal_its_maximum() {
        let mut config = HousekeeperConfig::default();
        config.job.pace.min_pause = config.job.pace.max_pause;
        config.job.pace.min_batch = config.job.pace.max_batch;
        config.retry.first = config.retry.max;

        assert_eq!(config.check(&known()), Ok(()));
    }

    #[test]
    fn an_unknown_job_is_named_with_the_known_ones() {
        let config: HousekeeperConfig =
            serde_json::from_str(r#"{"jobs":{"draft-sweep":{}}}"#).expect("is a config");

        let error = config.check(&known()).expect_err("no job has that name");

        assert_eq!(
            error.to_string(),
            "jobs.draft-sweep is no job of this housekeeper, which has invoice-archiver, draft-sweeper"
        );
    }

    #[test]
    fn an_unknown_field_is_an_error_at_every_level() {
        let table = [
            (r#"{"jbo":{}}"#, "jbo"),
            (r#"{"job":{"batchsize":1}}"#, "job.batchsize"),
            (
                r#"{"job":{"schedule":{"start_jiter":"1m"}}}"#,
                "job.schedule.start_jiter",
            ),
            (r#"{"restart":{"max":1}}"#, "restart.max"),
            (
                r#"{"restart":{"backoff":{"frist":"1s"}}}"#,
                "restart.backoff.frist",
            ),
            (
                r#"{"job":{"schedule":{"cron":{"expression":"* * * * *","zoen":"UTC"}}}}"#,
                "job.schedule.cron.zoen",
            ),
            (r#"{"retry":{"last":"1s"}}"#, "retry.last"),
            (r#"{"history":{"run":1}}"#, "history.run"),
        ];

        for (json, path) in table {
            let error = serde_json::from_str::<HousekeeperConfig>(json).expect_err(json);

            let told = format!("{path}: unknown field `");
            assert!(error.to_string().starts_with(&told), "{error}");
        }
    }

    #[test]
    fn an_unreadable_value_is_named_with_what_was_expected() {
        let table = [
            (
                r#"{"job":{"pace":{"min_batch":0}}}"#,
                "job.pace.min_batch: invalid value: integer `0`, expected a nonzero u32",
            ),
            (
                r#"{"history":{"runs":0}}"#,
                "history.runs: invalid value: integer `0`, expected a nonzero u32",
            ),
            (
                r#"{"job":{"schedule":{"every":"15"}}}"#,
                "job.schedule.every: `15` has no unit; write `15m`",
            ),
            (
                r#"{"jobs":{"draft-sweeper":{"schedule":{"every":15}}}}"#,
                "jobs.draft-sweeper.schedule.every: invalid type: integer `15`, expected a time as text with its unit; write `15m`, `1h 30m`, `900s` or `PT15M`",
            ),
            (
                r#"{"job":{"late_after":"15M"}}"#,
                "job.late_after: `15M` has the unit `M`, which may mean minutes or months; write `m` or `months`",
            ),
            (
                r#"{"retry":{"first":"P1M"}}"#,
                "retry.first: `P1M` is no ISO 8601 duration of weeks",
            ),
            (
                r#"{"job":{"schedule":{"cron":"0 3 * * *"}}}"#,
                "job.schedule.cron: invalid type: string \"0 3 * * *\", expected an expression and a zone, as in {\"expression\": \"30 2 * * *\", \"zone\": \"Europe/Berlin\"}",
            ),
            (
                r#"{"job":{"schedule":{"cron":{"zone":"UTC"}}}}"#,
                "job.schedule.cron: missing field `expression`",
            ),
            (
                r#"{"job":{"schedule":7}}"#,
                "job.schedule: invalid type: integer `7`, expected struct Schedule",
            ),
            (
                r#"{"job":{"pace":{"duty_percent":300}}}"#,
                "job.pace.duty_percent: invalid value: integer `300`, expected u8",
            ),
            (
                r#"{"restart":{"on_limit":"give_up"}}"#,
                "restart.on_limit: unknown variant `give_up`, expected `degrade` or `escalate`",
            ),
        ];

        for (json, told) in table {
            let error = serde_json::from_str::<HousekeeperConfig>(json).expect_err(json);

            assert!(error.to_string().starts_with(told), "{error}");
        }
    }

    #[test]
    fn a_name_of_a_job_is_a_line_of_text() {
        let table = [
            ("", "is empty"),
            (" \t", "is empty"),
            ("a\0b", "contains a control character"),
            ("a\nb", "contains a control character"),
            (&"a".repeat(201), "has 201 characters"),
        ];

        for (name, told) in table {
            let name = JobName::from(name.to_owned());

            let error = HousekeeperConfig::default()
                .check(&[name])
                .expect_err("is no name");

            assert!(error.problem.starts_with(told), "{error}");
            assert!(!error.to_string().contains(['\0', '\n']), "{error}");
        }
        let right = ["a", "Ärger", "清掃", &"ä".repeat(200)].map(|name| name.to_owned().into());
        assert_eq!(HousekeeperConfig::default().check(&right), Ok(()));
    }

    #[test]
    fn an_optional_time_is_off_when_null_or_has_its_default() {
        let left_out: JobConfig = serde_json::from_str("{}").expect("is a config");
        let off: JobConfig =
            serde_json::from_str(r#"{"schedule":{"every":null},"run_timeout":null}"#)
                .expect("is a config");

        assert_eq!(left_out, JobConfig::default());
        assert_eq!((off.schedule.every, off.run_timeout), (None, None));
    }

    #[test]
    fn durations_read_in_human_form() {
        let config: JobConfig =
            serde_json::from_str(r#"{"schedule":{"every":"1h 30m"},"pace":{"min_pause":"0s"}}"#)
                .expect("is a config");

        assert_eq!(config.schedule.every, Some(minutes(90)));
        assert_eq!(config.pace.min_pause, Duration::ZERO);
        assert_eq!(config.check("job"), Ok(()));
    }

    #[test]
    fn a_job_without_its_own_settings_has_the_common_ones() {
        let config: HousekeeperConfig = serde_json::from_str(
            r#"{"job":{"max_reported_ids":1},"jobs":{"invoice-archiver":{"pace":{"max_batch":700}}}}"#,
        )
        .expect("is a config");

        let (own, common) = (
            config.for_job(&"invoice-archiver".into()),
            config.for_job(&"draft-sweeper".into()),
        );

        assert_eq!((own.pace.max_batch.get(), own.max_reported_ids), (700, 100));
        assert_eq!(
            (common.pace.max_batch.get(), common.max_reported_ids),
            (200, 1)
        );
    }

    #[test]
    fn an_age_is_none_or_at_least_a_millisecond() {
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
        fn a_config_reads_back_as_it_was_written(config in config()) {
            let json = serde_json::to_string(&config).expect("is plain data");

            let read: HousekeeperConfig = serde_json::from_str(&json).expect("is a config");

            prop_assert_eq!(read, config);
        }

        #[test]
        fn a_duration_is_valid_from_a_millisecond_to_a_century(
            span in prop_oneof![any::<Duration>(), span(), edge()],
        ) {
            let checked = check_duration("a", span);

            let right = span >= Duration::from_millis(1) && span <= Duration::from_secs(3_153_600_000);
            prop_assert_eq!(checked.is_ok(), right);
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

    fn edge() -> impl Strategy<Value = Duration> {
        let nano = Duration::from_nanos(1);
        prop::sample::select(vec![
            Duration::from_nanos(999_999),
            MIN_DURATION,
            MAX_DURATION,
            MAX_DURATION + nano,
        ])
    }

    fn known() -> [JobName; 2] {
        ["invoice-archiver".into(), "draft-sweeper".into()]
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(count * 60)
    }
}
