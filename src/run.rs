//! The sheet of a run, handed to a worker blank and handed back filled in, and what the worker tells in between.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::batch::{Batch, Counts};
use crate::history::RunRecord;
use crate::report::{Report, RunId};

/// What a worker is given, the account it keeps, and what it gives back.
#[derive(Debug)]
pub(crate) struct RunSheet {
    /// Blank but for what was asked, at first.
    pub(crate) report: Report,
    /// Records that could not be written when their run ended.
    pub(crate) unwritten: Vec<RunRecord>,
    /// Rows that could not be handled since the last tick, those of this run included.
    pub(crate) set_aside: Vec<String>,
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
}

impl RunSheet {
    /// Adds a committed batch to the account.
    pub(crate) fn account(&mut self, batch: &Batch, ids_kept: u32) {
        let report = &mut self.report;
        report.account(&batch.counts, &batch.ids, ids_kept);
        report.set_aside_count += batch.set_aside.len() as u64;
        fill(
            &mut report.set_aside,
            SET_ASIDE_REPORTED,
            batch.set_aside.iter().cloned(),
        );
        // A deadline run meets the rows of the run before it again.
        let known: BTreeSet<String> = self.set_aside.iter().cloned().collect();
        let ids = batch.set_aside.iter().map(|row| row.id.clone());
        fill(
            &mut self.set_aside,
            SET_ASIDE_REMEMBERED,
            ids.filter(|id| !known.contains(id)),
        );
    }
}

/// Adds what there is room for.
fn fill<T>(list: &mut Vec<T>, most: usize, more: impl Iterator<Item = T>) {
    let room = most.saturating_sub(list.len());
    list.extend(more.take(room));
}

/// Rows set aside that a report names.
const SET_ASIDE_REPORTED: usize = 100;

/// Rows set aside that are left out of the outlook until the next tick.
const SET_ASIDE_REMEMBERED: usize = 1_000;
