//! Entries between their claim and the end of their delivery.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use ractor::ActorRef;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::CourierMsg;
use crate::actors::destination::{Delivered, Destination, answer_of};
use crate::config::CourierConfig;
use crate::model::{EntryId, OutboxEntry};

/// Entries between their claim and the end of their delivery.
pub(super) struct Sending {
    /// Claimed and not sent yet.
    queue: VecDeque<OutboxEntry>,
    claimed_at: Instant,
    under_way: BTreeMap<EntryId, UnderWay>,
    /// Entries whose receiver stopped, in the order of sending.
    lost: BTreeMap<u64, OutboxEntry>,
    sent: u64,
}

/// One delivery. Dropping it ends its task.
pub(super) struct UnderWay {
    number: u64,
    pub(super) entry: OutboxEntry,
    pub(super) sent_at: Instant,
    task: Option<AbortHandle>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Sending {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            claimed_at: Instant::now(),
            under_way: BTreeMap::new(),
            lost: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Takes an entry that was claimed at this instant.
    pub(super) fn push(&mut self, entry: OutboxEntry, claimed_at: Instant) {
        self.queue.push_back(entry);
        self.claimed_at = claimed_at;
    }

    /// Returns the entry to send next while fewer than `in_flight` are under way.
    pub(super) fn next(&mut self, config: &CourierConfig) -> Option<OutboxEntry> {
        let is_free = self.under_way.len() < config.in_flight.get() as usize;
        let may_send = is_free && self.claimed_at.elapsed() < config.answer_timeout;
        may_send.then(|| self.queue.pop_front()).flatten()
    }

    /// Returns whether claimed entries have to be put back: their leases could end before their
    /// answers.
    pub(super) fn is_too_late(&self, config: &CourierConfig) -> bool {
        !self.queue.is_empty() && self.claimed_at.elapsed() >= config.answer_timeout
    }

    /// Takes out the entries that are not sent.
    pub(super) fn take_unsent(&mut self) -> VecDeque<OutboxEntry> {
        std::mem::take(&mut self.queue)
    }

    /// Returns the number of entries that are claimed and whose delivery has not ended.
    pub(super) fn entries(&self) -> usize {
        self.queue.len() + self.under_way.len()
    }

    /// Returns whether deliveries are out, and others can be sent beside them.
    pub(super) fn may_take_more(&self, in_flight: usize) -> bool {
        let can_send = self.is_under_way() && self.under_way.len() < in_flight;
        can_send && self.queue.is_empty() && self.lost.is_empty()
    }

    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Sends an entry. Returns the end of its delivery if it has ended at once; otherwise a message
    /// brings it.
    pub(super) async fn send(
        &mut self,
        entry: OutboxEntry,
        (destination, config): (&Destination, &CourierConfig),
        myself: &ActorRef<CourierMsg>,
    ) -> Option<Delivered> {
        let id = entry.id;
        // An actor answers one entry after the other. Others must not be sent again while they wait
        // in its mailbox, where a repeat would wait behind them.
        let before = if destination.has_mailbox {
            u32::try_from(self.under_way.len()).unwrap_or(u32::MAX)
        } else {
            0
        };
        let timeout = config
            .answer_timeout
            .saturating_mul(before.saturating_add(1));
        let last = config
            .last_answer()
            .saturating_sub(self.claimed_at.elapsed());
        let timeout = timeout.min(last);
        self.sent += 1;
        let mut answer = Box::pin(answer_of(destination, entry.clone()));
        let mut under_way = UnderWay {
            number: self.sent,
            entry,
            sent_at: Instant::now(),
            task: None,
        };
        // The first step of each call is taken here, so that calls begin in the order of writing.
        let ended = match once(answer.as_mut()).await {
            Poll::Ready(delivered) => Some(delivered),
            Poll::Pending => {
                let myself = myself.clone();
                let task = tokio::spawn(async move {
                    let delivered = tokio::time::timeout(timeout, answer).await;
                    let delivered = delivered.unwrap_or_else(|_| {
                        let limit = crate::fmt::span(timeout);
                        Delivered::Refused(format!("no answer within {limit}"))
                    });
                    let _ = myself.cast(CourierMsg::Delivered(id, delivered));
                });
                under_way.task = Some(task.abort_handle());
                None
            }
        };
        self.under_way.insert(id, under_way);
        ended
    }

    /// Takes out a delivery that has ended.
    pub(super) fn end(&mut self, id: EntryId) -> Option<UnderWay> {
        self.under_way.remove(&id)
    }

    /// Notes an entry whose receiver stopped.
    pub(super) fn lose(&mut self, delivery: &UnderWay) {
        self.lost.insert(delivery.number, delivery.entry.clone());
    }

    /// Takes out the entries whose receiver stopped, in the order of sending.
    pub(super) fn take_lost(&mut self) -> impl Iterator<Item = OutboxEntry> + use<> {
        std::mem::take(&mut self.lost).into_values()
    }
}

/// Polls a future once.
async fn once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
