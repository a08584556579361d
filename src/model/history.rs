//! The history of runs.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{HistoryCursor, HistoryPage, HistoryQuery, InstanceRuns, RunId, RunRecord, StoreError};
use crate::fmt::{Column, Table, line, quantity};
use crate::job::{JobName, ReplicaPause};

/// The newest runs of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct History {
    /// The job.
    pub job: JobName,
    /// Newest first.
    pub runs: Vec<RunRecord>,
    /// The place of the next page; `None` after the last.
    #[serde(default)]
    pub next: Option<HistoryCursor>,
    /// Number of lines that were skipped while this page was read, because they are damaged or a
    /// newer version wrote them. They stay in the history.
    #[serde(default)]
    pub unreadable: u64,
    /// The source of the runs.
    pub source: HistorySource,
}

impl fmt::Display for History {
    /// Writes a line with the source, then a table of the records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            HistorySource::Database => "from the database".to_owned(),
            HistorySource::Memory { reason } => format!("from memory: {}", line(reason)),
        };
        let skipped = match self.unreadable {
            0 => String::new(),
            lines => format!("; skipped {}", unreadable(lines)),
        };
        let source = format!("{source}{skipped}");
        if self.runs.is_empty() && self.unreadable > 0 {
            return write!(f, "{}: no run can be read ({source})", self.job);
        }
        if self.runs.is_empty() {
            return write!(f, "{}: no run changed anything yet ({source})", self.job);
        }
        let runs = self.runs.iter().map(|record| record.runs);
        let runs = runs.fold(0, u64::saturating_add);
        writeln!(
            f,
            "{}: {}, newest first ({source})",
            self.job,
            quantity(runs, "run", "runs")
        )?;
        let heads = [
            Column::Words("started (UTC)"),
            Column::Words("recorded (UTC)"),
            Column::Numbers("runs"),
            Column::Words("trigger"),
            Column::Words("handled"),
            Column::Numbers("rejected"),
            Column::Numbers("batches"),
            Column::Words("took"),
            Column::Words("outcome"),
        ];
        write!(
            f,
            "{}",
            Table::new(heads, self.runs.iter().map(RunRecord::cells))
        )
    }
}

/// Writes a number of lines that cannot be read.
pub(crate) fn unreadable(lines: u64) -> String {
    quantity(lines, "unreadable record", "unreadable records")
}

/// A store of past runs.
#[async_trait]
pub trait RunHistory: Send + Sync + 'static {
    /// Writes runs, all or none, and drops all but the `keep` of each job that were written last.
    ///
    /// `runs` are in the order in which they ended; some may have been written before.
    /// [`RunRecord::line`] folds them into the line of each [key](RunRecord::keys) so that each
    /// counts once.
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError>;

    /// The runs of a job that were written last, the last first.
    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError>;

    /// Returns the runs of a job that meet the conditions, newest first.
    ///
    /// A line that cannot be read is skipped and counted, so that it hides no other.
    ///
    /// By default it picks them from all [`runs`](RunHistory::runs) of the job.
    async fn page(&self, job: &JobName, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        Ok(query.pick(self.runs(job, u32::MAX).await?).into())
    }

    /// Notes that an instance ended a run that the history leaves out. Called every five minutes at
    /// most.
    ///
    /// By default it does nothing.
    async fn note_instance(&self, _instance: &str) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns the instances that wrote runs or were noted since then, the latest first, at most
    /// [`InstanceRuns::MAX`].
    ///
    /// By default it returns none.
    async fn instances(&self, _since: DateTime<Utc>) -> Result<Vec<InstanceRuns>, StoreError> {
        Ok(Vec::new())
    }

    /// Returns the pause of a job for all replicas. Read before each run of a job whose
    /// [`RunBounds`](crate::job::RunBounds) leave it open.
    ///
    /// By default it returns none.
    async fn pause(&self, _job: &JobName) -> Result<Option<ReplicaPause>, StoreError> {
        Ok(None)
    }

    /// Pauses a job for all replicas, or ends its pause. Returns whether that changed anything: an
    /// earlier pause stays as it is.
    ///
    /// By default it fails.
    async fn set_pause(
        &self,
        _job: &JobName,
        _pause: Option<&ReplicaPause>,
    ) -> Result<bool, StoreError> {
        let problem = "this history keeps no pauses for all replicas";
        Err(StoreError::Schema(problem.to_owned()))
    }

    /// Returns the record of one run. A deadline run that shares a line with others has none of its
    /// own.
    ///
    /// By default it returns none.
    async fn run(&self, _run: RunId) -> Result<Option<RunRecord>, StoreError> {
        Ok(None)
    }
}

/// The source of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HistorySource {
    /// The database. The history includes earlier processes.
    Database,
    /// Memory, because the database was not available. The history starts with this process.
    Memory {
        /// Why the database was not available.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::job::{Counts, Scope};
    use crate::model::{FailureKind, Outcome, Report, Trigger};

    #[test]
    fn a_history_displays_as_a_table_with_its_source() {
        let mut failed = record(1);
        failed.report.outcome =
            Outcome::failed(FailureKind::Job, "the database is away\nfor now".to_owned());
        failed.recorded_at = "2026-01-10T12:00:00Z".parse().ok();
        let mut folded = record(12_345);
        folded.report.trigger = Trigger::Deadline;
        folded.report.elapsed = Duration::from_millis(3_020);
        folded.runs = 1_000;
        let reason = "no such table".to_owned();
        let history = History {
            job: "sweeper".into(),
            runs: vec![failed, folded],
            next: None,
            unreadable: 0,
            source: HistorySource::Database,
        };
        let empty = History {
            runs: vec![],
            source: HistorySource::Memory { reason },
            ..history.clone()
        };
        let unreadable = History {
            runs: vec![],
            unreadable: 2,
            ..history.clone()
        };

        assert_eq!(
            history.to_string(),
            "\
sweeper: 1,001 runs, newest first (from the database)
started (UTC)        recorded (UTC)        runs  trigger   handled        rejected  batches  took     outcome
1970-01-01 00:00:00  2026-01-10 12:00:00      1  tick      1 draft               1        1  1s       failed: the database is away\\nfor now
1970-01-01 00:00:00                       1,000  deadline  12,345 drafts    12,345   12,345  3s 20ms  completed"
        );
        assert_eq!(
            empty.to_string(),
            "sweeper: no run changed anything yet (from memory: no such table)"
        );
        assert_eq!(
            unreadable.to_string(),
            "sweeper: no run can be read (from the database; skipped 2 unreadable records)"
        );
    }

    /// A record whose sums are all `amount`.
    fn record(amount: u64) -> RunRecord {
        let mut counts = Counts::default();
        counts.add("drafts", amount);
        let report = Report {
            elapsed: Duration::from_secs(1),
            batches: amount,
            rejected_count: amount,
            counts,
            ..Report::blank(
                "sweeper".into(),
                Scope::All,
                Trigger::Tick,
                DateTime::UNIX_EPOCH,
            )
        };
        RunRecord::from_report(report, Uuid::nil()).expect("it did something")
    }
}
