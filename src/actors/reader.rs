//! Reads one preview or one history for the supervisor, or works on parked entries.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ractor::{ActorProcessingErr, ActorRef};

use crate::actors::message::{HousekeeperMsg, InternalMsg, PauseChange, ReadResult};
use crate::actors::opening::open_run;
use crate::actors::timeout::{StepError, with_timeout};
use crate::fmt::quantity;
use crate::job::{Job, JobName, Page, Preview, Scope};
use crate::metrics::recorder::{self, Step};
use crate::model::{
    FailureKind, History, HistoryCursor, HistoryPage, HistoryQuery, HistorySource, Instances,
    Outbox, ParkedEntries, ParkedPage, RequestError, Requester, RunHistory, RunId, RunRecord,
    RunStatus, WhichEntries,
};

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
    Change {
        rule: JobName,
        which: WhichEntries,
        change: Change,
        by: Option<Requester>,
        outbox: Arc<dyn Outbox>,
    },
}

/// Logs a change of parked entries, with who asked for it.
fn log(rule: &JobName, entries: u64, change: Change, by: Option<&Requester>) {
    let done = match change {
        Change::Redeliver => "made due again",
        Change::Discard => "discarded",
    };
    let count = quantity(entries, "parked entry", "parked entries");
    if let Some(by) = by {
        tracing::info!(job.name = %rule, requested_by = %by, entries, "{count} of {rule} {done} by {by}");
    } else {
        tracing::info!(job.name = %rule, entries, "{count} of {rule} {done}");
    }
}

/// A change of parked entries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Redeliver,
    Discard,
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
        if let Some(request) = state.request.take() {
            let result = Box::new(request.read(state.left, state.timeout).await);
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
    /// Returns the history that this housekeeper saw itself; `None` for other reads, which need the
    /// database.
    pub(super) fn into_memory(self, reason: String) -> Option<History> {
        match self {
            Self::History {
                job, query, memory, ..
            } => Some(from_memory(job, &query, memory, reason)),
            _ => None,
        }
    }

    async fn read(self, left: Duration, timeout: Duration) -> ReadResult {
        match self {
            Self::Preview { job, scope, page } => {
                ReadResult::Preview(preview(&*job, scope, page, left, timeout).await)
            }
            Self::Run { run, store } => ReadResult::Run(look_up(run, &*store, left, timeout).await),
            Self::Instances { this, since, store } => {
                let what = "list the instances";
                let reading = async { Ok(store.instances(since).await?) };
                let read = with_timeout(left, what, reading).await;
                let read = read.map(|instances| Instances::new(this, since, instances));
                ReadResult::Instances(
                    read.map_err(|error| failure(error, what.to_owned(), timeout)),
                )
            }
            Self::Pause { job, history } => {
                let what = "read the pause";
                let read = with_timeout(left, what, open_run(&*job, history.as_deref())).await;
                let pause = read.map(|bounds| bounds.pause.found());
                let pause = pause.map_err(|error| failure(error, what.to_owned(), timeout));
                ReadResult::Pause(job.name(), pause)
            }
            Self::WritePause { change, store } => {
                let what = "pause or resume a job for all replicas";
                let pause = change.pause.as_ref();
                let writing = async { Ok(store.set_pause(&change.job, pause).await?) };
                let written = with_timeout(left, what, writing).await;
                let written = written.map_err(|error| failure(error, what.to_owned(), timeout));
                ReadResult::PauseWritten(change, written)
            }
            Self::Parked { rule, page, outbox } => {
                let reading = async { Ok(outbox.parked(&rule, &page).await?) };
                let read = with_timeout(left, "list parked entries", reading).await;
                let parked = read.map(|entries| {
                    let full = entries.len() == page.size.get() as usize;
                    let next = entries.last().filter(|_| full).map(|last| last.entry.id);
                    ParkedEntries::new(rule, entries, next)
                });
                let what = "list parked entries".to_owned();
                ReadResult::Parked(parked.map_err(|error| failure(error, what, timeout)))
            }
            Self::Change {
                rule,
                which,
                change,
                by,
                outbox,
            } => {
                let what = match change {
                    Change::Redeliver => "redeliver parked entries",
                    Change::Discard => "discard parked entries",
                };
                let changing = async {
                    Ok(match change {
                        Change::Redeliver => outbox.redeliver(&rule, &which).await?,
                        Change::Discard => outbox.discard(&rule, &which).await?,
                    })
                };
                let changed = with_timeout(left, what, changing).await;
                if let Ok(entries) = &changed {
                    log(&rule, *entries, change, by.as_ref());
                }
                let changed = changed.map_err(|error| failure(error, what.to_owned(), timeout));
                ReadResult::Changed(rule, changed)
            }
            Self::History {
                job,
                query,
                store,
                memory,
                unsaved,
            } => {
                let time = recorder::time(&job, Step::HistoryRead);
                let more = one_more(&query);
                let read = async { Ok(store.page(&job, &more).await?) };
                let read = with_timeout(left, "read the history", read).await;
                drop(time);
                ReadResult::History(Ok(match read {
                    Ok(saved) => history(job, &query, HistorySource::Database, saved, &unsaved),
                    Err(error) => {
                        let what = "read the history";
                        from_memory(job, &query, memory, reason(&error, what, timeout))
                    }
                }))
            }
        }
    }
}

fn failure(error: StepError, what: String, timeout: Duration) -> RequestError {
    match error.kind {
        FailureKind::StepTimeout => RequestError::ReadTimeout { what, timeout },
        _ => RequestError::Failed {
            what,
            error: error.text,
        },
    }
}

async fn preview(
    job: &dyn Job,
    scope: Scope,
    page: Page,
    left: Duration,
    timeout: Duration,
) -> Result<Preview, RequestError> {
    let time = recorder::time(&job.name(), Step::Preview);
    let rows = with_timeout(left, "read the preview", job.preview(&scope, &page)).await;
    drop(time);
    let what = format!("preview {}", job.name());
    let rows = rows.map_err(|error| failure(error, what, timeout))?;
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
    left: Duration,
    timeout: Duration,
) -> Result<RunStatus, RequestError> {
    let read = async { Ok(store.run(run).await?) };
    match with_timeout(left, "look up the run", read).await {
        Ok(Some(record)) => Ok(record.report.into()),
        Ok(None) => Err(RequestError::UnknownRun { run }),
        Err(error) => {
            let what = format!("look up run {run}");
            Err(match error.kind {
                FailureKind::StepTimeout => RequestError::ReadTimeout { what, timeout },
                _ => RequestError::Failed {
                    what,
                    error: error.text,
                },
            })
        }
    }
}

/// Returns the history that this housekeeper saw itself.
pub(super) fn from_memory(
    job: JobName,
    query: &HistoryQuery,
    memory: Vec<RunRecord>,
    reason: String,
) -> History {
    let memory = one_more(query).pick(memory);
    let memory = HistoryPage::from(memory);
    history(job, query, HistorySource::Memory { reason }, memory, &[])
}

/// Returns the text of an error, with the timeout of the request and not what was left of it.
fn reason(error: &StepError, what: &str, timeout: Duration) -> String {
    match error.kind {
        FailureKind::StepTimeout => {
            let what = what.to_owned();
            RequestError::ReadTimeout { what, timeout }.to_string()
        }
        _ => error.text.clone(),
    }
}

/// Asks for one more record, which shows whether another page follows.
fn one_more(query: &HistoryQuery) -> HistoryQuery {
    HistoryQuery {
        limit: query.limit.saturating_add(1),
        ..query.clone()
    }
}

fn history(
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
