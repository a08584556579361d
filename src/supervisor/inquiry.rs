//! Previews and histories: each is read by an actor of its own, so that neither a batch nor a slow database holds up anything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::{HousekeeperMsg, Notice, State, answer};
use crate::batch::Scope;
use crate::history::{History, HistorySource, RunRecord};
use crate::job::{Job, JobName};
use crate::preview::{Page, Preview};
use crate::refusal::Refusal;
use crate::store::RunHistory;
use crate::worker::within;

/// Those who wait for something to be read, by the actor that reads it.
#[derive(Default)]
pub(super) struct Inquiries {
    open: BTreeMap<ActorId, Inquirer>,
}

enum Inquirer {
    Preview(RpcReplyPort<Result<Preview, Refusal>>),
    History(RpcReplyPort<Result<History, Refusal>>),
}

/// What was read.
#[derive(Debug)]
pub(crate) enum Reading {
    Preview(Result<Preview, Refusal>),
    History(Result<History, Refusal>),
}

/// Reads one thing, once.
struct Reader;

enum Question {
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

struct ReaderState {
    supervisor: ActorRef<HousekeeperMsg>,
    question: Option<Question>,
    limit: Duration,
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

impl State {
    pub(super) async fn preview(
        &mut self,
        job: &JobName,
        scope: Scope,
        page: Page,
        reply: RpcReplyPort<Result<Preview, Refusal>>,
    ) {
        match self.check_preview(job, scope, page) {
            Ok((question, limit)) => {
                self.inquire(question, limit, Inquirer::Preview(reply))
                    .await;
            }
            Err(refusal) => answer(reply, Err(refusal)),
        }
    }

    pub(super) async fn history(
        &mut self,
        job: &JobName,
        limit: u32,
        reply: RpcReplyPort<Result<History, Refusal>>,
    ) {
        let store = self.history.clone();
        let Some(desk) = self.desks.get(job) else {
            let known = self.desks.keys().cloned().collect();
            return answer(
                reply,
                Err(Refusal::UnknownJob {
                    job: job.clone(),
                    known,
                }),
            );
        };
        let question = Question::History {
            job: job.clone(),
            limit,
            store,
            memory: desk.recent.clone(),
            unwritten: desk.unwritten.clone(),
        };
        let limit = desk.config.step_limit;
        self.inquire(question, limit, Inquirer::History(reply))
            .await;
    }

    fn check_preview(
        &mut self,
        job: &JobName,
        scope: Scope,
        page: Page,
    ) -> Result<(Question, Duration), Refusal> {
        if page.size.get() > Page::MAX_SIZE {
            return Err(Refusal::Page {
                size: page.size.get(),
                largest: Page::MAX_SIZE,
            });
        }
        let desk = self.desk(job)?;
        desk.check_scope(&scope)?;
        Ok((
            Question::Preview {
                job: desk.job.clone(),
                scope,
                page,
            },
            desk.config.step_limit,
        ))
    }

    async fn inquire(&mut self, question: Question, limit: Duration, inquirer: Inquirer) {
        let reading = self.inquiries.open.len();
        if reading >= MAX_READERS {
            return inquirer.refuse(Refusal::Busy { reading });
        }
        let arguments = ReaderState {
            supervisor: self.myself.clone(),
            question: Some(question),
            limit,
        };
        match Actor::spawn_linked(None, Reader, arguments, self.myself.get_cell()).await {
            Ok((reader, _)) => drop(self.inquiries.open.insert(reader.get_id(), inquirer)),
            Err(error) => inquirer.refuse(Refusal::Failed {
                what: "read".to_owned(),
                error: error.to_string(),
            }),
        }
    }
}

impl Inquiries {
    pub(super) fn answer(&mut self, reader: ActorId, reading: Reading) {
        match (self.open.remove(&reader), reading) {
            (Some(Inquirer::Preview(reply)), Reading::Preview(preview)) => answer(reply, preview),
            (Some(Inquirer::History(reply)), Reading::History(history)) => answer(reply, history),
            _ => {}
        }
    }

    /// Answers for a reader that died before it answered. Returns whether there was one.
    pub(super) fn departed(&mut self, child: ActorId, reason: &str) -> bool {
        let Some(inquirer) = self.open.remove(&child) else {
            return false;
        };
        inquirer.refuse(Refusal::Failed {
            what: "read".to_owned(),
            error: format!("the reader died: {reason}"),
        });
        true
    }

    pub(super) fn turn_away(&mut self) {
        for inquirer in std::mem::take(&mut self.open).into_values() {
            inquirer.refuse(Refusal::ShuttingDown);
        }
    }
}

impl Inquirer {
    fn refuse(self, refusal: Refusal) {
        match self {
            Self::Preview(reply) => answer(reply, Err(refusal)),
            Self::History(reply) => answer(reply, Err(refusal)),
        }
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
                let read = async { Ok(store.runs(&job, runs).await?) };
                Reading::History(Ok(match within(limit, "read the history", read).await {
                    Ok(written) => history(job, runs, HistorySource::Database, written, unwritten),
                    Err(reason) => history(
                        job,
                        runs,
                        HistorySource::Memory { reason },
                        memory,
                        Vec::new(),
                    ),
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
                    Vec::new(),
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
    let rows = within(limit, "read the preview", job.preview(&scope, &page)).await;
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
    unwritten: Vec<RunRecord>,
) -> History {
    let mut runs = written;
    runs.extend(unwritten);
    runs.sort_by_key(|record| std::cmp::Reverse(record.report.started_at));
    runs.truncate(limit as usize);
    History { job, runs, source }
}

/// Reads at the same time. Each holds a connection of the pool or waits for one.
const MAX_READERS: usize = 64;
