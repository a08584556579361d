//! How a job is, judged by what it got done.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::schedule::Moment;

/// How a job is. It follows from its runs and its rows, not from its worker's being alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Health {
    /// It does its work in time.
    Healthy,
    /// A row, a run or a success is overdue.
    Late {
        /// Which, and by how much.
        reason: String,
    },
    /// The last run failed, or the worker died and is started again.
    Failing {
        /// What went wrong.
        reason: String,
    },
    /// The worker died too often. It is tried again after a cool-down, or when a message asks.
    Degraded {
        /// Why it died.
        reason: String,
    },
}

impl Health {
    /// One word for tables and traces.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Late { .. } => "late",
            Self::Failing { .. } => "failing",
            Self::Degraded { .. } => "degraded",
        }
    }

    /// Why it is not healthy; `None` if it is.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Late { reason } | Self::Failing { reason } | Self::Degraded { reason } => {
                Some(reason)
            }
        }
    }
}

impl fmt::Display for Health {
    /// Writes the word; the reason is in [`Health::reason`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What the health of a job is judged by.
#[derive(Debug, Clone)]
pub(crate) struct Signs<'a> {
    pub(crate) now: Moment,
    pub(crate) late_after: Duration,
    /// Why the job was given up for now.
    pub(crate) degraded: Option<&'a str>,
    /// How the last run of everything failed, or why the worker is being restarted.
    pub(crate) failure: Option<&'a str>,
    pub(crate) last_success: Option<Moment>,
    /// When the housekeeper started.
    pub(crate) started: Moment,
    pub(crate) every: Option<Duration>,
    /// How long the oldest row had been due, as seen at that moment.
    pub(crate) oldest_overdue: Option<(Duration, Moment)>,
    /// When the agenda wanted to run next.
    pub(crate) next_run: Option<Moment>,
    pub(crate) paused: bool,
    pub(crate) running: bool,
}

/// The health that the signs show: the worst of them counts.
pub(crate) fn health(signs: &Signs<'_>) -> Health {
    if let Some(reason) = signs.degraded {
        let reason = reason.to_owned();
        return Health::Degraded { reason };
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

fn overdue_row(signs: &Signs<'_>) -> Option<String> {
    let (age, seen) = signs.oldest_overdue?;
    let age = age.saturating_add(since(signs.now, seen));
    (age > signs.late_after).then(|| format!("a row has been due for {}", readable(age)))
}

fn overdue_run(signs: &Signs<'_>) -> Option<String> {
    if signs.paused || signs.running {
        return None;
    }
    let late = since(signs.now, signs.next_run?);
    (late > signs.late_after).then(|| format!("a run should have started {} ago", readable(late)))
}

fn overdue_success(signs: &Signs<'_>) -> Option<String> {
    if signs.paused {
        return None;
    }
    let patience = signs
        .every?
        .saturating_mul(2)
        .saturating_add(signs.late_after);
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

fn readable(span: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(span.as_secs()))
}
