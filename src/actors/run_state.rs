//! The sheet of a run, handed to a worker blank and handed back filled in, and what the worker
//! tells in between.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::job::{Batch, Counts, Forecast, RejectedRow};
use crate::model::{Report, RunId, RunRecord};

/// What a worker is given, the account it keeps, and what it gives back.
#[derive(Debug)]
pub(crate) struct RunState {
    /// Blank but for what was asked, at first.
    pub(crate) report: Report,
    /// Records that could not be written when their run ended.
    pub(crate) unsaved: Vec<RunRecord>,
    /// Rows that could not be handled since the last tick, those of this run included; the first of
    /// them.
    pub(crate) rejected: BTreeSet<String>,
    /// Rows set aside in this run that there was no room for.
    pub(crate) forgotten: u64,
    /// When the forecast was read: what it says counts from then.
    pub(crate) looked_at: Option<Instant>,
}

/// What a worker tells of a batch.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) run: RunId,
    pub(crate) cutoff: DateTime<Utc>,
    pub(crate) counts: Counts,
    pub(crate) ids: Vec<String>,
    pub(crate) rejected: Vec<RejectedRow>,
}

impl RunState {
    pub(crate) fn new(report: Report, unsaved: Vec<RunRecord>, rejected: BTreeSet<String>) -> Self {
        Self {
            report,
            unsaved,
            rejected,
            forgotten: 0,
            looked_at: None,
        }
    }

    /// Adds a committed batch to the account.
    pub(crate) fn account(&mut self, batch: &Batch, max_reported_ids: u32) {
        let report = &mut self.report;
        report.account(&batch.counts, &batch.ids, max_reported_ids);
        report.leave_out(&batch.rejected);
        for RejectedRow { id, .. } in &batch.rejected {
            // A deadline run meets the rows of the run before it again.
            if self.rejected.contains(id) {
                continue;
            }
            if self.rejected.len() < REJECTED_REMEMBERED {
                self.rejected.insert(id.clone());
            } else {
                self.forgotten += 1;
            }
        }
    }

    /// Takes down what the job sees ahead. Rows that were set aside and forgotten seem due for
    /// ever: they are left to the next tick.
    pub(crate) fn apply_forecast(&mut self, seen: Forecast) {
        let blind = self.forgotten > 0;
        self.report.forecast = Some(Forecast {
            next_due: seen.next_due.filter(|wait| !(blind && wait.is_zero())),
            ..seen
        });
        self.looked_at = Some(Instant::now());
    }
}

/// Rows set aside that are left out of the forecast until the next tick.
const REJECTED_REMEMBERED: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::Scope;
    use crate::model::Trigger;

    #[test]
    fn a_hundred_thousand_rows_rejected_are_counted_and_the_first_are_kept() {
        let sheet = after_setting_aside(100_000);

        assert_eq!(sheet.report.rejected_count, 100_000);
        assert_eq!(sheet.report.rejected.len(), 100);
        assert_eq!(sheet.rejected.len(), 1_000);
        assert_eq!(sheet.forgotten, 99_000);
    }

    #[test]
    fn rows_rejected_again_are_not_forgotten() {
        let mut again = after_setting_aside(1_000);

        again.account(&batch_of(0..1_000), 0);

        assert_eq!((again.rejected.len(), again.forgotten), (1_000, 0));
    }

    #[test]
    fn rows_forgotten_plan_no_run_but_a_row_that_falls_due_later_does() {
        let mut knows_all = after_setting_aside(1_000);
        let mut forgot = after_setting_aside(1_001);
        let mut ahead = after_setting_aside(1_001);

        knows_all.apply_forecast(next_due(0));
        forgot.apply_forecast(next_due(0));
        ahead.apply_forecast(next_due(7));

        assert_eq!(knows_all.report.forecast, Some(next_due(0)));
        assert_eq!(forgot.report.forecast, Some(Forecast::default()));
        assert_eq!(ahead.report.forecast, Some(next_due(7)));
    }

    fn after_setting_aside(rows: u32) -> RunState {
        let asked = Report::blank(
            "stuck".into(),
            Scope::All,
            Trigger::Tick,
            DateTime::UNIX_EPOCH,
        );
        let mut sheet = RunState::new(asked, Vec::new(), BTreeSet::new());
        for first in (0..rows).step_by(500) {
            sheet.account(&batch_of(first..rows.min(first + 500)), 100);
        }
        sheet
    }

    fn batch_of(rows: std::ops::Range<u32>) -> Batch {
        let refused = |row: u32| RejectedRow {
            id: row.to_string(),
            error: "a foreign key refuses it".to_owned(),
        };
        Batch {
            rejected: rows.map(refused).collect(),
            ..Batch::default()
        }
    }

    fn next_due(wait_s: u64) -> Forecast {
        Forecast {
            next_due: Some(Duration::from_secs(wait_s)),
            ..Forecast::default()
        }
    }
}
