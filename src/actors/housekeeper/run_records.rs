//! The newest runs of one job, kept in memory.

use std::collections::VecDeque;

use super::shared::Shared;
use crate::model::{OutcomeKind, Report, RunRecord};

/// The newest runs of one job, kept in memory.
#[derive(Default)]
pub(super) struct RunRecords {
    /// Records that are not in the history yet.
    pub(super) unsaved: Vec<RunRecord>,
    /// The newest records, newest first, for a history that cannot be read.
    pub(super) recent: Vec<RunRecord>,
    /// The ends of the newest runs, oldest first.
    pub(super) outcomes: VecDeque<OutcomeKind>,
}

impl RunRecords {
    /// Adds the record of a run, to the unsaved ones too if its worker did not save it.
    pub(super) fn add(&mut self, report: &Report, shared: &Shared, unsaved: bool) {
        self.outcomes.push_back(report.outcome.kind());
        if self.outcomes.len() > MAX_OUTCOMES {
            self.outcomes.pop_front();
        }
        let Some(record) = RunRecord::from_report(report.clone(), shared.instance) else {
            return;
        };
        if unsaved && shared.history.is_some() {
            self.keep_unsaved([record.clone()]);
        }
        match self.recent.first_mut() {
            Some(newest) if newest.key == record.key => *newest = newest.clone().fold(record),
            _ => self.recent.insert(0, record),
        }
        self.recent.truncate(MAX_RECORDS);
    }

    /// Keeps records until they are saved; beyond [`MAX_RECORDS`] the newest.
    pub(super) fn keep_unsaved(&mut self, records: impl IntoIterator<Item = RunRecord>) {
        self.unsaved.extend(records);
        let excess = self.unsaved.len().saturating_sub(MAX_RECORDS);
        self.unsaved.drain(..excess);
    }
}

/// Records of a job kept in memory, recent or unsaved.
const MAX_RECORDS: usize = 100;

/// Ends of runs that a status lists.
const MAX_OUTCOMES: usize = 20;
