//! What a run did, and how it ended.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fmt::{quantity, span, thousands};
use crate::job::{Batch, Counts, Forecast, JobName, RejectedRow, Scope};

/// Names one run, over all processes and for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    pub(crate) fn fresh() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a run started. Where several reasons merged into one run, the last in this list is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The run before failed or crashed.
    Retry,
    /// A row fell due.
    Deadline,
    /// The schedule's tick, or a resume.
    Tick,
    /// The housekeeper started.
    Start,
    /// A message asked for it.
    Manual,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Retry => "retry",
            Self::Deadline => "deadline",
            Self::Tick => "tick",
            Self::Start => "start",
            Self::Manual => "manual",
        })
    }
}

/// How a run ended. Whatever it committed before stays, and is counted in the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing due was left that could be handled.
    Completed,
    /// An expected failure, such as a database that is away.
    Failed {
        /// The kind of failure, for programs. Records written without it read as
        /// [`FailureKind::Job`].
        #[serde(default)]
        failure: FailureKind,
        /// The error, with its causes.
        error: String,
        /// When it is tried again; `None` for a run of one user, or of a paused job, which is not
        /// repeated.
        retry_at: Option<DateTime<Utc>>,
    },
    /// The worker died: a bug, or somebody killed it.
    Crashed {
        /// What is known of the death.
        reason: String,
        /// Rows known to be committed. A batch in flight may have committed as well.
        rows_at_least: u64,
    },
    /// A `Cancel` message ended it between two batches.
    Cancelled,
    /// It reached its time limit.
    TimedOut,
    /// The housekeeper is shutting down.
    ShuttingDown,
}

/// The kind of an [`Outcome::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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

impl Outcome {
    /// Failed, and not known yet when it is tried again.
    pub(crate) fn failed(failure: FailureKind, error: String) -> Self {
        Self::Failed {
            failure,
            error,
            retry_at: None,
        }
    }

    /// One word for tables and traces.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Crashed { .. } => "crashed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed out",
            Self::ShuttingDown => "shutting down",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { error, .. } => write!(f, "failed: {error}"),
            Self::Crashed { reason, .. } => write!(f, "crashed: {reason}"),
            other => f.pad(other.as_str()),
        }
    }
}

/// What a run did. As JSON it also carries `success` and `message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ReportJson")]
pub struct Report {
    /// Which run.
    pub run: RunId,
    /// Of which job.
    pub job: JobName,
    /// What it covered.
    pub scope: Scope,
    /// Why it started.
    pub trigger: Trigger,
    /// How it ended.
    pub outcome: Outcome,
    /// The cutoff it compared rows with; `None` if it ended before it told.
    pub cutoff: Option<DateTime<Utc>>,
    /// When it started, by the housekeeper's clock.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    #[serde(with = "crate::time::span")]
    pub elapsed: Duration,
    /// Transactions committed.
    pub batches: u64,
    /// Rows changed, by kind.
    pub counts: Counts,
    /// The first rows handled, by id, up to
    /// [`JobConfig::max_reported_ids`](crate::config::JobConfig::max_reported_ids). Subscribers see
    /// all.
    pub ids: Vec<String>,
    /// Whether more rows were handled than `ids` holds.
    pub more_ids: bool,
    /// The first due rows that could not be handled, at most 100.
    pub rejected: Vec<RejectedRow>,
    /// How many due rows could not be handled in all.
    ///
    /// The first 1,000 since the last tick are left out of `forecast`. Those beyond count as due in
    /// it and hide what falls due next: until a tick sees fewer of them, the job runs at ticks, and
    /// once in the age of its rule.
    pub rejected_count: u64,
    /// What is still due, and when the next row falls due; `None` if nobody could look.
    pub forecast: Option<Forecast>,
}

impl Report {
    /// Whether the run did all it was asked.
    #[must_use]
    pub fn success(&self) -> bool {
        self.outcome == Outcome::Completed
    }

    /// Whether the run did nothing that is worth a line of the history.
    pub(crate) fn is_quiet(&self) -> bool {
        self.success() && self.counts.total() == 0 && self.rejected_count == 0
    }

    /// The run in a sentence.
    #[must_use]
    pub fn message(&self) -> String {
        let job = &self.job;
        let counts = &self.counts;
        let aside = match self.rejected_count {
            0 => String::new(),
            count => format!(", {} set aside", thousands(count)),
        };
        match &self.outcome {
            Outcome::Completed => format!("{job} handled {counts}{aside}"),
            Outcome::Crashed { .. } => {
                format!(
                    "{job} {} (known to be handled: {counts}{aside})",
                    self.outcome
                )
            }
            outcome => format!("{job} {outcome} (handled {counts}{aside})"),
        }
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

    /// A report of nothing done yet.
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, {}, {} in {}",
            self.message(),
            self.scope,
            self.trigger,
            quantity(self.batches, "batch", "batches"),
            span(self.elapsed),
        )?;
        let due = self
            .forecast
            .map(|forecast| forecast.due)
            .unwrap_or_default();
        if due.count > 0 {
            write!(f, ", {due} still due")?;
        }
        f.write_str(")")
    }
}

/// A [`Report`] as JSON: its fields after `success` and `message`, which callers read first.
#[derive(Serialize)]
struct ReportJson {
    success: bool,
    message: String,
    run: RunId,
    job: JobName,
    scope: Scope,
    trigger: Trigger,
    outcome: Outcome,
    cutoff: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    #[serde(with = "crate::time::span")]
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

/// Rejected rows that a report names.
const MAX_REJECTED: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::BoundedCount;

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

    #[test]
    fn each_way_to_end_reads_as_a_sentence() {
        let (error, reason) = ("away".to_owned(), "bug".to_owned());
        let outcomes = [
            Outcome::Completed,
            Outcome::failed(FailureKind::Job, error),
            Outcome::Crashed {
                reason,
                rows_at_least: 0,
            },
            Outcome::Cancelled,
            Outcome::TimedOut,
            Outcome::ShuttingDown,
        ];
        let told = outcomes
            .clone()
            .map(|outcome| Report { outcome, ..blank() }.message());
        let words = outcomes.each_ref().map(Outcome::as_str);
        let success = outcomes.map(|outcome| Report { outcome, ..blank() }.success());

        assert_eq!(
            told,
            [
                "sweeper handled nothing",
                "sweeper failed: away (handled nothing)",
                "sweeper crashed: bug (known to be handled: nothing)",
                "sweeper cancelled (handled nothing)",
                "sweeper timed out (handled nothing)",
                "sweeper shutting down (handled nothing)",
            ]
        );
        assert_eq!(
            words,
            [
                "completed",
                "failed",
                "crashed",
                "cancelled",
                "timed out",
                "shutting down"
            ]
        );
        assert_eq!(success, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_report_is_shown_with_its_scope_reason_and_length() {
        let report = Report {
            batches: 1,
            elapsed: Duration::from_micros(1_500),
            rejected_count: 2,
            ..blank()
        };

        assert_eq!(
            report.to_string(),
            "sweeper handled nothing, 2 set aside (all, tick, 1 batch in 1ms)"
        );
        assert_eq!(report.run.to_string().len(), 36);
        let long = Report {
            batches: 1_234,
            elapsed: Duration::from_secs(200),
            counts: counts(123_456),
            rejected_count: 1_000,
            forecast: Some(Forecast {
                due: BoundedCount::from_probe(20_000),
                ..Forecast::default()
            }),
            ..report
        };
        assert_eq!(
            long.to_string(),
            "sweeper handled 123,456 drafts, 1,000 set aside (all, tick, 1,234 batches in 3m 20s, 10,000+ still due)"
        );
        assert_eq!(
            long.message(),
            "sweeper handled 123,456 drafts, 1,000 set aside"
        );
    }

    fn counts(drafts: u64) -> Counts {
        let mut counts = Counts::default();
        counts.add("drafts", drafts);
        counts
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
