//! Reads one preview or one history, and tells.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};

use super::{HousekeeperMsg, Notice};
use crate::batch::Scope;
use crate::history::{History, HistorySource, RunRecord};
use crate::job::{Job, JobName};
use crate::meter::{self, Step};
use crate::preview::{Page, Preview};
use crate::refusal::Refusal;
use crate::step::within;
use crate::store::RunHistory;

/// What was read.
#[derive(Debug)]
pub(crate) enum Reading {
    Preview(Result<Preview, Refusal>),
    History(Result<History, Refusal>),
}

/// Reads one thing, once.
pub(super) struct Reader;

pub(super) enum Question {
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
        unwritten: Vec<RunRecord>,
    },
}

pub(super) struct ReaderState {
    pub(super) supervisor: ActorRef<HousekeeperMsg>,
    pub(super) question: Option<Question>,
    pub(super) limit: Duration,
}

#[ractor::actor(message = (), state = ReaderState, arguments = ReaderState)]
impl Reader {
    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        arguments: ReaderState,
    ) -> Result<ReaderState, ActorProcessingErr> {
        // Not here: the supervisor waits for this.
        myself.cast(())?;
        Ok(arguments)
    }

    async fn handle(
        &self,
        myself: ActorRef<()>,
        (): (),
        state: &mut ReaderState,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(question) = state.question.take() {
            let reading = Box::new(question.read(state.limit).await);
            state.supervisor.cast(
                Notice::Read {
                    reader: myself.get_id(),
                    reading,
                }
                .into(),
            )?;
        }
        myself.stop(None);
        Ok(())
    }
}

impl Question {
    async fn read(self, limit: Duration) -> Reading {
        match self {
            Self::Preview { job, scope, page } => {
                Reading::Preview(preview(&*job, scope, page, limit).await)
            }
            Self::History {
                job,
                limit: runs,
                store: Some(store),
                memory,
                unwritten,
            } => {
                let time = meter::time(&job, Step::HistoryRead);
                let read = async { Ok(store.runs(&job, runs).await?) };
                let read = within(limit, "read the history", read).await;
                drop(time);
                Reading::History(Ok(match read {
                    Ok(written) => history(job, runs, HistorySource::Database, written, &unwritten),
                    Err(reason) => {
                        history(job, runs, HistorySource::Memory { reason }, memory, &[])
                    }
                }))
            }
            Self::History {
                job,
                limit: runs,
                store: None,
                memory,
                ..
            } => {
                let reason = "no history store was given".to_owned();
                Reading::History(Ok(history(
                    job,
                    runs,
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
    limit: Duration,
) -> Result<Preview, Refusal> {
    let time = meter::time(&job.name(), Step::Preview);
    let rows = within(limit, "read the preview", job.preview(&scope, &page)).await;
    drop(time);
    let rows = rows.map_err(|error| Refusal::Failed {
        what: format!("preview {}", job.name()),
        error,
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
    written: Vec<RunRecord>,
    unwritten: &[RunRecord],
) -> History {
    // What is owed may have been written all the same.
    let mut runs = written;
    RunRecord::fold_into(&mut runs, unwritten);
    runs.sort_by_key(|record| std::cmp::Reverse(record.report.started_at));
    runs.truncate(limit as usize);
    History { job, runs, source }
}
