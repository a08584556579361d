//! Previews and histories: each is read by an actor of its own, so that neither a batch nor a slow database holds up anything else.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ractor::{Actor, ActorId, RpcReplyPort};

use super::reader::{Question, Reader, ReaderState, Reading};
use super::{State, answer};
use crate::batch::Scope;
use crate::history::History;
use crate::job::JobName;
use crate::preview::{Page, Preview};
use crate::refusal::Refusal;

/// Those who wait for something to be read, by the actor that reads it.
#[derive(Default)]
pub(super) struct Inquiries {
    open: BTreeMap<ActorId, Inquirer>,
    /// In the order in which they came.
    waiting: VecDeque<(Question, Duration, Inquirer)>,
}

enum Inquirer {
    Preview(RpcReplyPort<Result<Preview, Refusal>>),
    History(RpcReplyPort<Result<History, Refusal>>),
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
        let waiting = self.inquiries.waiting.len();
        if waiting >= MAX_WAITING {
            return inquirer.refuse(Refusal::Busy { waiting });
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
                Err(error) => inquirer.refuse(Refusal::Failed {
                    what: "read".to_owned(),
                    error: error.to_string(),
                }),
            }
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
        let waiting = self.waiting.drain(..).map(|(_, _, inquirer)| inquirer);
        for inquirer in std::mem::take(&mut self.open).into_values().chain(waiting) {
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

/// Reads at the same time. Each holds a connection of the pool, of which the workers need theirs.
const MAX_READERS: usize = 2;

/// Reads that wait for their turn.
const MAX_WAITING: usize = 64;
