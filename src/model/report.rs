//! Reports of runs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::job::{Batch, Counts, Forecast, JobName, RejectedRow, Scope};
use crate::model::{Outcome, Requester, RunId, Trigger};

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
