//! Reads one preview or one history for the supervisor.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};

use crate::actors::message::{HousekeeperMsg, InternalMsg, ReadResult};
use crate::actors::timeout::{StepError, with_timeout};
use crate::job::{Job, JobName, Page, Preview, Scope};
use crate::metrics::recorder::{self, Step};
use crate::model::{History, HistorySource, RequestError, RunHistory, RunRecord};

/// An actor per read: it reads, reports the result and stops.
pub(super) struct Reader;

pub(super) enum ReadRequest {
    Preview {
        job: Arc<dyn Job>,
        scope: Scope,
        page: Page,
    },
    History {
        job: JobName,
        limit: u32,
        store: Option<Arc<dyn RunHistory>>,
        memory: Vec<RunRecord>,
        unsaved: Vec<RunRecord>,
    },
}

pub(super) struct ReaderState {
    pub(super) supervisor: ActorRef<HousekeeperMsg>,
    pub(super) request: Option<ReadRequest>,
    pub(super) timeout: Duration,
}

#[ractor::actor(message = (), state = ReaderState, arguments = ReaderState)]
impl Reader {
    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        arguments: ReaderState,
    ) -> Result<ReaderState, ActorProcessingErr> {
        // Reads in `handle`, because the supervisor waits for `pre_start`.
        myself.cast(())?;
        Ok(arguments)
    }

    async fn handle(
        &self,
        myself: ActorRef<()>,
        (): (),
        state: &mut ReaderState,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(request) = state.request.take() {
            let result = Box::new(request.read(state.timeout).await);
            state.supervisor.cast(
                InternalMsg::Read {
                    reader: myself.get_id(),
                    result,
                }
                .into(),
            )?;
        }
        myself.stop(None);
        Ok(())
    }
}

impl ReadRequest {
    async fn read(self, timeout: Duration) -> ReadResult {
        match self {
            Self::Preview { job, scope, page } => {
                ReadResult::Preview(preview(&*job, scope, page, timeout).await)
            }
            Self::History {
                job,
                limit,
                store: Some(store),
                memory,
                unsaved,
            } => {
                let time = recorder::time(&job, Step::HistoryRead);
                let read = async { Ok(store.runs(&job, limit).await?) };
                let read = with_timeout(timeout, "read the history", read).await;
                drop(time);
                ReadResult::History(Ok(match read {
                    Ok(saved) => history(job, limit, HistorySource::Database, saved, &unsaved),
                    Err(StepError { text: reason, .. }) => {
                        history(job, limit, HistorySource::Memory { reason }, memory, &[])
                    }
                }))
            }
            Self::History {
                job,
                limit,
                store: None,
                memory,
                ..
            } => {
                let reason = "no history store was given".to_owned();
                ReadResult::History(Ok(history(
                    job,
                    limit,
                    HistorySource::Memory { reason },
                    memory,
                    &[],
                )))
            }
        }
    }
}

async fn preview(
    job: &dyn Job,
    scope: Scope,
    page: Page,
    timeout: Duration,
) -> Result<Preview, RequestError> {
    let time = recorder::time(&job.name(), Step::Preview);
    let rows = with_timeout(timeout, "read the preview", job.preview(&scope, &page)).await;
    drop(time);
    let rows = rows.map_err(|error| RequestError::Failed {
        what: format!("preview {}", job.name()),
        error: error.text,
    })?;
    Ok(Preview {
        job: job.name(),
        scope,
        cutoff: rows.cutoff,
        rows: rows.rows,
        due: rows.due,
        next: rows.next,
    })
}

fn history(
    job: JobName,
    limit: u32,
    source: HistorySource,
    mut runs: Vec<RunRecord>,
    unsaved: &[RunRecord],
) -> History {
    let saved = runs.len();
    // Folds by key: a record that counts as unsaved may be saved after all.
    RunRecord::fold_into(&mut runs, unsaved);
    let mut new = runs.split_off(saved);
    new.sort_by_key(|record| std::cmp::Reverse(record.report.started_at));
    runs.splice(0..0, new);
    runs.truncate(limit as usize);
    History { job, runs, source }
}
