//! What the housekeeper says of itself, from memory.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::config::Schedule;
use crate::fmt::{Column, Table, line, quantity, relative, span, thousands};
use crate::job::{Counts, JobName, Scope};
use crate::model::{Health, Report, RunId, Trigger};

/// A housekeeper at one instant. Answered from memory, whatever the database does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The name it was started under, if any.
    pub name: Option<String>,
    /// Whether it runs.
    pub state: HousekeeperState,
    /// When this was said.
    pub at: DateTime<Utc>,
    /// When it started.
    pub started_at: Option<DateTime<Utc>>,
    /// How often its timer was started again.
    pub timer_restarts: u64,
    /// Its jobs, by name.
    pub jobs: BTreeMap<JobName, JobStatus>,
}

/// Whether a housekeeper runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HousekeeperState {
    /// No housekeeper of this name was started in this process.
    NeverStarted,
    /// It takes messages.
    Running,
    /// It finishes what runs and refuses new runs.
    ShuttingDown,
    /// It ran, and does no more.
    Stopped,
    /// It is there, but did not answer within a second.
    NotAnswering,
}

/// One job at one instant: what runs now, and what finished last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobStatus {
    /// Which job.
    pub job: JobName,
    /// How it is.
    pub health: Health,
    /// What its worker does.
    pub worker: WorkerStatus,
    /// Whether ticks and deadlines are held back.
    pub paused: bool,
    /// When it runs by itself.
    pub schedule: Schedule,
    /// When it runs next by itself, and why; `None` while it is paused, off, or its worker is down.
    pub next_run: Option<NextRun>,
    /// The next five ticks of its schedule; empty while it is paused or off, and without ticks.
    /// Other runs may come before them.
    #[serde(default)]
    pub next_ticks: Vec<DateTime<Utc>>,
    /// Scopes that wait for a run.
    pub waiting: usize,
    /// The last run of everything that ended.
    pub last: Option<Report>,
    /// When a run of everything last completed.
    pub last_success: Option<DateTime<Utc>>,
    /// How long the oldest due row has waited beyond its time, as far as is known.
    #[serde(with = "crate::time::span::option")]
    pub oldest_overdue: Option<Duration>,
    /// Rows that could not be handled since the last tick; at most 1,000 are counted.
    pub rejected: usize,
    /// How often the worker was started again.
    pub restarts: u64,
    /// Ticks that were missed or met a run in progress, and so merged into one.
    pub missed_ticks: u64,
    /// Runs that wait in memory to be written to the history; of more than 100, the newest.
    pub unsaved_runs: usize,
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WorkerStatus {
    /// The job is switched off and has no worker.
    Disabled,
    /// Ready for a run.
    Idle,
    /// In a run.
    Running(CurrentRun),
    /// It died, and is started again.
    Restarting {
        /// What is known of the death.
        reason: String,
        /// When it is started.
        at: DateTime<Utc>,
    },
    /// It died too often, and rests.
    Degraded {
        /// What is known of the last death.
        reason: String,
        /// When it is tried again.
        until: DateTime<Utc>,
    },
    /// Stopped with its housekeeper.
    Stopped,
}

/// A run in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CurrentRun {
    /// Which run.
    pub run: RunId,
    /// What it covers.
    pub scope: Scope,
    /// Why it started.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When its worker was last heard of: as it began, or after its last batch. Heartbeat that is
    /// too long makes the job [`Failing`](Health::Failing).
    pub heard_at: DateTime<Utc>,
    /// Batches committed so far.
    pub batches: u64,
    /// Rows handled so far: those that a report names by id.
    #[serde(default)]
    pub rows: u64,
    /// Rows changed so far, by kind.
    pub counts: Counts,
}

/// A run to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextRun {
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub trigger: Trigger,
}

impl Status {
    /// The status of a housekeeper that does not run.
    pub(crate) fn absent(name: &str, state: HousekeeperState) -> Self {
        Self {
            name: Some(name.to_owned()),
            state,
            at: Utc::now(),
            started_at: None,
            timer_restarts: 0,
            jobs: BTreeMap::new(),
        }
    }

    /// Whether it runs, not counting one that is shutting down.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state == HousekeeperState::Running
    }
}

impl fmt::Display for Status {
    /// Writes a line on the housekeeper, a table with a row for each job, and a line on what is
    /// wrong with each that is not healthy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("housekeeper");
        write!(f, "{name}: {}", self.state)?;
        if let Some(started_at) = self.started_at {
            let age = (self.at - started_at).to_std().unwrap_or_default();
            write!(f, " for {}", span(Duration::from_secs(age.as_secs())))?;
        }
        if self.timer_restarts > 0 {
            let times = quantity(self.timer_restarts, "time", "times");
            write!(f, ", its timer started again {times}")?;
        }
        if self.jobs.is_empty() {
            return Ok(());
        }
        let heads = [
            Column::Words("job"),
            Column::Words("health"),
            Column::Words("worker"),
            Column::Words("last run"),
            Column::Words("next run"),
            Column::Words("overdue"),
            Column::Numbers("restarts"),
        ];
        let rows = self.jobs.values().map(|job| job.cells(self.at));
        write!(f, "\n{}", Table::new(heads, rows))?;
        let unwell = self
            .jobs
            .values()
            .filter_map(|job| Some((job, job.health.reason()?)));
        for (job, reason) in unwell {
            write!(f, "\n{} is {}: {}", job.job, job.health, line(&reason))?;
        }
        Ok(())
    }
}

impl JobStatus {
    fn cells(&self, now: DateTime<Utc>) -> [String; 7] {
        let none = || "-".to_owned();
        let last = self.last.as_ref().map(|report| {
            let ago = relative(report.started_at, now);
            format!("{} {ago}, {}", report.outcome.as_str(), report.counts)
        });
        let next = self
            .next_run
            .map(|next| format!("{} {}", next.trigger, relative(next.at, now)));
        [
            self.job.to_string(),
            self.health.as_str().to_owned(),
            if self.paused {
                format!("{}, paused", self.worker)
            } else {
                self.worker.to_string()
            },
            last.unwrap_or_else(none),
            next.unwrap_or_else(none),
            self.oldest_overdue.map_or_else(none, span),
            thousands(self.restarts),
        ]
    }
}

impl fmt::Display for HousekeeperState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverStarted => "never started",
            Self::Running => "running",
            Self::ShuttingDown => "shutting down",
            Self::Stopped => "stopped",
            Self::NotAnswering => "not answering",
        })
    }
}

impl fmt::Display for WorkerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.pad("disabled"),
            Self::Idle => f.pad("idle"),
            Self::Running(run) => write!(f, "running ({}, {})", run.scope, run.counts),
            Self::Restarting { .. } => f.pad("restarting"),
            Self::Degraded { .. } => f.pad("degraded"),
            Self::Stopped => f.pad("stopped"),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::model::{FailingCause, FailureKind, Outcome};

    #[test]
    fn a_status_reads_as_a_table_of_jobs_and_a_line_on_each_that_is_unwell() {
        let mut expirer = job("draft-collector");
        expirer.next_run = Some(NextRun {
            at: now() + TimeDelta::milliseconds(168_400),
            trigger: Trigger::Tick,
        });
        expirer.last = Some(report("draft-collector", Outcome::Completed));
        let mut cleaner = job("invoice-cleaner");
        cleaner.health = Health::Failing {
            cause: FailingCause::RunFailed {
                error: "the database is away\nfor now".to_owned(),
            },
        };
        cleaner.last = Some(report(
            "invoice-cleaner",
            Outcome::failed(FailureKind::Job, "away".to_owned()),
        ));
        cleaner.paused = true;
        cleaner.restarts = 1_234;
        cleaner.oldest_overdue = Some(Duration::from_secs(7_530));
        let status = Status {
            name: None,
            state: HousekeeperState::Running,
            at: now(),
            started_at: Some(now() - TimeDelta::seconds(200)),
            timer_restarts: 0,
            jobs: [expirer, cleaner].map(|job| (job.job.clone(), job)).into(),
        };
        let absent = Status {
            state: HousekeeperState::Stopped,
            timer_restarts: 2,
            jobs: BTreeMap::new(),
            ..status.clone()
        };

        assert_eq!(
            status.to_string(),
            "\
housekeeper: running for 3m 20s
job              health   worker        last run                        next run        overdue  restarts
draft-collector  healthy  idle          completed 12s ago, 12,345 rows  tick in 2m 48s  -               0
invoice-cleaner  failing  idle, paused  failed 12s ago, 12,345 rows     -               2h 5m       1,234
invoice-cleaner is failing: the last run failed: the database is away\\nfor now"
        );
        assert_eq!(
            absent.to_string(),
            "housekeeper: stopped for 3m 20s, its timer started again 2 times"
        );
    }

    fn report(job: &'static str, outcome: Outcome) -> Report {
        let started_at = now() - TimeDelta::seconds(12);
        let mut report = Report::blank(job.into(), Scope::All, Trigger::Tick, started_at);
        report.outcome = outcome;
        report.counts.add("rows", 12_345);
        report
    }

    fn job(name: &'static str) -> JobStatus {
        JobStatus {
            job: name.into(),
            health: Health::Healthy,
            worker: WorkerStatus::Idle,
            paused: false,
            schedule: Schedule::default(),
            next_run: None,
            next_ticks: Vec::new(),
            waiting: 0,
            last: None,
            last_success: None,
            oldest_overdue: None,
            rejected: 0,
            restarts: 0,
            missed_ticks: 0,
            unsaved_runs: 0,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(1)
    }
}
