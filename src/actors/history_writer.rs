//! Writes records of runs into the history, with a timeout.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::timeout::with_timeout;
use crate::config::MAX_HISTORY_WRITE;
use crate::metrics::recorder::{self, Step};
use crate::model::{RunHistory, RunRecord};

/// Where runs are written down.
#[derive(Clone)]
pub(crate) struct HistoryWriter {
    pub(crate) store: Arc<dyn RunHistory>,
    pub(crate) keep: u32,
    pub(crate) instance: Uuid,
}

impl HistoryWriter {
    /// Writes records within this limit, or a shorter one: the table must not keep the next run
    /// from being on time. What cannot be written is left.
    pub(crate) async fn write(&self, records: &mut Vec<RunRecord>, limit: Duration) {
        let Some(first) = records.first() else { return };
        let job = first.report.job.clone();
        let _time = recorder::time(&job, Step::HistoryWrite);
        let write = async { Ok(self.store.record(records, self.keep).await?) };
        match with_timeout(limit.min(MAX_HISTORY_WRITE), "write the history", write).await {
            Ok(()) => records.clear(),
            Err(error) => {
                tracing::warn!(job.name = %job, history.unsaved = records.len(), %error, "history kept in memory");
            }
        }
    }
}
