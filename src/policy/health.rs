//! How a job is, judged by what it got done.

use std::time::Duration;

use crate::config::{JobConfig, MAX_HISTORY_WRITE};
use crate::model::Health;
use crate::time::Moment;

/// What the health of a job is judged by.
#[derive(Debug, Clone)]
pub(crate) struct HealthInputs<'a> {
    pub(crate) now: Moment,
    pub(crate) late_after: Duration,
    /// Why the job was given up for now.
    pub(crate) degraded: Option<&'a str>,
    /// How the last run of everything failed, or why the worker is being restarted.
    pub(crate) failure: Option<&'a str>,
    pub(crate) last_success: Option<Moment>,
    /// When the housekeeper started.
    pub(crate) started: Moment,
    /// How long two ticks take from the last success on; `None` without ticks.
    pub(crate) two_ticks: Option<Duration>,
    /// How long the oldest row had been due, as seen at that moment.
    pub(crate) oldest_overdue: Option<(Duration, Moment)>,
    /// When the agenda wanted to run next.
    pub(crate) next_run: Option<Moment>,
    pub(crate) paused: bool,
    /// Of the run in progress.
    pub(crate) silence: Option<Heartbeat>,
}

/// How long nothing was heard of a run, and how long that may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    /// When its worker last spoke, or was given the run.
    pub(crate) since: Moment,
    pub(crate) step_timeout: Duration,
    /// [`max_silence`] of its settings.
    pub(crate) longest: Duration,
}

/// How long a worker may be silent by its own limits.
///
/// It speaks when it begins, after each batch, and at the end. On the longest way between, the run
/// is opened and its first batch handled; on the others one of the two is a pause or a write of the
/// history. Both are added all the same: to call a busy machine stalled is worse than to notice
/// some seconds later.
pub(crate) fn max_silence(config: &JobConfig) -> Duration {
    let pause = config.pace.max_pause.max(config.pace.min_pause);
    let steps = config.step_timeout.saturating_mul(2);
    steps
        .saturating_add(pause)
        .saturating_add(MAX_HISTORY_WRITE)
}

/// The health that the signs show: the worst of them counts.
pub(crate) fn health(signs: &HealthInputs<'_>) -> Health {
    if let Some(reason) = signs.degraded {
        let reason = reason.to_owned();
        return Health::Degraded { reason };
    }
    if let Some(reason) = stalled(signs) {
        return Health::Failing { reason };
    }
    if let Some(reason) = signs.failure {
        let reason = reason.to_owned();
        return Health::Failing { reason };
    }
    overdue_row(signs)
        .or_else(|| overdue_run(signs))
        .or_else(|| overdue_success(signs))
        .map_or(Health::Healthy, |reason| Health::Late { reason })
}

fn stalled(signs: &HealthInputs<'_>) -> Option<String> {
    let silence = signs.silence?;
    let silent = silence.length(signs.now);
    silence.is_too_long(signs.now).then(|| {
        format!(
            "its run has said nothing for {}, and a step may take {}: code of the job blocks its worker",
            readable(silent),
            crate::fmt::span(silence.step_timeout)
        )
    })
}

impl Heartbeat {
    pub(crate) fn is_too_long(&self, now: Moment) -> bool {
        self.length(now) > self.longest
    }

    fn length(&self, now: Moment) -> Duration {
        since(now, self.since)
    }
}

fn overdue_row(signs: &HealthInputs<'_>) -> Option<String> {
    let (age, seen) = signs.oldest_overdue?;
    let age = age.saturating_add(since(signs.now, seen));
    (age > signs.late_after).then(|| format!("a row has been due for {}", readable(age)))
}

fn overdue_run(signs: &HealthInputs<'_>) -> Option<String> {
    if signs.paused || signs.silence.is_some() {
        return None;
    }
    let late = since(signs.now, signs.next_run?);
    (late > signs.late_after).then(|| format!("a run should have started {} ago", readable(late)))
}

fn overdue_success(signs: &HealthInputs<'_>) -> Option<String> {
    if signs.paused {
        return None;
    }
    let patience = signs.two_ticks?.saturating_add(signs.late_after);
    let without = since(signs.now, signs.last_success.unwrap_or(signs.started));
    (without > patience).then(|| match signs.last_success {
        Some(_) => format!("the last run that completed was {} ago", readable(without)),
        None => format!(
            "no run has completed since the start {} ago",
            readable(without)
        ),
    })
}

/// By the monotonic clock: a corrected wall clock makes nobody late.
fn since(now: Moment, then: Moment) -> Duration {
    now.mono.saturating_sub(then.mono)
}

fn readable(span: Duration) -> String {
    crate::fmt::span(Duration::from_secs(span.as_secs()))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_job_that_does_its_work_is_healthy() {
        let signs = signs();

        let health = health(&signs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn the_worst_sign_counts() {
        let late = HealthInputs {
            oldest_overdue: Some((MINUTE * 5, at(NOW))),
            ..signs()
        };
        let failing = HealthInputs {
            failure: Some("the database is away"),
            ..late.clone()
        };
        let degraded = HealthInputs {
            degraded: Some("it panicked six times"),
            ..failing.clone()
        };

        let seen = [late, failing, degraded].map(|signs| health(&signs));

        assert_eq!(
            seen,
            [
                Health::Late {
                    reason: "a row has been due for 5m".to_owned()
                },
                Health::Failing {
                    reason: "the database is away".to_owned()
                },
                Health::Degraded {
                    reason: "it panicked six times".to_owned()
                }
            ]
        );
    }

    #[test]
    fn each_kind_of_lateness_begins_a_moment_beyond_its_limit() {
        let row = |age| HealthInputs {
            oldest_overdue: Some((age, at(NOW))),
            ..signs()
        };
        let aged_row = |age| HealthInputs {
            oldest_overdue: Some((Duration::ZERO, before(age))),
            ..signs()
        };
        let run = |late| HealthInputs {
            next_run: Some(before(late)),
            ..signs()
        };
        let success = |ago| HealthInputs {
            last_success: Some(before(ago)),
            ..signs()
        };
        let first_success = |ago| HealthInputs {
            last_success: None,
            started: before(ago),
            ..signs()
        };
        let table: [(&str, HealthInputs<'_>, HealthInputs<'_>, &str); 5] = [
            (
                "row",
                row(MINUTE),
                row(MINUTE + MOMENT),
                "a row has been due for 1m",
            ),
            (
                "row, aged since it was seen",
                aged_row(MINUTE),
                aged_row(MINUTE + MOMENT),
                "a row has been due for 1m",
            ),
            (
                "run",
                run(MINUTE),
                run(MINUTE + MOMENT),
                "a run should have started 1m ago",
            ),
            (
                "success",
                success(MINUTE * 31),
                success(MINUTE * 31 + MOMENT),
                "the last run that completed was 31m ago",
            ),
            (
                "first success",
                first_success(MINUTE * 31),
                first_success(MINUTE * 31 + MOMENT),
                "no run has completed since the start 31m ago",
            ),
        ];

        for (kind, in_time, late, reason) in table {
            let seen = (health(&in_time), health(&late));

            let reason = reason.to_owned();
            assert_eq!(seen, (Health::Healthy, Health::Late { reason }), "{kind}");
        }
    }

    #[test]
    fn a_run_in_progress_is_not_late_to_start() {
        let signs = HealthInputs {
            next_run: Some(before(MINUTE * 5)),
            silence: Some(silence(MINUTE)),
            ..signs()
        };

        let health = health(&signs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn a_run_is_wedged_a_moment_beyond_what_its_limits_allow() {
        let run = |age| HealthInputs {
            silence: Some(silence(age)),
            ..signs()
        };
        let limit = Duration::from_secs(63);

        let seen = [limit, limit + MOMENT, MINUTE * 2].map(|age| health(&run(age)));

        let failing = |age: &str| Health::Failing {
            reason: format!(
                "its run has said nothing for {age}, and a step may take 30s: code of the job blocks its worker"
            ),
        };
        assert_eq!(seen, [Health::Healthy, failing("1m 3s"), failing("2m")]);
    }

    #[test]
    fn a_wedged_run_is_told_of_before_the_failure_of_the_run_before_it() {
        let signs = HealthInputs {
            silence: Some(silence(MINUTE * 2)),
            failure: Some("the database is away"),
            ..signs()
        };

        let health = health(&signs);

        assert!(
            health
                .reason()
                .is_some_and(|reason| reason.contains("blocks its worker"))
        );
    }

    #[test]
    fn a_corrected_wall_clock_wedges_nobody() {
        let mut signs = HealthInputs {
            silence: Some(silence(Duration::ZERO)),
            ..signs()
        };
        signs.now.wall += Duration::from_secs(24 * 60 * 60);

        let health = health(&signs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn only_another_state_is_a_change_and_only_a_weightier_one_is_worse() {
        let reason = || "any".to_owned();
        let states = [
            Health::Healthy,
            Health::Late { reason: reason() },
            Health::Failing { reason: reason() },
            Health::Degraded { reason: reason() },
        ];

        for (place, state) in states.iter().enumerate() {
            for (other_place, other) in states.iter().enumerate() {
                assert_eq!(state.differs_from(other), place != other_place);
                assert_eq!(state.is_worse_than(other), place > other_place);
            }
        }
        let other_reason = Health::Late {
            reason: "another".to_owned(),
        };
        assert!(!states[1].differs_from(&other_reason));
    }

    proptest! {
        #[test]
        fn whatever_a_worker_may_do_within_its_limits_is_no_wedge(
            step_ms in 1..100_000_u64,
            shortest_ms in 0..5_000_u64,
            longest_ms in 0..5_000_u64,
            (open, batch, forecast, pause, history) in (0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0),
        ) {
            let ms = Duration::from_millis;
            let mut config = JobConfig { step_timeout: ms(step_ms), ..JobConfig::default() };
            config.pace.min_pause = ms(shortest_ms);
            config.pace.max_pause = ms(longest_ms);
            let step = |share: f64| config.step_timeout.mul_f64(share);
            let pause = ms(shortest_ms.max(longest_ms)).mul_f64(pause);
            let history = config.step_timeout.min(MAX_HISTORY_WRITE).mul_f64(history);
            let ways = [
                step(open) + step(batch),
                pause + step(batch),
                step(forecast) + history,
                pause + history,
            ];

            for way in ways {
                let silence = Heartbeat {
                    since: at(Duration::ZERO),
                    step_timeout: config.step_timeout,
                    longest: max_silence(&config),
                };
                prop_assert!(!silence.is_too_long(at(way)), "{way:?} of {:?}", silence.longest);
            }
        }
    }

    #[test]
    fn a_paused_job_owes_no_runs_but_its_rows_still_grow_old() {
        let without_rows = HealthInputs {
            paused: true,
            next_run: Some(before(MINUTE * 5)),
            last_success: Some(before(MINUTE * 90)),
            ..signs()
        };
        let with_a_row = HealthInputs {
            oldest_overdue: Some((Duration::ZERO, before(MINUTE * 90))),
            ..without_rows.clone()
        };

        let seen = [without_rows, with_a_row].map(|signs| health(&signs).as_str());

        assert_eq!(seen, ["healthy", "late"]);
    }

    #[test]
    fn a_job_without_ticks_owes_no_success() {
        let signs = HealthInputs {
            two_ticks: None,
            last_success: None,
            ..signs()
        };

        let health = health(&signs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn a_corrected_wall_clock_makes_nobody_late() {
        let mut signs = HealthInputs {
            oldest_overdue: Some((Duration::ZERO, at(NOW))),
            ..signs()
        };
        signs.now.wall += Duration::from_secs(24 * 60 * 60);

        let health = health(&signs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn the_longest_tick_of_all_is_no_overflow() {
        let signs = HealthInputs {
            two_ticks: Some(Duration::MAX),
            oldest_overdue: Some((Duration::MAX, before(MINUTE))),
            ..signs()
        };
        let longest_step = JobConfig {
            step_timeout: Duration::MAX,
            ..JobConfig::default()
        };

        let health = health(&signs);

        assert_eq!(health.as_str(), "late");
        assert_eq!(max_silence(&longest_step), Duration::MAX);
    }

    #[test]
    fn health_is_plain_json_and_a_word() {
        let late = Health::Late {
            reason: "a row has been due for 5m".to_owned(),
        };

        let json = [&late, &Health::Healthy]
            .map(|health| serde_json::to_string(health).expect("is plain data"));

        assert_eq!(
            json,
            [
                r#"{"state":"late","reason":"a row has been due for 5m"}"#,
                r#"{"state":"healthy"}"#
            ]
        );
        assert_eq!(
            serde_json::from_str::<Health>(&json[0]).expect("is what was written"),
            late
        );
        assert_eq!(format!("it is {late:>8}"), "it is     late");
        assert_eq!(late.reason(), Some("a row has been due for 5m"));
    }

    const MINUTE: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_nanos(1);
    const NOW: Duration = Duration::from_secs(100 * 60);

    /// A job that ticks each quarter of an hour, completed its last run five minutes ago, and has a
    /// minute's grace.
    fn signs() -> HealthInputs<'static> {
        HealthInputs {
            now: at(NOW),
            late_after: MINUTE,
            degraded: None,
            failure: None,
            last_success: Some(before(MINUTE * 5)),
            started: at(Duration::ZERO),
            two_ticks: Some(MINUTE * 30),
            oldest_overdue: None,
            next_run: Some(at(NOW + MINUTE * 10)),
            paused: false,
            silence: None,
        }
    }

    /// Of a run with the default limits that was last heard of this long ago.
    fn silence(age: Duration) -> Heartbeat {
        let config = JobConfig::default();
        Heartbeat {
            since: before(age),
            step_timeout: config.step_timeout,
            longest: max_silence(&config),
        }
    }

    fn before(age: Duration) -> Moment {
        at(NOW.checked_sub(age).expect("is after the start"))
    }

    fn at(mono: Duration) -> Moment {
        Moment {
            wall: DateTime::<Utc>::UNIX_EPOCH + mono,
            mono,
        }
    }
}
