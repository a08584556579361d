//! A line of the history, and how runs fold into one.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Outcome, Report, Trigger};
use crate::fmt::{instant, span, thousands};

/// A line of the history: a run, or the folded deadline runs of a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
pub struct RunRecord {
    /// The key of the line. Records with equal keys fold into one.
    pub key: String,
    /// Number of runs in this line.
    pub runs: u64,
    /// The run. In a folded line it is the newest, with the sums of elapsed time, batches, counts
    /// and rejected rows.
    pub report: Report,
    /// When the line was written, by the clock of the database; `None` while it waits in memory.
    ///
    /// Lines are kept, and listed, in the order in which they were written: the host's clock, by
    /// which runs start, may have been wrong.
    #[serde(default)]
    pub recorded_at: Option<DateTime<Utc>>,
}

impl RunRecord {
    /// Creates the record of a run; `None` for a run that completed without a change, which the
    /// history leaves out.
    ///
    /// Completed deadline runs of one minute share a key. `instance` separates the keys of
    /// replicas.
    #[must_use]
    pub fn from_report(report: Report, instance: Uuid) -> Option<Self> {
        if report.is_quiet() {
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
        // The databases store microseconds.
        let started_at = report.started_at.trunc_subsecs(6);
        Some(Self {
            key,
            runs: 1,
            report: Report {
                started_at,
                ..report
            },
            recorded_at: None,
        })
    }

    /// Returns whether a text reads as a key of [`from_report`](Self::from_report).
    #[cfg(feature = "web")]
    pub(crate) fn is_key(text: &str) -> bool {
        let is_uuid = |text: &str| text.parse::<Uuid>().is_ok();
        let mut parts = text.rsplitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(minute), Some(instance), Some(job)) => {
                minute.parse::<i64>().is_ok() && is_uuid(instance) && !job.contains('\0')
            }
            _ => is_uuid(text),
        }
    }

    /// Folds `runs` into the line of this key; `None` if they add nothing to `earlier`, the line in
    /// the database.
    ///
    /// `runs` are in the order in which they ended. They repeat runs whose write was not confirmed:
    /// the answer was lost, or the worker crashed. So all runs up to the newest one of `earlier`
    /// are in it already.
    #[must_use]
    pub fn line(key: &str, earlier: Option<Self>, runs: &[Self]) -> Option<Self> {
        let newest = earlier.as_ref().map(|line| line.report.run);
        let known = runs
            .iter()
            .rposition(|run| Some(run.report.run) == newest)
            .map_or(0, |place| place + 1);
        let mut new = runs[known..].iter().filter(|run| run.key == key).cloned();
        let first = new.next()?;
        earlier
            .into_iter()
            .chain([first])
            .chain(new)
            .reduce(Self::fold)
    }

    /// Folds runs into these lines. New lines come last.
    pub(crate) fn fold_into(lines: &mut Vec<Self>, runs: &[Self]) {
        for key in Self::keys(runs) {
            let earlier = lines.iter().find(|line| line.key == key).cloned();
            let Some(folded) = Self::line(key, earlier, runs) else {
                continue;
            };
            match lines.iter_mut().find(|line| line.key == key) {
                Some(line) => *line = folded,
                None => lines.push(folded),
            }
        }
    }

    /// Returns the keys of `runs`, in order, without duplicates.
    #[must_use]
    pub fn keys(runs: &[Self]) -> BTreeSet<&str> {
        runs.iter().map(|run| run.key.as_str()).collect()
    }

    /// Folds a later record of the same key into this one.
    #[must_use]
    pub fn fold(self, later: Self) -> Self {
        if self.report.run == later.report.run {
            // An earlier write committed without a confirmation.
            return self;
        }
        let mut report = later.report;
        let earlier = self.report;
        report.elapsed = report.elapsed.saturating_add(earlier.elapsed);
        report.batches = report.batches.saturating_add(earlier.batches);
        report.counts.merge(&earlier.counts);
        report.rejected_count = report.rejected_count.saturating_add(earlier.rejected_count);
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
            recorded_at: later.recorded_at.or(self.recorded_at),
        }
    }

    /// Returns the cells of its line in a table.
    pub(super) fn cells(&self) -> [String; 9] {
        let report = &self.report;
        [
            instant(report.started_at),
            self.recorded_at.map(instant).unwrap_or_default(),
            thousands(self.runs),
            report.trigger.to_string(),
            report.counts.to_string(),
            thousands(report.rejected_count),
            thousands(report.batches),
            span(report.elapsed),
            report.outcome.to_string(),
        ]
    }

    /// Maximum number of ids in a folded record.
    const FOLDED_IDS: usize = 100;
}

#[cfg(test)]
mod tests;
