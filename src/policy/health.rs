//! Derives the health of a job from its runs and rows.

use std::time::Duration;

use crate::config::{JobConfig, MAX_HISTORY_WRITE};
use crate::job::OldSnapshot;
use crate::model::{FailingCause, Health, LateCause};
use crate::time::Moment;

/// The facts from which [`health`] follows.
#[derive(Debug, Clone)]
pub(crate) struct HealthInputs<'a> {
    pub(crate) now: Moment,
    pub(crate) late_after: Duration,
    /// Why the worker is not restarted before the cool-down ends.
    pub(crate) degraded: Option<&'a str>,
    /// The failure of the last run of all rows, or of the worker that restarts.
    pub(crate) failure: Option<FailingCause>,
    pub(crate) last_success: Option<Moment>,
    /// When the housekeeper started.
    pub(crate) started: Moment,
    /// Duration of two ticks from the last success on; `None` without ticks.
    pub(crate) two_ticks: Option<Duration>,
    /// How long the oldest row had been due, and the moment of that forecast.
    pub(crate) oldest_overdue: Option<(Duration, Moment)>,
    /// When the planner runs the job next.
    pub(crate) next_run: Option<Moment>,
    pub(crate) paused: bool,
    /// Heartbeat of the run in progress.
    pub(crate) heartbeat: Option<Heartbeat>,
    /// The snapshot that slows down the runs.
    pub(crate) old_snapshot: Option<&'a OldSnapshot>,
}

/// The last sign of life of a run, and the silence that its timeouts allow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heartbeat {
    /// When its worker sent its last message, or was given the run.
    pub(crate) since: Moment,
    pub(crate) step_timeout: Duration,
    /// [`max_silence`] of the job's settings.
    pub(crate) max_silence: Duration,
}

/// Returns the longest silence that the timeouts of a job allow its worker.
///
/// A worker reports when a run begins, after each batch, and when the run ends. Between two reports
/// it takes at most two steps (it opens the run and handles the first batch), or one step and a
/// pause or a write of the history. The sum of all is generous: a false alarm on a busy machine is
/// worse than one that comes some seconds later.
pub(crate) fn max_silence(config: &JobConfig) -> Duration {
    let pause = config.pace.max_pause.max(config.pace.min_pause);
    let steps = config.step_timeout.saturating_mul(2);
    steps
        .saturating_add(pause)
        .saturating_add(MAX_HISTORY_WRITE)
}

/// Returns the worst health that the inputs show.
pub(crate) fn health(inputs: &HealthInputs<'_>) -> Health {
    if let Some(reason) = inputs.degraded {
        let reason = reason.to_owned();
        return Health::Degraded { reason };
    }
    if let Some(cause) = stalled(inputs).or_else(|| inputs.failure.clone()) {
        return Health::Failing { cause };
    }
    overdue_row(inputs)
        .or_else(|| overdue_run(inputs))
        .or_else(|| overdue_success(inputs))
        .or_else(|| slowed_down(inputs))
        .map_or(Health::Healthy, |cause| Health::Late { cause })
}

fn stalled(inputs: &HealthInputs<'_>) -> Option<FailingCause> {
    let heartbeat = inputs.heartbeat?;
    heartbeat
        .is_stalled(inputs.now)
        .then(|| FailingCause::Stalled {
            silent_for: heartbeat.silence(inputs.now),
            step_timeout: heartbeat.step_timeout,
        })
}

impl Heartbeat {
    pub(crate) fn is_stalled(&self, now: Moment) -> bool {
        self.silence(now) > self.max_silence
    }

    fn silence(&self, now: Moment) -> Duration {
        since(now, self.since)
    }
}

fn overdue_row(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    let (age, seen) = inputs.oldest_overdue?;
    let by = age.saturating_add(since(inputs.now, seen));
    (by > inputs.late_after).then_some(LateCause::RowOverdue { by })
}

fn overdue_run(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    if inputs.paused || inputs.heartbeat.is_some() {
        return None;
    }
    let by = since(inputs.now, inputs.next_run?);
    (by > inputs.late_after).then_some(LateCause::RunOverdue { by })
}

fn overdue_success(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    if inputs.paused {
        return None;
    }
    let allowed = inputs.two_ticks?.saturating_add(inputs.late_after);
    let elapsed = since(inputs.now, inputs.last_success.unwrap_or(inputs.started));
    (elapsed > allowed).then_some(LateCause::NoSuccess {
        elapsed,
        completed_before: inputs.last_success.is_some(),
    })
}

fn slowed_down(inputs: &HealthInputs<'_>) -> Option<LateCause> {
    let OldSnapshot { holder, age, .. } = inputs.old_snapshot?;
    Some(LateCause::SlowedDown {
        elapsed: *age,
        holder: holder.clone(),
    })
}

/// Measures by the monotonic clock: a corrected wall clock makes no job late.
fn since(now: Moment, then: Moment) -> Duration {
    now.mono.saturating_sub(then.mono)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_job_that_keeps_its_times_is_healthy() {
        let inputs = inputs();

        let health = health(&inputs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn the_worst_input_counts() {
        let late = HealthInputs {
            oldest_overdue: Some((MINUTE * 5, at(NOW))),
            ..inputs()
        };
        let failing = HealthInputs {
            failure: Some(failed()),
            ..late.clone()
        };
        let degraded = HealthInputs {
            degraded: Some("it panicked six times"),
            ..failing.clone()
        };

        let seen = [late, failing, degraded].map(|inputs| health(&inputs));

        assert_eq!(
            seen,
            [
                Health::Late {
                    cause: LateCause::RowOverdue { by: MINUTE * 5 }
                },
                Health::Failing { cause: failed() },
                Health::Degraded {
                    reason: "it panicked six times".to_owned()
                }
            ]
        );
    }

    #[test]
    fn each_kind_of_lateness_begins_past_its_limit() {
        let row = |age| HealthInputs {
            oldest_overdue: Some((age, at(NOW))),
            ..inputs()
        };
        let aged_row = |age| HealthInputs {
            oldest_overdue: Some((Duration::ZERO, before(age))),
            ..inputs()
        };
        let run = |late| HealthInputs {
            next_run: Some(before(late)),
            ..inputs()
        };
        let success = |ago| HealthInputs {
            last_success: Some(before(ago)),
            ..inputs()
        };
        let first_success = |ago| HealthInputs {
            last_success: None,
            started: before(ago),
            ..inputs()
        };
        let by = MINUTE + MOMENT;
        let elapsed = MINUTE * 31 + MOMENT;
        let no_success = |completed_before| LateCause::NoSuccess {
            elapsed,
            completed_before,
        };
        let table: [(HealthInputs<'_>, HealthInputs<'_>, LateCause, &str); 5] = [
            (
                row(MINUTE),
                row(by),
                LateCause::RowOverdue { by },
                "a row has been due for 1m",
            ),
            (
                aged_row(MINUTE),
                aged_row(by),
                LateCause::RowOverdue { by },
                "a row has been due for 1m",
            ),
            (
                run(MINUTE),
                run(by),
                LateCause::RunOverdue { by },
                "a run should have started 1m ago",
            ),
            (
                success(MINUTE * 31),
                success(elapsed),
                no_success(true),
                "the last run that completed was 31m ago",
            ),
            (
                first_success(MINUTE * 31),
                first_success(elapsed),
                no_success(false),
                "no run has completed since the start 31m ago",
            ),
        ];

        for (in_time, late, cause, reason) in table {
            let seen = (health(&in_time), health(&late));

            assert_eq!(seen.1.reason().as_deref(), Some(reason));
            assert_eq!(seen, (Health::Healthy, Health::Late { cause }), "{reason}");
        }
    }

    #[test]
    fn an_old_snapshot_is_the_cause_where_nothing_is_overdue() {
        let snapshot = OldSnapshot::new("backend 7 (psql)", MINUTE * 34);
        let slow = HealthInputs {
            old_snapshot: Some(&snapshot),
            ..inputs()
        };
        let overdue = HealthInputs {
            oldest_overdue: Some((MINUTE * 5, at(NOW))),
            ..slow.clone()
        };

        let reasons = [slow, overdue].map(|inputs| health(&inputs).reason());

        let reasons = reasons.map(Option::unwrap_or_default);
        assert_eq!(
            reasons,
            [
                "runs slow down, because a snapshot of 34m holds back vacuum: backend 7 (psql)",
                "a row has been due for 5m"
            ]
        );
    }

    #[test]
    fn a_run_in_progress_is_not_late_to_start() {
        let inputs = HealthInputs {
            next_run: Some(before(MINUTE * 5)),
            heartbeat: Some(heartbeat(MINUTE)),
            ..inputs()
        };

        let health = health(&inputs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn a_run_is_stalled_past_the_silence_its_timeouts_allow() {
        let run = |age| HealthInputs {
            heartbeat: Some(heartbeat(age)),
            ..inputs()
        };
        let limit = Duration::from_secs(63);

        let seen = [limit, limit + MOMENT, MINUTE * 2].map(|age| health(&run(age)));

        let failing = |silent_for| Health::Failing {
            cause: FailingCause::Stalled {
                silent_for,
                step_timeout: Duration::from_secs(30),
            },
        };
        assert_eq!(
            seen,
            [
                Health::Healthy,
                failing(limit + MOMENT),
                failing(MINUTE * 2)
            ]
        );
        assert_eq!(
            seen[1].reason().as_deref(),
            Some(
                "its run has been silent for 1m 3s, with a step timeout of 30s: the job's code blocks its worker"
            )
        );
    }

    #[test]
    fn a_stalled_run_outweighs_the_failure_of_the_last_run() {
        let inputs = HealthInputs {
            heartbeat: Some(heartbeat(MINUTE * 2)),
            failure: Some(failed()),
            ..inputs()
        };

        let health = health(&inputs);

        assert!(
            matches!(
                health,
                Health::Failing {
                    cause: FailingCause::Stalled { .. }
                }
            ),
            "{health:?}"
        );
    }

    #[test]
    fn a_corrected_wall_clock_stalls_no_run() {
        let mut inputs = HealthInputs {
            heartbeat: Some(heartbeat(Duration::ZERO)),
            ..inputs()
        };
        inputs.now.wall += Duration::from_secs(24 * 60 * 60);

        let health = health(&inputs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn states_differ_by_kind_and_are_ordered_by_severity() {
        let late = |by| Health::Late {
            cause: LateCause::RowOverdue { by },
        };
        let states = [
            Health::Healthy,
            late(MINUTE),
            Health::Failing { cause: failed() },
            Health::Degraded {
                reason: "any".to_owned(),
            },
        ];

        for (severity, state) in states.iter().enumerate() {
            for (other_severity, other) in states.iter().enumerate() {
                assert_eq!(state.differs_from(other), severity != other_severity);
                assert_eq!(state.is_worse_than(other), severity > other_severity);
            }
        }
        assert!(!states[1].differs_from(&late(MINUTE * 2)));
    }

    proptest! {
        #[test]
        fn no_run_within_its_timeouts_is_stalled(
            step_ms in 1..100_000_u64,
            min_pause_ms in 0..5_000_u64,
            max_pause_ms in 0..5_000_u64,
            (open, batch, forecast, pause, history) in (0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0),
        ) {
            let ms = Duration::from_millis;
            let mut config = JobConfig { step_timeout: ms(step_ms), ..JobConfig::default() };
            config.pace.min_pause = ms(min_pause_ms);
            config.pace.max_pause = ms(max_pause_ms);
            let step = |share: f64| config.step_timeout.mul_f64(share);
            let pause = ms(min_pause_ms.max(max_pause_ms)).mul_f64(pause);
            let history = config.step_timeout.min(MAX_HISTORY_WRITE).mul_f64(history);
            let silences = [
                step(open) + step(batch),
                pause + step(batch),
                step(forecast) + history,
                pause + history,
            ];

            for silent in silences {
                let heartbeat = Heartbeat {
                    since: at(Duration::ZERO),
                    step_timeout: config.step_timeout,
                    max_silence: max_silence(&config),
                };
                prop_assert!(!heartbeat.is_stalled(at(silent)), "{silent:?} of {:?}", heartbeat.max_silence);
            }
        }
    }

    #[test]
    fn a_paused_job_is_late_by_its_rows_only() {
        let without_rows = HealthInputs {
            paused: true,
            next_run: Some(before(MINUTE * 5)),
            last_success: Some(before(MINUTE * 90)),
            ..inputs()
        };
        let with_a_row = HealthInputs {
            oldest_overdue: Some((Duration::ZERO, before(MINUTE * 90))),
            ..without_rows.clone()
        };

        let seen = [without_rows, with_a_row].map(|inputs| health(&inputs).as_str());

        assert_eq!(seen, ["healthy", "late"]);
    }

    #[test]
    fn a_job_without_ticks_is_never_late_for_a_success() {
        let inputs = HealthInputs {
            two_ticks: None,
            last_success: None,
            ..inputs()
        };

        let health = health(&inputs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn a_corrected_wall_clock_makes_no_job_late() {
        let mut inputs = HealthInputs {
            oldest_overdue: Some((Duration::ZERO, at(NOW))),
            ..inputs()
        };
        inputs.now.wall += Duration::from_secs(24 * 60 * 60);

        let health = health(&inputs);

        assert_eq!(health, Health::Healthy);
    }

    #[test]
    fn the_longest_durations_do_not_overflow() {
        let inputs = HealthInputs {
            two_ticks: Some(Duration::MAX),
            oldest_overdue: Some((Duration::MAX, before(MINUTE))),
            ..inputs()
        };
        let endless_step = JobConfig {
            step_timeout: Duration::MAX,
            ..JobConfig::default()
        };

        let health = health(&inputs);

        assert_eq!(health.as_str(), "late");
        assert_eq!(max_silence(&endless_step), Duration::MAX);
    }

    #[test]
    fn health_serializes_its_cause_and_a_sentence() {
        let late = |cause| Health::Late { cause };
        let failing = |cause| Health::Failing { cause };
        let reason = || "bug".to_owned();
        let table = [
            (Health::Healthy, r#"{"state":"healthy"}"#),
            (
                late(LateCause::RowOverdue { by: MINUTE * 5 }),
                r#"{"state":"late","reason":"a row has been due for 5m","cause":{"kind":"row_overdue","by":"5m","by_ms":300000}}"#,
            ),
            (
                late(LateCause::RunOverdue { by: MINUTE }),
                r#"{"state":"late","reason":"a run should have started 1m ago","cause":{"kind":"run_overdue","by":"1m","by_ms":60000}}"#,
            ),
            (
                late(LateCause::NoSuccess {
                    elapsed: MINUTE,
                    completed_before: false,
                }),
                r#"{"state":"late","reason":"no run has completed since the start 1m ago","cause":{"kind":"no_success","elapsed":"1m","elapsed_ms":60000,"completed_before":false}}"#,
            ),
            (
                late(LateCause::SlowedDown {
                    elapsed: MINUTE * 34,
                    holder: "backend 7".to_owned(),
                }),
                r#"{"state":"late","reason":"runs slow down, because a snapshot of 34m holds back vacuum: backend 7","cause":{"kind":"slowed_down","elapsed":"34m","elapsed_ms":2040000,"holder":"backend 7"}}"#,
            ),
            (
                failing(failed()),
                r#"{"state":"failing","reason":"the last run failed: the database is away","cause":{"kind":"run_failed","error":"the database is away"}}"#,
            ),
            (
                failing(FailingCause::RunCrashed { reason: reason() }),
                r#"{"state":"failing","reason":"the last run crashed: bug","cause":{"kind":"run_crashed","reason":"bug"}}"#,
            ),
            (
                failing(FailingCause::WorkerRestarting { reason: reason() }),
                r#"{"state":"failing","reason":"its worker crashed: bug","cause":{"kind":"worker_restarting","reason":"bug"}}"#,
            ),
            (
                failing(FailingCause::Stalled {
                    silent_for: MINUTE,
                    step_timeout: MINUTE,
                }),
                r#"{"state":"failing","reason":"its run has been silent for 1m, with a step timeout of 1m: the job's code blocks its worker","cause":{"kind":"stalled","silent_for":"1m","silent_for_ms":60000,"step_timeout":"1m","step_timeout_ms":60000}}"#,
            ),
            (
                Health::Degraded { reason: reason() },
                r#"{"state":"degraded","reason":"bug"}"#,
            ),
        ];

        for (health, json) in table {
            let written = serde_json::to_string(&health).expect("is plain data");
            let read = serde_json::from_str::<Health>(json).expect("is what was written");

            assert_eq!((written.as_str(), read), (json, health));
        }
        let late = late(LateCause::RowOverdue { by: MINUTE });
        assert_eq!(format!("it is {late:>8}"), "it is     late");
    }

    fn failed() -> FailingCause {
        FailingCause::RunFailed {
            error: "the database is away".to_owned(),
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_nanos(1);
    const NOW: Duration = Duration::from_secs(100 * 60);

    /// A job that ticks every 15 minutes, completed a run five minutes ago, and is late after a
    /// minute.
    fn inputs() -> HealthInputs<'static> {
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
            heartbeat: None,
            old_snapshot: None,
        }
    }

    /// Heartbeat of a run with default timeouts, this long ago.
    fn heartbeat(age: Duration) -> Heartbeat {
        let config = JobConfig::default();
        Heartbeat {
            since: before(age),
            step_timeout: config.step_timeout,
            max_silence: max_silence(&config),
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
