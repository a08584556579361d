//! The history of a job: from the database, or from memory where that does not answer.

use super::{Limit, ReadRequest};
use crate::job::JobName;
use crate::metrics::recorder::{self, Step};
use crate::model::{
    History, HistoryCursor, HistoryPage, HistoryQuery, HistorySource, RequestError, RunHistory,
    RunRecord,
};

impl ReadRequest {
    /// Returns the history that this housekeeper saw itself; `None` for other reads, which need the
    /// database.
    pub(in crate::actors) fn into_memory(self, reason: String) -> Option<History> {
        match self {
            Self::History {
                job, query, memory, ..
            } => Some(from_memory(job, &query, memory, reason)),
            _ => None,
        }
    }
}

/// Returns the history that this housekeeper saw itself.
pub(in crate::actors) fn from_memory(
    job: JobName,
    query: &HistoryQuery,
    memory: Vec<RunRecord>,
    reason: String,
) -> History {
    let memory = one_more(query).pick(memory);
    let source = HistorySource::Memory { reason };
    page(job, query, source, HistoryPage::from(memory), &[])
}

/// Reads the page from the database.
pub(super) async fn saved(
    job: &JobName,
    query: &HistoryQuery,
    store: &dyn RunHistory,
    limit: &Limit,
) -> Result<HistoryPage, RequestError> {
    let _time = recorder::time(job, Step::HistoryRead);
    let more = one_more(query);
    let reading = async { Ok(store.page(job, &more).await?) };
    limit.read("read the history", reading).await
}

/// Returns the page that was read, with the unsaved records, or that from memory.
pub(super) fn of(
    job: JobName,
    query: &HistoryQuery,
    read: Result<HistoryPage, RequestError>,
    memory: Vec<RunRecord>,
    unsaved: &[RunRecord],
) -> History {
    match read {
        Ok(saved) => page(job, query, HistorySource::Database, saved, unsaved),
        Err(RequestError::Failed { error, .. }) => from_memory(job, query, memory, error),
        Err(error) => from_memory(job, query, memory, error.to_string()),
    }
}

/// Returns the query for one more record, which shows whether another page follows.
fn one_more(query: &HistoryQuery) -> HistoryQuery {
    HistoryQuery {
        limit: query.limit.saturating_add(1),
        ..query.clone()
    }
}

fn page(
    job: JobName,
    query: &HistoryQuery,
    source: HistorySource,
    HistoryPage {
        mut runs,
        unreadable,
        ..
    }: HistoryPage,
    unsaved: &[RunRecord],
) -> History {
    let saved = runs.len();
    // Unsaved records are the newest, so only the first page has them.
    if query.after.is_none() {
        let unsaved: Vec<_> = unsaved
            .iter()
            .filter(|run| query.matches(run))
            .cloned()
            .collect();
        // Folds by key: a record that counts as unsaved may be saved after all.
        RunRecord::fold_into(&mut runs, &unsaved);
    }
    let mut new = runs.split_off(saved);
    new.sort_by_key(|record| std::cmp::Reverse(record.report.started_at));
    runs.splice(0..0, new);
    let limit = query.limit as usize;
    let has_more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| has_more).map(HistoryCursor::of);
    History {
        job,
        runs,
        next,
        unreadable,
        source,
    }
}
