//! A status as text: a line for the housekeeper, a table of its jobs, and the reasons.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::fmt::{Column, Table, line, quantity, relative, span, thousands};
use crate::model::{HousekeeperState, JobStatus, Status, WorkerStatus};

impl fmt::Display for Status {
    /// Writes a line for the housekeeper, a table of the jobs, and a line with the reason for each
    /// job that is not healthy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("housekeeper");
        write!(f, "{name}: {}", self.state)?;
        if let Some(instance) = &self.instance {
            write!(f, " as {}", line(instance))?;
        }
        if let Some(started_at) = self.started_at {
            let age = (self.at - started_at).to_std().unwrap_or_default();
            write!(f, " for {}", span(Duration::from_secs(age.as_secs())))?;
        }
        if self.timer_restarts > 0 {
            let times = quantity(self.timer_restarts, "time", "times");
            write!(f, ", its timer restarted {times}")?;
        }
        if self.jobs.is_empty() {
            return self.fmt_couriers(f);
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
        // A refused finding is the reason of the failure.
        for finding in self.jobs.values().flat_map(|job| &job.findings.advice) {
            write!(f, "\nadvice: {}", line(&finding.to_string()))?;
        }
        self.fmt_couriers(f)
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
            match &self.pause {
                Some(pause) if pause.all_replicas => {
                    format!("{}, paused for all replicas", self.worker)
                }
                _ if self.paused => format!("{}, paused", self.worker),
                _ => self.worker.to_string(),
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
    use std::collections::BTreeMap;

    use chrono::TimeDelta;

    use super::*;
    use crate::config::Schedule;
    use crate::job::{Findings, Scope};
    use crate::model::{
        CourierStatus, FailingCause, FailureKind, Health, NextRun, Outcome, Report, Trigger,
    };

    #[test]
    fn a_status_displays_a_table_and_the_reasons() {
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
        let mut mail = CourierStatus::new("draft-collector".into());
        mail.acknowledged = 1;
        mail.problem = Some("the receiver is not running".to_owned());
        let status = Status {
            name: None,
            instance: None,
            shared_history: false,
            state: HousekeeperState::Running,
            at: now(),
            started_at: Some(now() - TimeDelta::seconds(200)),
            timer_restarts: 0,
            jobs: [expirer, cleaner].map(|job| (job.job.clone(), job)).into(),
            couriers: [(mail.rule.clone(), mail)].into(),
        };
        let absent = Status {
            state: HousekeeperState::Stopped,
            timer_restarts: 2,
            jobs: BTreeMap::new(),
            couriers: BTreeMap::new(),
            ..status.clone()
        };

        assert_eq!(
            status.to_string(),
            "\
housekeeper: running for 3m 20s
job              health   worker        last run                        next run        overdue  restarts
draft-collector  healthy  idle          completed 12s ago, 12,345 rows  tick in 2m 48s  -               0
invoice-cleaner  failing  idle, paused  failed 12s ago, 12,345 rows     -               2h 5m       1,234
invoice-cleaner is failing: the last run failed: the database is away\\nfor now
draft-collector hands on: stopped, 1 delivery acknowledged, 0 refused: the receiver is not running"
        );
        assert_eq!(
            absent.to_string(),
            "housekeeper: stopped for 3m 20s, its timer restarted 2 times"
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
            pause: None,
            schedule: Schedule::default(),
            next_run: None,
            next_ticks: Vec::new(),
            findings: Findings::default(),
            waiting: 0,
            last: None,
            outcomes: Vec::new(),
            last_success: None,
            oldest_overdue: None,
            rejected: 0,
            restarts: 0,
            missed_ticks: 0,
            unsaved_runs: 0,
            runbook: None,
        }
    }

    fn now() -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(1)
    }
}
