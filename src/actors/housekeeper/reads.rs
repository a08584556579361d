//! Previews and histories: each is read by an actor of its own, so that neither a batch nor a slow
//! database holds up anything else.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ractor::{Actor, ActorId, RpcReplyPort};

use super::state::{State, answer};
use crate::actors::reader::{ReadRequest, ReadResult, Reader, ReaderState};
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{History, RequestError};

/// Those who wait for something to be read, by the actor that reads it.
#[derive(Default)]
pub(super) struct PendingReads {
    open: BTreeMap<ActorId, ReadReply>,
    /// In the order in which they came.
    waiting: VecDeque<(ReadRequest, Duration, ReadReply)>,
}

enum ReadReply {
    Preview(RpcReplyPort<Result<Preview, RequestError>>),
    History(RpcReplyPort<Result<History, RequestError>>),
}

impl State {
    pub(super) async fn preview(
        &mut self,
        job: &JobName,
        scope: Scope,
        page: Page,
        reply: RpcReplyPort<Result<Preview, RequestError>>,
    ) {
        match self.check_preview(job, scope, page) {
            Ok((question, limit)) => {
                self.inquire(question, limit, ReadReply::Preview(reply))
                    .await;
            }
            Err(refusal) => answer(reply, Err(refusal)),
        }
    }

    pub(super) async fn history(
        &mut self,
        job: &JobName,
        limit: u32,
        reply: RpcReplyPort<Result<History, RequestError>>,
    ) {
        let store = self.history.clone();
        let Some(desk) = self.desks.get(job) else {
            let known = self.desks.keys().cloned().collect();
            return answer(
                reply,
                Err(RequestError::UnknownJob {
                    job: job.clone(),
                    known,
                }),
            );
        };
        let question = ReadRequest::History {
            job: job.clone(),
            limit,
            store,
            memory: desk.recent.clone(),
            unsaved: desk.unsaved.clone(),
        };
        let limit = desk.config.step_timeout;
        self.inquire(question, limit, ReadReply::History(reply))
            .await;
    }

    fn check_preview(
        &mut self,
        job: &JobName,
        scope: Scope,
        page: Page,
    ) -> Result<(ReadRequest, Duration), RequestError> {
        if page.size.get() > Page::MAX_SIZE {
            return Err(RequestError::Page {
                size: page.size.get(),
                largest: Page::MAX_SIZE,
            });
        }
        let desk = self.desk(job)?;
        desk.check_scope(&scope)?;
        Ok((
            ReadRequest::Preview {
                job: desk.job.clone(),
                scope,
                page,
            },
            desk.config.step_timeout,
        ))
    }

    async fn inquire(&mut self, question: ReadRequest, limit: Duration, inquirer: ReadReply) {
        let waiting = self.inquiries.waiting.len();
        if waiting >= MAX_WAITING {
            return inquirer.refuse(RequestError::Busy { waiting });
        }
        self.inquiries
            .waiting
            .push_back((question, limit, inquirer));
        self.read_next().await;
    }

    /// Starts readers for those who have waited longest.
    pub(super) async fn read_next(&mut self) {
        while self.inquiries.open.len() < MAX_READERS {
            let Some((question, limit, inquirer)) = self.inquiries.waiting.pop_front() else {
                return;
            };
            let arguments = ReaderState {
                supervisor: self.myself.clone(),
                question: Some(question),
                limit,
            };
            match Actor::spawn_linked(None, Reader, arguments, self.myself.get_cell()).await {
                Ok((reader, _)) => drop(self.inquiries.open.insert(reader.get_id(), inquirer)),
                Err(error) => inquirer.refuse(RequestError::Failed {
                    what: "read".to_owned(),
                    error: error.to_string(),
                }),
            }
        }
    }
}

impl PendingReads {
    pub(super) fn answer(&mut self, reader: ActorId, reading: ReadResult) {
        match (self.open.remove(&reader), reading) {
            (Some(ReadReply::Preview(reply)), ReadResult::Preview(preview)) => {
                answer(reply, preview)
            }
            (Some(ReadReply::History(reply)), ReadResult::History(history)) => {
                answer(reply, history)
            }
            _ => {}
        }
    }

    /// Answers for a reader that died before it answered. Returns whether there was one.
    pub(super) fn departed(&mut self, child: ActorId, reason: &str) -> bool {
        let Some(inquirer) = self.open.remove(&child) else {
            return false;
        };
        inquirer.refuse(RequestError::Failed {
            what: "read".to_owned(),
            error: format!("the reader died: {reason}"),
        });
        true
    }

    pub(super) fn reject(&mut self) {
        let waiting = self.waiting.drain(..).map(|(_, _, inquirer)| inquirer);
        for inquirer in std::mem::take(&mut self.open).into_values().chain(waiting) {
            inquirer.refuse(RequestError::ShuttingDown);
        }
    }
}

impl ReadReply {
    fn refuse(self, refusal: RequestError) {
        match self {
            Self::Preview(reply) => answer(reply, Err(refusal)),
            Self::History(reply) => answer(reply, Err(refusal)),
        }
    }
}

/// Reads at the same time. Each holds a connection of the pool, of which the workers need theirs.
const MAX_READERS: usize = 2;

/// Reads that wait for their turn.
const MAX_WAITING: usize = 64;
