//! Reports of runs.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::job::{Batch, Counts, Forecast, JobName, RejectedRow, Scope};
use crate::model::Requester;

/// The id of a run, unique over all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    pub(crate) fn fresh() -> Self {
        Self(Uuid::new_v4())
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        id.parse().map(Self)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reason of a run. Merged triggers report the last of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The previous run failed or crashed.
    Retry,
    /// A row fell due.
    Deadline,
    /// The schedule ticked, or the job was resumed.
    Tick,
    /// The housekeeper started.
    Start,
    /// A message requested it.
    Manual,
}

/// How a run ended. Committed batches stay, and the report counts them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// All due rows were handled or rejected.
    Completed,
    /// An expected failure, such as an unreachable database.
    Failed {
        /// The kind of failure, for programs. Records written without it read as
        /// [`FailureKind::Job`].
        #[serde(default)]
        failure: FailureKind,
        /// The error, with its causes.
        error: String,
        /// When the housekeeper retries; `None` for a run of one user or of a paused job, which it
        /// does not retry.
        retry_at: Option<DateTime<Utc>>,
    },
    /// The worker panicked or was killed.
    Crashed {
        /// The panic message, or the reason of the kill.
        reason: String,
        /// Rows known to be committed. A batch in flight may have committed, too.
        rows_at_least: u64,
    },
    /// A `Cancel` message ended it between two batches.
    Cancelled {
        /// The requester, if the message names one.
        #[serde(default)]
        by: Option<Requester>,
    },
    /// It reached its [`run_timeout`](crate::config::JobConfig::run_timeout).
    TimedOut,
    /// The housekeeper is shutting down.
    ShuttingDown,
}

/// The kind of an [`Outcome::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The job returned an error, usually its database's.
    #[default]
    Job,
    /// A step of the job outlasted its
    /// [`step_timeout`](crate::config::JobConfig::step_timeout).
    StepTimeout,
    /// A batch returned the cursor that it was given, so the run would never end.
    NoProgress,
    /// The job or its database rejected most of the run's rows with one text.
    RowsRejected,
    /// The clock by which rows fall due leapt ahead by more than
    /// [`max_clock_leap`](crate::config::JobConfig::max_clock_leap). The run handled nothing.
    ClockLeap,
}

/// An [`Outcome`] without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutcomeKind {
    /// [`Outcome::Completed`]
    Completed,
    /// [`Outcome::Failed`]
    Failed,
    /// [`Outcome::Crashed`]
    Crashed,
    /// [`Outcome::Cancelled`]
    Cancelled,
    /// [`Outcome::TimedOut`]
    TimedOut,
    /// [`Outcome::ShuttingDown`]
    ShuttingDown,
}

impl OutcomeKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Completed,
        Self::Failed,
        Self::Crashed,
        Self::Cancelled,
        Self::TimedOut,
        Self::ShuttingDown,
    ];

    /// Returns the kind as JSON has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Outcome {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Completed => OutcomeKind::Completed,
            Self::Failed { .. } => OutcomeKind::Failed,
            Self::Crashed { .. } => OutcomeKind::Crashed,
            Self::Cancelled { .. } => OutcomeKind::Cancelled,
            Self::TimedOut => OutcomeKind::TimedOut,
            Self::ShuttingDown => OutcomeKind::ShuttingDown,
        }
    }

    /// Creates a failure without a time for the retry.
    pub(crate) fn failed(failure: FailureKind, error: String) -> Self {
        Self::Failed {
            failure,
            error,
            retry_at: None,
        }
    }

    /// Returns the outcome in a word or two, for tables and traces.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Crashed { .. } => "crashed",
            Self::Cancelled { .. } => "cancelled",
            Self::TimedOut => "timed out",
            Self::ShuttingDown => "shutting down",
        }
    }
}

/// The record of a run that ended. Its JSON has two more fields, `success` and `message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(into = "ReportJson")]
pub struct Report {
    /// The id of the run.
    pub run: RunId,
    /// The job.
    pub job: JobName,
    /// The rows it covered.
    pub scope: Scope,
    /// The reason of the run.
    pub trigger: Trigger,
    /// The requesters that the messages name: several where their requests merged into one run, at
    /// most ten. Records written without it read as empty.
    #[serde(default)]
    pub requested_by: Vec<Requester>,
    /// The instance that ran it; `None` in records written without it.
    #[serde(default)]
    pub instance: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The cutoff that rows were compared with; `None` if the run ended before it had one.
    pub cutoff: Option<DateTime<Utc>>,
    /// The start, by the housekeeper's clock.
    pub started_at: DateTime<Utc>,
    /// The duration.
    #[serde(with = "crate::time::span")]
    #[cfg_attr(feature = "web", schemars(with = "String"))]
    pub elapsed: Duration,
    /// Transactions committed.
    pub batches: u64,
    /// Rows changed, by kind.
    pub counts: Counts,
    /// Ids of the first rows handled, up to
    /// [`JobConfig::max_reported_ids`](crate::config::JobConfig::max_reported_ids). Subscribers
    /// receive all ids.
    pub ids: Vec<String>,
    /// Whether the run handled more rows than `ids` lists.
    pub more_ids: bool,
    /// The first due rows that failed, at most 100.
    pub rejected: Vec<RejectedRow>,
    /// Number of due rows that failed.
    ///
    /// `forecast` leaves out the first 1,000 since the last tick. It counts more of them as due,
    /// and they hide the next due row: until a tick meets fewer, the job runs at ticks, and once
    /// per age of its rule.
    pub rejected_count: u64,
    /// Rows still due, and when the next one falls due; `None` if the run ended before the
    /// forecast.
    pub forecast: Option<Forecast>,
}

impl Report {
    /// Returns whether the run completed.
    #[must_use]
    pub fn success(&self) -> bool {
        self.outcome == Outcome::Completed
    }

    /// Returns whether the run completed without a change, so that the history leaves it out.
    pub(crate) fn is_quiet(&self) -> bool {
        self.success() && self.counts.total() == 0 && self.rejected_count == 0
    }

    /// Adds a committed batch. The report keeps the first ids, up to `max_ids`.
    pub(crate) fn add_batch(&mut self, batch: &Batch, max_ids: u32) {
        self.batches += 1;
        self.counts.merge(&batch.counts);
        let room = (max_ids as usize).saturating_sub(self.ids.len());
        self.more_ids |= batch.ids.len() > room;
        self.ids.extend(batch.ids.iter().take(room).cloned());
        self.rejected_count += batch.rejected.len() as u64;
        let room = MAX_REJECTED.saturating_sub(self.rejected.len());
        self.rejected
            .extend(batch.rejected.iter().take(room).cloned());
    }

    /// Creates the report of a run that has done nothing yet, under a new id.
    pub(crate) fn blank(
        job: JobName,
        scope: Scope,
        trigger: Trigger,
        started_at: DateTime<Utc>,
    ) -> Self {
        Self {
            run: RunId::fresh(),
            job,
            scope,
            trigger,
            requested_by: Vec::new(),
            instance: None,
            outcome: Outcome::Completed,
            cutoff: None,
            started_at,
            elapsed: Duration::ZERO,
            batches: 0,
            counts: Counts::default(),
            ids: Vec::new(),
            more_ids: false,
            rejected: Vec::new(),
            rejected_count: 0,
            forecast: None,
        }
    }
}

/// A [`Report`] as JSON, with `success` and `message` in front for callers that read no further.
#[derive(Serialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
struct ReportJson {
    success: bool,
    message: String,
    run: RunId,
    job: JobName,
    scope: Scope,
    trigger: Trigger,
    requested_by: Vec<Requester>,
    instance: Option<String>,
    outcome: Outcome,
    cutoff: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    #[serde(flatten, with = "crate::time::json::elapsed")]
    #[cfg_attr(feature = "web", schemars(with = "crate::time::json::elapsed::Json"))]
    elapsed: Duration,
    batches: u64,
    counts: Counts,
    ids: Vec<String>,
    more_ids: bool,
    rejected: Vec<RejectedRow>,
    rejected_count: u64,
    forecast: Option<Forecast>,
}

impl From<Report> for ReportJson {
    fn from(report: Report) -> Self {
        Self {
            success: report.success(),
            message: report.message(),
            run: report.run,
            job: report.job,
            scope: report.scope,
            trigger: report.trigger,
            requested_by: report.requested_by,
            instance: report.instance,
            outcome: report.outcome,
            cutoff: report.cutoff,
            started_at: report.started_at,
            elapsed: report.elapsed,
            batches: report.batches,
            counts: report.counts,
            ids: report.ids,
            more_ids: report.more_ids,
            rejected: report.rejected,
            rejected_count: report.rejected_count,
            forecast: report.forecast,
        }
    }
}

/// Maximum number of rejected rows in a report.
const MAX_REJECTED: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_adds_up_its_batches_and_keeps_the_first_ids() {
        let mut report = blank();
        let batch = |ids: &[&str]| Batch {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..Batch::default().with_count("drafts", 2)
        };

        report.add_batch(&batch(&["a", "b"]), 4);
        report.add_batch(&batch(&["c", "d"]), 4);
        let all_kept = (report.ids.len(), report.more_ids);
        report.add_batch(&batch(&["e"]), 4);
        report.add_batch(&batch(&[]), 4);

        assert_eq!(all_kept, (4, false));
        assert_eq!((report.ids.len(), report.more_ids), (4, true));
        assert_eq!((report.batches, report.counts.of("drafts")), (4, 8));
    }

    fn blank() -> Report {
        Report::blank(
            "sweeper".into(),
            Scope::All,
            Trigger::Tick,
            DateTime::UNIX_EPOCH,
        )
    }
}
