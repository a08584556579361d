//! The health of a job.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fmt::span;

/// The health of a job. It follows from the job's runs and rows; a living worker does not make a
/// job healthy.
///
/// As JSON it has the fields `state`, `cause` (late and failing only, tagged by `kind`) and
/// `reason`, the sentence of [`Health::reason`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case", into = "HealthJson")]
pub enum Health {
    /// The job handles its rows in time.
    Healthy,
    /// A row, a run or a success is overdue, or the database slows runs down.
    Late {
        /// The overdue thing.
        cause: LateCause,
    },
    /// The last run failed, the worker restarts, or the run in progress is stalled.
    Failing {
        /// The failure.
        cause: FailingCause,
    },
    /// The worker crashed too often. It restarts after a cool-down, or when a message requests a
    /// run.
    Degraded {
        /// Why it crashed.
        reason: String,
    },
}

/// The reason for [`Health::Late`]. Durations end at the moment of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LateCause {
    /// A known row is due and unhandled.
    RowOverdue {
        /// How long the oldest row has been due.
        #[serde(flatten, with = "crate::time::json::by")]
        #[cfg_attr(feature = "web", schemars(with = "crate::time::json::by::Json"))]
        by: Duration,
    },
    /// A planned run did not start.
    RunOverdue {
        /// How long ago it should have started.
        #[serde(flatten, with = "crate::time::json::by")]
        #[cfg_attr(feature = "web", schemars(with = "crate::time::json::by::Json"))]
        by: Duration,
    },
    /// No run completed within two ticks and
    /// [`late_after`](crate::config::JobConfig::late_after).
    NoSuccess {
        /// Time since the last completed run, or since the start if none has completed.
        #[serde(flatten, with = "crate::time::json::elapsed")]
        #[cfg_attr(feature = "web", schemars(with = "crate::time::json::elapsed::Json"))]
        elapsed: Duration,
        /// Whether a run has completed since the start.
        completed_before: bool,
    },
    /// Runs take several times as long as before, and a snapshot of the database keeps deleted
    /// rows that they walk past. End its transaction.
    SlowedDown {
        /// Age of the snapshot when it was read.
        #[serde(flatten, with = "crate::time::json::elapsed")]
        #[cfg_attr(feature = "web", schemars(with = "crate::time::json::elapsed::Json"))]
        elapsed: Duration,
        /// The holder, such as `backend 4711 (psql, idle in transaction)`.
        holder: String,
    },
}

/// The reason for [`Health::Failing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailingCause {
    /// The last run of all rows ended as [`Outcome::Failed`](crate::Outcome::Failed).
    RunFailed {
        /// The error of the run.
        error: String,
    },
    /// The last run of all rows ended as [`Outcome::Crashed`](crate::Outcome::Crashed).
    RunCrashed {
        /// Why the worker crashed.
        reason: String,
    },
    /// The worker crashed and restarts.
    WorkerRestarting {
        /// Why it crashed.
        reason: String,
    },
    /// The run in progress has been silent for longer than two [step
    /// timeouts](crate::config::JobConfig::step_timeout), the longest pause and two seconds for the
    /// history; 63 s by default. Code of the job blocks its thread, which no timeout can end. The
    /// job recovers when the run goes on.
    Stalled {
        /// Time since the worker's last message.
        #[serde(flatten, with = "crate::time::json::silent_for")]
        #[cfg_attr(
            feature = "web",
            schemars(with = "crate::time::json::silent_for::Json")
        )]
        silent_for: Duration,
        /// The job's step timeout.
        #[serde(flatten, with = "crate::time::json::step_timeout")]
        #[cfg_attr(
            feature = "web",
            schemars(with = "crate::time::json::step_timeout::Json")
        )]
        step_timeout: Duration,
    },
}

impl Health {
    /// Returns one word for tables and traces.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Late { .. } => "late",
            Self::Failing { .. } => "failing",
            Self::Degraded { .. } => "degraded",
        }
    }

    /// Returns why the job is not healthy, as a sentence; `None` if it is healthy.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Healthy => None,
            Self::Late { cause } => Some(cause.to_string()),
            Self::Failing { cause } => Some(cause.to_string()),
            Self::Degraded { reason } => Some(reason.clone()),
        }
    }

    /// Returns whether the state differs, whatever the causes say.
    pub(crate) fn differs_from(&self, other: &Self) -> bool {
        self.severity() != other.severity()
    }

    pub(crate) fn is_worse_than(&self, other: &Self) -> bool {
        self.severity() > other.severity()
    }

    fn severity(&self) -> u8 {
        match self {
            Self::Healthy => 0,
            Self::Late { .. } => 1,
            Self::Failing { .. } => 2,
            Self::Degraded { .. } => 3,
        }
    }
}

impl fmt::Display for Health {
    /// Writes the word; [`Health::reason`] has the sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for LateCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RowOverdue { by } => write!(f, "a row has been due for {}", seconds(*by)),
            Self::RunOverdue { by } => {
                write!(f, "a run should have started {} ago", seconds(*by))
            }
            Self::NoSuccess {
                elapsed,
                completed_before: true,
            } => write!(
                f,
                "the last run that completed was {} ago",
                seconds(*elapsed)
            ),
            Self::NoSuccess { elapsed, .. } => write!(
                f,
                "no run has completed since the start {} ago",
                seconds(*elapsed)
            ),
            Self::SlowedDown { elapsed, holder } => write!(
                f,
                "runs slow down, because a snapshot of {} holds back vacuum: {holder}",
                seconds(*elapsed)
            ),
        }
    }
}

impl fmt::Display for FailingCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunFailed { error } => write!(f, "the last run failed: {error}"),
            Self::RunCrashed { reason } => write!(f, "the last run crashed: {reason}"),
            Self::WorkerRestarting { reason } => write!(f, "its worker crashed: {reason}"),
            Self::Stalled {
                silent_for,
                step_timeout,
            } => write!(
                f,
                "its run has been silent for {}, with a step timeout of {}: the job's code blocks its worker",
                seconds(*silent_for),
                span(*step_timeout)
            ),
        }
    }
}

/// Whole seconds: a sentence that changes with every nanosecond reads badly.
fn seconds(duration: Duration) -> String {
    span(Duration::from_secs(duration.as_secs()))
}

/// [`Health`] with its sentence. Reading skips the sentence, which follows from the cause.
#[derive(Serialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
struct HealthJson {
    /// `healthy`, `late`, `failing` or `degraded`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<CauseJson>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum CauseJson {
    Late(LateCause),
    Failing(FailingCause),
}

impl From<Health> for HealthJson {
    fn from(health: Health) -> Self {
        Self {
            state: health.as_str(),
            reason: health.reason(),
            cause: match health {
                Health::Late { cause } => Some(CauseJson::Late(cause)),
                Health::Failing { cause } => Some(CauseJson::Failing(cause)),
                Health::Healthy | Health::Degraded { .. } => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
