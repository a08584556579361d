//! Previews and histories on their way.
//!
//! Each is read by an actor of its own, so that neither a batch nor a slow database holds up
//! anything else.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ractor::{Actor, ActorId, RpcReplyPort};

use super::shared::{Shared, answer};
use crate::actors::message::ReadResult;
use crate::actors::reader::{ReadRequest, Reader, ReaderState};
use crate::job::Preview;
use crate::model::{History, RequestError};

/// Reads in progress and reads that wait.
#[derive(Default)]
pub(super) struct PendingReads {
    /// By the actor that reads.
    open: BTreeMap<ActorId, ReadReply>,
    /// First come, first served.
    waiting: VecDeque<PendingRead>,
}

pub(super) struct PendingRead {
    pub(super) request: ReadRequest,
    pub(super) timeout: Duration,
    pub(super) reply: ReadReply,
}

pub(super) enum ReadReply {
    Preview(RpcReplyPort<Result<Preview, RequestError>>),
    History(RpcReplyPort<Result<History, RequestError>>),
}

impl PendingReads {
    /// Queues a read, and starts it if a reader is free. Rejects it if too many wait.
    pub(super) async fn push(&mut self, read: PendingRead, shared: &Shared) {
        let waiting = self.waiting.len();
        if waiting >= MAX_WAITING {
            return read.reply.reject(RequestError::Busy { waiting });
        }
        self.waiting.push_back(read);
        self.start_next(shared).await;
    }

    /// Starts readers for those that have waited longest.
    pub(super) async fn start_next(&mut self, shared: &Shared) {
        while self.open.len() < MAX_READERS {
            let Some(PendingRead {
                request,
                timeout,
                reply,
            }) = self.waiting.pop_front()
            else {
                return;
            };
            let arguments = ReaderState {
                supervisor: shared.myself.clone(),
                request: Some(request),
                timeout,
            };
            let supervisor = shared.myself.get_cell();
            match Actor::spawn_linked(None, Reader, arguments, supervisor).await {
                Ok((reader, _)) => drop(self.open.insert(reader.get_id(), reply)),
                Err(error) => reply.reject(failed(error.to_string())),
            }
        }
    }

    /// Answers the caller of this reader.
    pub(super) fn answer(&mut self, reader: ActorId, result: ReadResult) {
        match (self.open.remove(&reader), result) {
            (Some(ReadReply::Preview(reply)), ReadResult::Preview(preview)) => {
                answer(reply, preview);
            }
            (Some(ReadReply::History(reply)), ReadResult::History(history)) => {
                answer(reply, history);
            }
            _ => {}
        }
    }

    /// Answers for a reader that died. Returns whether the child was one.
    pub(super) fn reader_exited(&mut self, child: ActorId, reason: &str) -> bool {
        let Some(reply) = self.open.remove(&child) else {
            return false;
        };
        reply.reject(failed(format!("the reader died: {reason}")));
        true
    }

    /// Rejects all reads at the end of a shutdown.
    pub(super) fn reject_all(&mut self) {
        let waiting = self.waiting.drain(..).map(|read| read.reply);
        let open = std::mem::take(&mut self.open).into_values();
        for reply in open.chain(waiting) {
            reply.reject(RequestError::ShuttingDown);
        }
    }
}

impl ReadReply {
    fn reject(self, error: RequestError) {
        match self {
            Self::Preview(reply) => answer(reply, Err(error)),
            Self::History(reply) => answer(reply, Err(error)),
        }
    }
}

fn failed(error: String) -> RequestError {
    let what = "read".to_owned();
    RequestError::Failed { what, error }
}

/// Reads at the same time. Each holds a connection of the pool, and the workers need theirs.
const MAX_READERS: usize = 2;

/// Reads that may wait.
const MAX_WAITING: usize = 64;
