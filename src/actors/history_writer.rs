//! Writes records of runs into the history, with a timeout.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::timeout::with_timeout;
use crate::config::MAX_HISTORY_WRITE;
use crate::fmt::log_line;
use crate::metrics::recorder::{self, Step};
use crate::model::{RunHistory, RunRecord};

/// Writes the records of one housekeeper.
#[derive(Clone)]
pub(crate) struct HistoryWriter {
    pub(crate) store: Arc<dyn RunHistory>,
    /// Records kept per job.
    pub(crate) keep: u32,
    pub(crate) instance: Uuid,
}

impl HistoryWriter {
    /// Writes records and clears them. A failed write leaves them. Times out after `timeout` or
    /// [`MAX_HISTORY_WRITE`], whichever is shorter: the history must not delay the next run.
    pub(crate) async fn write(&self, records: &mut Vec<RunRecord>, timeout: Duration) {
        let Some(first) = records.first() else { return };
        let job = first.report.job.clone();
        let _time = recorder::time(&job, Step::HistoryWrite);
        let write = async { Ok(self.store.record(records, self.keep).await?) };
        match with_timeout(timeout.min(MAX_HISTORY_WRITE), "write the history", write).await {
            Ok(()) => records.clear(),
            Err(error) => {
                tracing::warn!(job.name = %job, history.unsaved = records.len(), error = %log_line(&error.to_string()), "history kept in memory");
            }
        }
    }
}
