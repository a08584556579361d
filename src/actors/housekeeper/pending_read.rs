//! One preview or history: its lane, its deadline, and its answers without a read.

use std::time::Duration;

use ractor::RpcReplyPort;

use super::shared::{Shared, answer};
use crate::actors::delayed::Delayed;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::actors::reader::ReadRequest;
use crate::job::{JobName, Preview};
use crate::model::{History, Instances, ParkedEntries, RequestError, RunStatus};

/// The reads of one job and one kind.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) job: JobName,
    pub(super) kind: ReadKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadKind {
    Preview,
    History,
    /// Of a run of any job.
    Run,
    /// Of the instances that share the history.
    Instances,
    /// A pause for all replicas, read or written.
    Pause,
    /// Parked entries of the outbox, listed or changed.
    Outbox,
}

/// A read that waits for its lane, or for a reader.
pub(super) struct PendingRead {
    pub(super) lane: Lane,
    pub(super) request: ReadRequest,
    pub(super) reply: ReadReply,
    pub(super) timeout: Duration,
    pub(super) deadline: Duration,
    /// Wakes the supervisor just after the deadline.
    pub(super) expiry: Delayed<HousekeeperMsg>,
    /// Wakes the supervisor when a history may have waited for a silent database.
    _patience: Option<Delayed<HousekeeperMsg>>,
}

pub(super) enum ReadReply {
    Preview(RpcReplyPort<Result<Preview, RequestError>>),
    History(RpcReplyPort<Result<History, RequestError>>),
    Run(RpcReplyPort<Result<RunStatus, RequestError>>),
    Instances(RpcReplyPort<Result<Instances, RequestError>>),
    /// A pause that is written.
    Pause(RpcReplyPort<Result<bool, RequestError>>),
    /// The supervisor itself waits.
    Recheck,
    Parked(RpcReplyPort<Result<ParkedEntries, RequestError>>),
    Changed(RpcReplyPort<Result<u64, RequestError>>),
}

impl PendingRead {
    /// `timeout` bounds the wait and the read together.
    pub(super) fn new(
        job: JobName,
        request: ReadRequest,
        reply: ReadReply,
        timeout: Duration,
        shared: &Shared,
    ) -> Self {
        let kind = reply.kind();
        let wake = || {
            shared.send_after(MAX_SILENCE.saturating_add(GRACE), || {
                InternalMsg::ReadExpired
            })
        };
        Self {
            _patience: (kind == ReadKind::History).then(wake),
            lane: Lane { job, kind },
            request,
            reply,
            timeout,
            deadline: shared.now().mono.saturating_add(timeout),
            // A reader in progress reports its own timeout first.
            expiry: shared.send_after(timeout.saturating_add(GRACE), || InternalMsg::ReadExpired),
        }
    }

    /// Answers a read whose lane is full.
    pub(super) fn turn_down(self, waiting: usize) {
        let job = self.lane.job.clone();
        match self.lane.kind {
            ReadKind::Preview | ReadKind::Outbox | ReadKind::Pause => {
                self.reply.reject(RequestError::Busy { job, waiting });
            }
            ReadKind::Run | ReadKind::Instances => {
                self.reply
                    .reject(failed(format!("{waiting} reads of it wait already")));
            }
            ReadKind::History => {
                self.answer_from_memory(format!("{waiting} reads of it wait already"));
            }
        }
    }

    /// Answers a read that waited for its whole timeout.
    pub(super) fn time_out(self) {
        let error = timed_out(&self.lane, self.timeout);
        match self.lane.kind {
            ReadKind::History => self.answer_from_memory(error.to_string()),
            _ => self.reply.reject(error),
        }
    }

    pub(super) fn answer_from_memory(self, reason: String) {
        if let (ReadReply::History(reply), Some(history)) =
            (self.reply, self.request.into_memory(reason))
        {
            answer(reply, Ok(history));
        }
    }
}

impl ReadReply {
    fn kind(&self) -> ReadKind {
        match self {
            Self::Preview(_) => ReadKind::Preview,
            Self::History(_) => ReadKind::History,
            Self::Run(_) => ReadKind::Run,
            Self::Instances(_) => ReadKind::Instances,
            Self::Pause(_) | Self::Recheck => ReadKind::Pause,
            Self::Parked(_) | Self::Changed(_) => ReadKind::Outbox,
        }
    }

    /// Returns whether its caller has hung up. A write goes on without one.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Preview(reply) => reply.is_closed(),
            Self::History(reply) => reply.is_closed(),
            Self::Run(reply) => reply.is_closed(),
            Self::Instances(reply) => reply.is_closed(),
            Self::Parked(reply) => reply.is_closed(),
            Self::Pause(_) | Self::Changed(_) | Self::Recheck => false,
        }
    }

    pub(super) fn reject(self, error: RequestError) {
        match self {
            Self::Preview(reply) => answer(reply, Err(error)),
            Self::History(reply) => answer(reply, Err(error)),
            Self::Run(reply) => answer(reply, Err(error)),
            Self::Instances(reply) => answer(reply, Err(error)),
            Self::Pause(reply) => answer(reply, Err(error)),
            // The next look is planned.
            Self::Recheck => {}
            Self::Parked(reply) => answer(reply, Err(error)),
            Self::Changed(reply) => answer(reply, Err(error)),
        }
    }
}

pub(super) fn timed_out(lane: &Lane, timeout: Duration) -> RequestError {
    let read = match lane.kind {
        ReadKind::Preview => "preview",
        ReadKind::History => "read the history of",
        ReadKind::Run | ReadKind::Instances => "look up",
        ReadKind::Pause => "read or write the pause of",
        ReadKind::Outbox => "list or change parked entries of",
    };
    RequestError::ReadTimeout {
        what: format!("{read} {}", lane.job),
        timeout,
    }
}

pub(super) fn failed(error: String) -> RequestError {
    let what = "read".to_owned();
    RequestError::Failed { what, error }
}

/// A read that takes longer than this sends other reads of its lane to the memory.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(1);

/// Time that a reader has to report its own timeout.
const GRACE: Duration = Duration::from_millis(100);
