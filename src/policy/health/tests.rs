//! Tests of the health of a job.

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
