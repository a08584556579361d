//! Lines of the run history as the databases keep them.
//!
//! Replicas of several versions share one history, so a line may hold what this version does not
//! know: it is skipped and counted, and stays as it is.

use chrono::{DateTime, Utc};

use crate::model::{HistoryCursor, HistoryPage, HistoryQuery, RunRecord};

/// A line whose report was not parsed yet.
#[derive(Debug)]
pub(crate) struct SavedRun {
    pub(crate) key: String,
    pub(crate) runs: i64,
    /// `None` for an instant that is outside of every calendar.
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    pub(crate) report: Vec<u8>,
}

impl SavedRun {
    /// Returns the record, or why this version cannot read it.
    pub(crate) fn read(self) -> Result<RunRecord, String> {
        let report = serde_json::from_slice(&self.report).map_err(|error| {
            format!("its record is damaged, or another version wrote it: {error}")
        })?;
        Ok(RunRecord {
            key: self.key,
            runs: u64::try_from(self.runs).unwrap_or(0),
            recorded_at: self.recorded_at,
            report,
        })
    }
}

/// Returns the key of the line beside one that cannot be read, for runs that would fold into it.
pub(crate) fn key_beside(key: &str) -> String {
    format!("{key}~")
}

/// Reads a history part by part until a page is full of records that can be read.
#[derive(Debug)]
pub(crate) struct PageReader {
    size: usize,
    rest: Option<HistoryQuery>,
    page: HistoryPage,
}

impl PageReader {
    pub(crate) fn new(query: &HistoryQuery) -> Self {
        Self {
            size: query.limit as usize,
            rest: Some(query.clone()).filter(|query| query.limit > 0),
            page: HistoryPage::default(),
        }
    }

    /// Returns the lines to read next, `None` once the page is full or the history ends.
    pub(crate) fn next_part(&self) -> Option<&HistoryQuery> {
        self.rest.as_ref()
    }

    /// Adds the lines of [`next_part`](Self::next_part).
    pub(crate) fn add(&mut self, lines: Vec<SavedRun>) {
        let Some(mut query) = self.rest.take() else {
            return;
        };
        let is_last = lines.len() < query.limit as usize;
        for line in lines {
            query.after = Some(HistoryCursor::from(line.key.clone()));
            match line.read() {
                Ok(record) => self.page.runs.push(record),
                Err(_) => self.page.unreadable += 1,
            }
            if self.page.runs.len() == self.size {
                return;
            }
        }
        if !is_last {
            query.limit = PART;
            self.rest = Some(query);
        }
    }

    pub(crate) fn into_page(self) -> HistoryPage {
        self.page
    }
}

/// Lines that are read at once after the first part.
const PART: u32 = 64;
