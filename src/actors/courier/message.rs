//! Messages of a courier, and the arguments of its start.

use std::sync::Arc;

use ractor::ActorRef;
use uuid::Uuid;

use crate::actors::destination::{Delivered, Destination};
use crate::actors::message::HousekeeperMsg;
use crate::config::CourierConfig;
use crate::job::JobName;
use crate::model::{EntryId, Outbox};

pub(crate) enum CourierMsg {
    /// Claim due entries.
    Poll,
    /// This process committed entries, or made parked ones due.
    Wake,
    /// A delivery ended.
    Delivered(EntryId, Delivered),
    /// Write the answers received so far.
    Settle,
    /// Send what was claimed.
    Send,
    /// Send nothing more, wait for deliveries under way, then stop.
    Stop,
}

#[derive(Clone)]
pub(crate) struct CourierArguments {
    pub(crate) rule: JobName,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) destination: Destination,
    pub(crate) config: CourierConfig,
    /// Names the leases of this courier and of those that follow it after a crash.
    pub(crate) owner: Uuid,
    pub(crate) supervisor: ActorRef<HousekeeperMsg>,
}
