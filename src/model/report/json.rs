//! A report as it is written.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Outcome, Report, RunId, Trigger};
use crate::job::{Counts, Forecast, JobName, RejectedRow, Scope};

/// All of it, and the two fields that a caller of the replaced system looks at first.
#[derive(Serialize)]
pub(super) struct ReportJson {
    success: bool,
    message: String,
    run: RunId,
    job: JobName,
    scope: Scope,
    trigger: Trigger,
    outcome: Outcome,
    cutoff: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    #[serde(with = "humantime_serde")]
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
