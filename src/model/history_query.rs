//! The part of a history to return.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{OutcomeKind, RunRecord};

/// A part of a history: at most `limit` records, newest first, that meet all conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// The most records.
    pub limit: u32,
    /// The [`next`](super::History::next) of the page before; `None` for the first page.
    pub after: Option<HistoryCursor>,
    /// Only runs that started at this instant or later.
    pub from: Option<DateTime<Utc>>,
    /// Only runs that started before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Only runs that ended in one of these ways; empty for all.
    pub outcomes: Vec<OutcomeKind>,
}

impl HistoryQuery {
    /// The newest records.
    #[must_use]
    pub fn newest(limit: u32) -> Self {
        Self {
            limit,
            after: None,
            from: None,
            until: None,
            outcomes: Vec::new(),
        }
    }

    /// Only records behind this cursor.
    #[must_use]
    pub fn after(self, after: impl Into<Option<HistoryCursor>>) -> Self {
        Self {
            after: after.into(),
            ..self
        }
    }

    /// Only runs that started in this range; `None` leaves an end open.
    #[must_use]
    pub fn between(
        self,
        from: impl Into<Option<DateTime<Utc>>>,
        until: impl Into<Option<DateTime<Utc>>>,
    ) -> Self {
        Self {
            from: from.into(),
            until: until.into(),
            ..self
        }
    }

    /// Only runs that ended in one of these ways; none of them for all runs.
    #[must_use]
    pub fn outcomes(self, outcomes: impl IntoIterator<Item = OutcomeKind>) -> Self {
        Self {
            outcomes: outcomes.into_iter().collect(),
            ..self
        }
    }

    /// Returns the part of these records, which are all of a job's, newest first.
    #[must_use]
    pub fn pick(&self, mut records: Vec<RunRecord>) -> Vec<RunRecord> {
        if let Some(after) = &self.after {
            let place = records.iter().position(|record| record.key == after.0);
            let behind = place.map_or(records.len(), |place| place + 1);
            records.drain(..behind);
        }
        records.retain(|record| self.matches(record));
        records.truncate(self.limit as usize);
        records
    }

    /// Returns whether a record meets the conditions, wherever it is.
    #[must_use]
    pub fn matches(&self, record: &RunRecord) -> bool {
        let report = &record.report;
        let at = report.started_at;
        self.from.is_none_or(|from| from <= at)
            && self.until.is_none_or(|until| at < until)
            && (self.outcomes.is_empty() || self.outcomes.contains(&report.outcome.kind()))
    }
}

/// The records that a store returns for a query, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryPage {
    /// The records.
    pub runs: Vec<RunRecord>,
    /// Number of lines that were skipped on the way, because they are damaged or a newer version
    /// wrote them.
    pub unreadable: u64,
}

impl From<Vec<RunRecord>> for HistoryPage {
    fn from(runs: Vec<RunRecord>) -> Self {
        Self {
            runs,
            unreadable: 0,
        }
    }
}

/// A place in a history: behind the last record of a page. Opaque text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct HistoryCursor(String);

impl HistoryCursor {
    /// Returns the place behind a record.
    #[must_use]
    pub fn of(record: &RunRecord) -> Self {
        Self(record.key.clone())
    }

    /// Returns the [key](RunRecord::key) of the record.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HistoryCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<String> for HistoryCursor {
    fn from(text: String) -> Self {
        Self(text)
    }
}
