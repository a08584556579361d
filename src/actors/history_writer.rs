//! Writes records of runs into the history, with a timeout, and notes that the instance runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
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
    /// The name of the instance in the list of replicas.
    pub(crate) instance_name: String,
    /// When the list was last written, by any job of this housekeeper.
    pub(crate) listed_at: Arc<Mutex<Option<Instant>>>,
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
            Ok(()) => {
                records.clear();
                // The records list the instance.
                self.take_listing();
            }
            Err(error) => {
                tracing::warn!(job.name = %job, history.unsaved = records.len(), error = %log_line(&error.to_string()), "history kept in memory");
            }
        }
    }

    /// Lists the instance after a run that left no record, unless it was listed in the last
    /// [`LISTED_FOR`]. A failure leaves it out of the list until the next try, and nothing else.
    pub(crate) async fn list_instance(&self, timeout: Duration) {
        if !self.take_listing() {
            return;
        }
        let note = async { Ok(self.store.note_instance(&self.instance_name).await?) };
        let noted = with_timeout(timeout.min(MAX_HISTORY_WRITE), "note the instance", note).await;
        if let Err(error) = noted {
            tracing::debug!(error = %log_line(&error.to_string()), "the instance is not listed");
        }
    }

    /// Returns whether the instance is due to be listed, and takes the turn: of several workers,
    /// one lists it.
    fn take_listing(&self) -> bool {
        let mut listed_at = self
            .listed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_due = listed_at.is_none_or(|at| at.elapsed() >= LISTED_FOR);
        if is_due {
            *listed_at = Some(Instant::now());
        }
        is_due
    }
}

/// A note counts for this long: an idle instance costs the database a row's update at this rate.
const LISTED_FOR: Duration = Duration::from_secs(5 * 60);
