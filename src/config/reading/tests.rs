use std::time::Duration;

use super::*;

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

        let reported = format!("{path}: unknown field `");
        assert!(error.to_string().starts_with(&reported), "{error}");
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

    for (json, reported) in table {
        let error = serde_json::from_str::<HousekeeperConfig>(json).expect_err(json);

        assert!(error.to_string().starts_with(reported), "{error}");
    }
}

#[test]
fn an_optional_time_is_off_when_null_or_has_its_default() {
    let left_out: JobConfig = serde_json::from_str("{}").expect("is a config");
    let off: JobConfig = serde_json::from_str(r#"{"schedule":{"every":null},"run_timeout":null}"#)
        .expect("is a config");

    assert_eq!(left_out, JobConfig::default());
    assert_eq!((off.schedule.every, off.run_timeout), (None, None));
}

#[test]
fn durations_read_in_human_form() {
    let config: JobConfig =
        serde_json::from_str(r#"{"schedule":{"every":"1h 30m"},"pace":{"min_pause":"0s"}}"#)
            .expect("is a config");

    assert_eq!(config.schedule.every, Some(Duration::from_secs(90 * 60)));
    assert_eq!(config.pace.min_pause, Duration::ZERO);
}
