//! Reads one preview, history or other answer for the supervisor, or changes parked entries.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ractor::{ActorProcessingErr, ActorRef};

use crate::actors::message::{
    HousekeeperMsg, InternalMsg, ParkedAct, ParkedChange, PauseChange, ReadResult,
};
use crate::actors::opening::open_run;
use crate::actors::timeout::with_timeout;
use crate::job::{Job, JobError, JobName, Page, Preview, Scope};
use crate::metrics::recorder::{self, Step};
use crate::model::{
    FailureKind, HistoryQuery, Instances, Outbox, ParkedEntries, ParkedPage, RequestError,
    RunHistory, RunId, RunRecord, RunStatus, WhichEntries,
};

mod history;

pub(super) use history::from_memory;

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
        query: HistoryQuery,
        store: Arc<dyn RunHistory>,
        memory: Vec<RunRecord>,
        unsaved: Vec<RunRecord>,
    },
    Run {
        run: RunId,
        store: Arc<dyn RunHistory>,
    },
    Instances {
        this: String,
        since: DateTime<Utc>,
        store: Arc<dyn RunHistory>,
    },
    /// Whether a job is paused for all replicas.
    Pause {
        job: Arc<dyn Job>,
        history: Option<Arc<dyn RunHistory>>,
    },
    /// No read, but a short write that must not hold up the supervisor either.
    WritePause {
        change: PauseChange,
        store: Arc<dyn RunHistory>,
    },
    Parked {
        rule: JobName,
        page: ParkedPage,
        outbox: Arc<dyn Outbox>,
    },
    /// A write as well.
    Change {
        change: ParkedChange,
        which: WhichEntries,
        outbox: Arc<dyn Outbox>,
    },
}

pub(super) struct ReaderState {
    pub(super) supervisor: ActorRef<HousekeeperMsg>,
    pub(super) request: Option<ReadRequest>,
    /// The timeout of the request, for its error.
    pub(super) timeout: Duration,
    /// The part of the timeout that is left to the read.
    pub(super) left: Duration,
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
        // A read may block its thread, on which `pre_start` woke the supervisor: no other thread of
        // the runtime takes the task that was woken last.
        tokio::task::yield_now().await;
        if let Some(request) = state.request.take() {
            let result = Box::new(
                request
                    .read(Limit {
                        left: state.left,
                        timeout: state.timeout,
                    })
                    .await,
            );
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

/// The time that a read may take.
struct Limit {
    left: Duration,
    /// The timeout of the request, for its error.
    timeout: Duration,
}

impl Limit {
    async fn read<T>(
        &self,
        what: impl Into<String>,
        read: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, RequestError> {
        let what = what.into();
        let done = with_timeout(self.left, &what, read).await;
        done.map_err(|error| match error.kind {
            FailureKind::StepTimeout => RequestError::ReadTimeout {
                what,
                timeout: self.timeout,
            },
            _ => RequestError::Failed {
                what,
                error: error.text,
            },
        })
    }
}

impl ReadRequest {
    async fn read(self, limit: Limit) -> ReadResult {
        match self {
            Self::Preview { job, scope, page } => {
                ReadResult::Preview(preview(&*job, scope, &page, &limit).await)
            }
            Self::History {
                job,
                query,
                store,
                memory,
                unsaved,
            } => {
                let read = history::saved(&job, &query, &*store, &limit).await;
                ReadResult::History(Ok(history::of(job, &query, read, memory, &unsaved)))
            }
            Self::Run { run, store } => ReadResult::Run(look_up(run, &*store, &limit).await),
            Self::Instances { this, since, store } => {
                let reading = async { Ok(store.instances(since).await?) };
                let read = limit.read("list the instances", reading).await;
                ReadResult::Instances(read.map(|read| Instances::new(this, since, read)))
            }
            Self::Pause { job, history } => {
                let reading = open_run(&*job, history.as_deref());
                let read = limit.read("read the pause", reading).await;
                ReadResult::Pause(job.name(), read.map(|bounds| bounds.pause.found()))
            }
            Self::WritePause { change, store } => {
                let pause = change.pause.as_ref();
                let writing = async { Ok(store.set_pause(&change.job, pause).await?) };
                let what = "pause or resume a job for all replicas";
                let written = limit.read(what, writing).await;
                ReadResult::PauseWritten(change, written)
            }
            Self::Parked { rule, page, outbox } => {
                let reading = async { Ok(outbox.parked(&rule, &page).await?) };
                let read = limit.read("list parked entries", reading).await;
                ReadResult::Parked(read.map(|entries| {
                    let full = entries.len() == page.size.get() as usize;
                    let next = entries.last().filter(|_| full).map(|last| last.entry.id);
                    ParkedEntries::new(rule, entries, next)
                }))
            }
            Self::Change {
                change,
                which,
                outbox,
            } => {
                let rule = &change.rule;
                let changing = async {
                    Ok(match change.act {
                        ParkedAct::Redeliver => outbox.redeliver(rule, &which).await?,
                        ParkedAct::Discard => outbox.discard(rule, &which).await?,
                    })
                };
                let changed = limit.read(change.act.what(), changing).await;
                ReadResult::Changed(change, changed)
            }
        }
    }
}

async fn preview(
    job: &dyn Job,
    scope: Scope,
    page: &Page,
    limit: &Limit,
) -> Result<Preview, RequestError> {
    let time = recorder::time(&job.name(), Step::Preview);
    let what = format!("preview {}", job.name());
    let rows = limit.read(what, job.preview(&scope, page)).await;
    drop(time);
    let rows = rows?;
    Ok(Preview {
        job: job.name(),
        scope,
        cutoff: rows.cutoff,
        rows: rows.rows,
        due: rows.due,
        next: rows.next,
    })
}

async fn look_up(
    run: RunId,
    store: &dyn RunHistory,
    limit: &Limit,
) -> Result<RunStatus, RequestError> {
    let reading = async { Ok(store.run(run).await?) };
    match limit.read(format!("look up run {run}"), reading).await? {
        Some(record) => Ok(record.report.into()),
        None => Err(RequestError::UnknownRun { run }),
    }
}
