//! The part of the state that behaviours read and never change.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort};
use tokio::time::Instant;
use uuid::Uuid;

use crate::actors::delayed::Delayed;
use crate::actors::history_writer::HistoryWriter;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::config::HousekeeperConfig;
use crate::model::RunHistory;
use crate::time::{Clocks, Moment};

/// The part of the state that behaviours read and never change.
pub(super) struct Shared {
    pub(super) myself: ActorRef<HousekeeperMsg>,
    pub(super) config: HousekeeperConfig,
    pub(super) clocks: Clocks,
    /// Keeps apart the history lines of replicas.
    pub(super) instance: Uuid,
    /// The name in the status and in reports.
    pub(super) instance_name: String,
    /// When a worker last wrote the name of this instance, or a line of the history.
    pub(super) listed_at: Arc<Mutex<Option<Instant>>>,
    pub(super) history: Option<Arc<dyn RunHistory>>,
    pub(super) started: Moment,
}

impl Shared {
    pub(super) fn now(&self) -> Moment {
        self.clocks.now()
    }

    pub(super) fn history_writer(&self) -> Option<HistoryWriter> {
        Some(HistoryWriter {
            store: self.history.clone()?,
            keep: self.config.history.runs.get(),
            instance: self.instance,
            instance_name: self.instance_name.clone(),
            listed_at: self.listed_at.clone(),
        })
    }

    /// Sends a message to the housekeeper itself after `wait`, unless the value is dropped before.
    pub(super) fn send_after(
        &self,
        wait: Duration,
        message: impl FnOnce() -> InternalMsg + Send + 'static,
    ) -> Delayed<HousekeeperMsg> {
        Delayed(self.myself.send_after(wait, move || message().into()))
    }
}

/// Answers a caller. One that gave up waiting is no error.
pub(super) fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, value: T) {
    let _ = reply.send(value);
}
