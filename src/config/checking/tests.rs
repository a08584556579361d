use super::super::*;

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
    let zero =
        "is zero; give a time such as \"15m\", or leave an optional setting unset to switch it off";
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
            "is 1001, which is larger than max_batch, 50",
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

    for (cron, reported) in table {
        let error = Schedule::cron(cron).check("schedule");

        assert_eq!(error.expect_err(reported).to_string(), reported);
    }
    let mut config = HousekeeperConfig::default();
    config.job.pace.finish_by = Some("61 * * * *".into());
    let error = config.check(&[]).expect_err("minute 61 is invalid");
    assert_eq!(error.setting, "job.pace.finish_by.expression");
    let right = Schedule::cron(Cron::new("0 3 * * *").in_zone("America/Argentina/Buenos_Aires"));
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
fn a_name_of_a_job_is_a_line_of_text() {
    let table = [
        ("", "is empty"),
        (" \t", "is empty"),
        ("a\0b", "contains a control or invisible character"),
        ("a\nb", "contains a control or invisible character"),
        ("a\u{202e}b", "contains a control or invisible character"),
        (".", "cannot be part of a link"),
        ("..", "cannot be part of a link"),
        (&"a".repeat(201), "has 201 characters"),
    ];

    for (name, reported) in table {
        let name = JobName::from(name.to_owned());

        let error = HousekeeperConfig::default()
            .check(&[name])
            .expect_err("is no name");

        assert!(error.problem.starts_with(reported), "{error}");
        assert!(!error.to_string().contains(['\0', '\n']), "{error}");
    }
    let right = ["a", "Ärger", "清掃", "..a", "a/../b", &"ä".repeat(200)]
        .map(|name| name.to_owned().into());
    assert_eq!(HousekeeperConfig::default().check(&right), Ok(()));
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
        (50, 1)
    );
}

fn known() -> [JobName; 2] {
    ["invoice-archiver".into(), "draft-sweeper".into()]
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}
