//! The sheet of a run, handed to a worker blank and handed back filled in, and what the worker tells in between.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::batch::{Batch, Counts, SetAside};
use crate::history::RunRecord;
use crate::outlook::Outlook;
use crate::report::{Report, RunId};

/// What a worker is given, the account it keeps, and what it gives back.
#[derive(Debug)]
pub(crate) struct RunSheet {
    /// Blank but for what was asked, at first.
    pub(crate) report: Report,
    /// Records that could not be written when their run ended.
    pub(crate) unwritten: Vec<RunRecord>,
    /// Rows that could not be handled since the last tick, those of this run included; the first of them.
    pub(crate) set_aside: BTreeSet<String>,
    /// Rows set aside in this run that there was no room for.
    pub(crate) forgotten: u64,
    /// When the outlook was read: what it says counts from then.
    pub(crate) looked_at: Option<Instant>,
}

/// What a worker tells of a batch.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) run: RunId,
    pub(crate) cutoff: DateTime<Utc>,
    pub(crate) counts: Counts,
    pub(crate) ids: Vec<String>,
    pub(crate) set_aside: Vec<SetAside>,
}

impl RunSheet {
    pub(crate) fn new(
        report: Report,
        unwritten: Vec<RunRecord>,
        set_aside: BTreeSet<String>,
    ) -> Self {
        Self {
            report,
            unwritten,
            set_aside,
            forgotten: 0,
            looked_at: None,
        }
    }

    /// Adds a committed batch to the account.
    pub(crate) fn account(&mut self, batch: &Batch, ids_kept: u32) {
        let report = &mut self.report;
        report.account(&batch.counts, &batch.ids, ids_kept);
        report.leave_out(&batch.set_aside);
        for SetAside { id, .. } in &batch.set_aside {
            // A deadline run meets the rows of the run before it again.
            if self.set_aside.contains(id) {
                continue;
            }
            if self.set_aside.len() < SET_ASIDE_REMEMBERED {
                self.set_aside.insert(id.clone());
            } else {
                self.forgotten += 1;
            }
        }
    }

    /// Takes down what the job sees ahead. Rows that were set aside and forgotten seem due for ever: they are left to the next tick.
    pub(crate) fn look_ahead(&mut self, seen: Outlook) {
        let blind = self.forgotten > 0;
        self.report.outlook = Some(Outlook {
            next_due: seen.next_due.filter(|wait| !(blind && wait.is_zero())),
            ..seen
        });
        self.looked_at = Some(Instant::now());
    }
}

/// Rows set aside that are left out of the outlook until the next tick.
const SET_ASIDE_REMEMBERED: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::batch::Scope;
    use crate::report::Trigger;

    #[test]
    fn a_hundred_thousand_rows_set_aside_are_counted_and_the_first_are_kept() {
        let sheet = after_setting_aside(100_000);

        assert_eq!(sheet.report.set_aside_count, 100_000);
        assert_eq!(sheet.report.set_aside.len(), 100);
        assert_eq!(sheet.set_aside.len(), 1_000);
        assert_eq!(sheet.forgotten, 99_000);
    }

    #[test]
    fn rows_set_aside_again_are_not_forgotten() {
        let mut again = after_setting_aside(1_000);

        again.account(&batch_of(0..1_000), 0);

        assert_eq!((again.set_aside.len(), again.forgotten), (1_000, 0));
    }

    #[test]
    fn rows_forgotten_plan_no_run_but_a_row_that_falls_due_later_does() {
        let mut knows_all = after_setting_aside(1_000);
        let mut forgot = after_setting_aside(1_001);
        let mut ahead = after_setting_aside(1_001);

        knows_all.look_ahead(next_due(0));
        forgot.look_ahead(next_due(0));
        ahead.look_ahead(next_due(7));

        assert_eq!(knows_all.report.outlook, Some(next_due(0)));
        assert_eq!(forgot.report.outlook, Some(Outlook::default()));
        assert_eq!(ahead.report.outlook, Some(next_due(7)));
    }

    fn after_setting_aside(rows: u32) -> RunSheet {
        let asked = Report::blank(
            "stuck".into(),
            Scope::All,
            Trigger::Tick,
            DateTime::UNIX_EPOCH,
        );
        let mut sheet = RunSheet::new(asked, Vec::new(), BTreeSet::new());
        for first in (0..rows).step_by(500) {
            sheet.account(&batch_of(first..rows.min(first + 500)), 100);
        }
        sheet
    }

    fn batch_of(rows: std::ops::Range<u32>) -> Batch {
        let refused = |row: u32| SetAside {
            id: row.to_string(),
            error: "a foreign key refuses it".to_owned(),
        };
        Batch {
            set_aside: rows.map(refused).collect(),
            ..Batch::default()
        }
    }

    fn next_due(wait_s: u64) -> Outlook {
        Outlook {
            next_due: Some(Duration::from_secs(wait_s)),
            ..Outlook::default()
        }
    }
}
