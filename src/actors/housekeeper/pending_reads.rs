//! Previews and histories in progress and waiting.
//!
//! An actor of its own reads each, so that neither a batch nor a slow database holds up anything
//! else. Reads of one job and one kind form a lane, which has one read in progress: a lane that
//! hangs delays no other. Every read is answered within its timeout, its wait included.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ractor::{Actor, ActorId, ActorStatus};

use super::pending_read::{Lane, MAX_SILENCE, PendingRead, ReadKind, ReadReply, failed, timed_out};
use super::shared::{Shared, answer};
use crate::actors::delayed::Delayed;
use crate::actors::message::{HousekeeperMsg, ReadResult};
use crate::actors::reader::{Reader, ReaderState};
use crate::fmt::span;
use crate::model::RequestError;
use crate::time::Moment;

/// Reads in progress and reads that wait.
#[derive(Default)]
pub(super) struct PendingReads {
    /// By the actor that reads.
    open: BTreeMap<ActorId, OpenRead>,
    /// First come, first served within a lane.
    waiting: VecDeque<PendingRead>,
}

/// A read that a reader has.
struct OpenRead {
    lane: Lane,
    /// `None` once the caller is answered. A reader whose code blocks lives longer than that.
    reply: Option<ReadReply>,
    started: Duration,
    timeout: Duration,
    deadline: Duration,
    _expiry: Delayed<HousekeeperMsg>,
}

impl PendingReads {
    /// Starts a read, or queues it behind the reads of its lane. Rejects a preview whose lane is
    /// full. A history that the database holds up comes from memory instead.
    pub(super) async fn push(&mut self, read: PendingRead, shared: &Shared) {
        self.waiting.retain(|read| !read.reply.is_closed());
        let lane = read.lane.clone();
        let waiting = self.waiting.iter().filter(|read| read.lane == lane).count();
        let silence = self.silence(&lane, shared.now());
        if let Some(reason) = silence.filter(|_| lane.kind == ReadKind::History) {
            return read.answer_from_memory(reason);
        }
        if waiting >= MAX_WAITING {
            return read.turn_down(waiting);
        }
        self.waiting.push_back(read);
        self.start_next(shared).await;
    }

    /// Starts readers for the reads that have waited longest, one for each lane.
    pub(super) async fn start_next(&mut self, shared: &Shared) {
        self.waiting.retain(|read| !read.reply.is_closed());
        while let Some(place) = self.waiting.iter().position(|read| self.can_start(read)) {
            let Some(read) = self.waiting.remove(place) else {
                return;
            };
            let now = shared.now().mono;
            let left = read.deadline.saturating_sub(now);
            if left.is_zero() {
                read.time_out();
                continue;
            }
            let arguments = ReaderState {
                supervisor: shared.myself.clone(),
                request: Some(read.request),
                timeout: read.timeout,
                left,
            };
            let supervisor = shared.myself.get_cell();
            match Actor::spawn_linked(None, Reader, arguments, supervisor).await {
                Ok((reader, _)) => {
                    let open = OpenRead {
                        lane: read.lane,
                        reply: Some(read.reply),
                        started: now,
                        timeout: read.timeout,
                        deadline: read.deadline,
                        _expiry: read.expiry,
                    };
                    self.open.insert(reader.get_id(), open);
                }
                // A housekeeper that stops meanwhile links no child any more.
                Err(_) if shared.myself.get_status() != ActorStatus::Running => {
                    read.reply.reject(RequestError::ShuttingDown);
                }
                Err(error) => read.reply.reject(failed(error.to_string())),
            }
        }
    }

    /// Answers the reads whose timeout is over, and histories that wait for a silent database.
    pub(super) async fn expire(&mut self, shared: &Shared) {
        let now = shared.now().mono;
        for read in self.open.values_mut().filter(|read| read.deadline <= now) {
            if let Some(reply) = read.reply.take() {
                reply.reject(timed_out(&read.lane, read.timeout));
            }
        }
        for read in std::mem::take(&mut self.waiting) {
            let is_history = read.lane.kind == ReadKind::History;
            let silence = self
                .silence(&read.lane, shared.now())
                .filter(|_| is_history);
            match silence {
                _ if read.deadline <= now => read.time_out(),
                Some(reason) => read.answer_from_memory(reason),
                None => self.waiting.push_back(read),
            }
        }
        self.start_next(shared).await;
    }

    /// Answers the caller of this reader.
    pub(super) fn answer(&mut self, reader: ActorId, result: ReadResult) {
        let reply = self.open.remove(&reader).and_then(|read| read.reply);
        match (reply, result) {
            (Some(ReadReply::Preview(reply)), ReadResult::Preview(preview)) => {
                answer(reply, preview);
            }
            (Some(ReadReply::History(reply)), ReadResult::History(history)) => {
                answer(reply, history);
            }
            (Some(ReadReply::Run(reply)), ReadResult::Run(run)) => answer(reply, run),
            (Some(ReadReply::Instances(reply)), ReadResult::Instances(instances)) => {
                answer(reply, instances);
            }
            (Some(ReadReply::Pause(reply)), ReadResult::PauseWritten(_, changed)) => {
                answer(reply, changed);
            }
            (Some(ReadReply::Parked(reply)), ReadResult::Parked(parked)) => answer(reply, parked),
            (Some(ReadReply::Changed(reply)), ReadResult::Changed(_, changed)) => {
                answer(reply, changed);
            }
            _ => {}
        }
    }

    /// Answers for a reader that crashed. Returns whether the child was one.
    pub(super) fn reader_exited(&mut self, child: ActorId, reason: &str) -> bool {
        let Some(read) = self.open.remove(&child) else {
            return false;
        };
        if let Some(reply) = read.reply {
            reply.reject(failed(format!("the reader crashed: {reason}")));
        }
        true
    }

    /// Rejects all reads at the end of a shutdown.
    pub(super) fn reject_all(&mut self) {
        let waiting = self.waiting.drain(..).map(|read| read.reply);
        let open = std::mem::take(&mut self.open).into_values();
        for reply in open.filter_map(|read| read.reply).chain(waiting) {
            reply.reject(RequestError::ShuttingDown);
        }
    }

    /// Returns whether the lane of the read is free and a reader is left for its kind. A reader
    /// that outlived its timeout holds its lane, but no place of its kind.
    fn can_start(&self, read: &PendingRead) -> bool {
        let lane = &read.lane;
        let of_kind = |open: &&OpenRead| open.reply.is_some() && open.lane.kind == lane.kind;
        let readers = self.open.values().filter(of_kind).count();
        readers < max_readers(lane.kind) && self.open.values().all(|open| open.lane != *lane)
    }

    /// Returns why a new read of this lane would wait for a database that does not answer.
    fn silence(&self, lane: &Lane, now: Moment) -> Option<String> {
        let of_kind = self
            .open
            .values()
            .filter(|open| open.lane.kind == lane.kind);
        let holds_up = |open: &&OpenRead| {
            open.lane == *lane || of_kind.clone().count() >= max_readers(lane.kind)
        };
        let started = of_kind
            .clone()
            .filter(holds_up)
            .map(|open| open.started)
            .min()?;
        let silent_for = now.mono.saturating_sub(started);
        (silent_for >= MAX_SILENCE)
            .then(|| format!("the database has not answered for {}", seconds(silent_for)))
    }
}

fn seconds(duration: Duration) -> String {
    span(Duration::from_secs(duration.as_secs()))
}

/// Returns how many readers of one kind work at the same time. Each holds a connection of the pool,
/// and the workers need theirs. All histories are in one database; previews may be in several.
fn max_readers(kind: ReadKind) -> usize {
    match kind {
        ReadKind::Preview => 2,
        _ => 1,
    }
}

/// Reads of one lane that may wait.
const MAX_WAITING: usize = 16;
