//! Runs of the past, kept in the database.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DurationRound, SubsecRound, TimeDelta};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::job::JobName;
use crate::report::{Outcome, Report, Trigger};
use crate::step::within;
use crate::store::RunHistory;

/// One line of the history: a run, or the deadline runs of a minute folded into one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Names the line. Records with equal keys fold into one.
    pub key: String,
    /// How many runs it stands for.
    pub runs: u64,
    /// The run; where several were folded, the newest, with elapsed time, batches, counts and rows set aside added up.
    pub report: Report,
}

impl RunRecord {
    /// The record of a run, or `None` for a run that did nothing and so is not kept.
    ///
    /// Completed deadline runs of one minute share a key. `instance` keeps the keys of replicas apart.
    #[must_use]
    pub fn of(report: Report, instance: Uuid) -> Option<Self> {
        let quiet = report.outcome == Outcome::Completed
            && report.counts.total() == 0
            && report.set_aside_count == 0;
        if quiet {
            return None;
        }
        let folds = report.trigger == Trigger::Deadline && report.outcome == Outcome::Completed;
        let key = if folds {
            let minute = report
                .started_at
                .duration_trunc(TimeDelta::minutes(1))
                .unwrap_or(report.started_at);
            format!("{}/{instance}/{}", report.job, minute.timestamp())
        } else {
            report.run.to_string()
        };
        // The databases keep microseconds.
        let started_at = report.started_at.trunc_subsecs(6);
        Some(Self {
            key,
            runs: 1,
            report: Report {
                started_at,
                ..report
            },
        })
    }

    /// Folds a later record of the same key into this one.
    #[must_use]
    pub fn fold(self, later: Self) -> Self {
        if self.report.run == later.report.run {
            // Written before by a worker that did not live to say so.
            return self;
        }
        let mut report = later.report;
        let earlier = self.report;
        report.elapsed = report.elapsed.saturating_add(earlier.elapsed);
        report.batches = report.batches.saturating_add(earlier.batches);
        report.counts.merge(&earlier.counts);
        report.set_aside_count = report
            .set_aside_count
            .saturating_add(earlier.set_aside_count);
        report.more_ids |= earlier.more_ids;
        report.ids.splice(0..0, earlier.ids);
        if report.ids.len() > Self::FOLDED_IDS {
            report.ids.truncate(Self::FOLDED_IDS);
            report.more_ids = true;
        }
        Self {
            key: self.key,
            runs: self.runs.saturating_add(later.runs),
            report,
        }
    }

    /// A folded record keeps at most this many ids.
    const FOLDED_IDS: usize = 100;
}

/// The newest runs of a job, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Which job.
    pub job: JobName,
    /// Newest first.
    pub runs: Vec<RunRecord>,
    /// Where they come from.
    pub source: HistorySource,
}

/// Where a history was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum HistorySource {
    /// The database: it reaches back over restarts of the process.
    Database,
    /// Memory: only what this housekeeper saw itself, because the database could not be asked.
    Memory {
        /// Why.
        reason: String,
    },
}

/// Where runs are written down.
#[derive(Clone)]
pub(crate) struct HistoryBook {
    pub(crate) store: Arc<dyn RunHistory>,
    pub(crate) keep: u32,
    pub(crate) instance: Uuid,
}

impl HistoryBook {
    /// Writes records within this limit, or a shorter one: the table must not keep the next run from being on time.
    pub(crate) async fn write(&self, records: &[RunRecord], limit: Duration) -> Result<(), String> {
        let write = async { Ok(self.store.record(records, self.keep).await?) };
        within(limit.min(LONGEST_WRITE), "write the history", write).await
    }
}

/// Longest write of the history.
const LONGEST_WRITE: Duration = Duration::from_secs(2);
