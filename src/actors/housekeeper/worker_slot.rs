//! The place of a job's worker.

use ractor::{ActorId, ActorRef};

use crate::actors::worker::WorkerMsg;
use crate::time::Moment;

/// The place of a job's worker.
pub(super) enum WorkerSlot {
    /// The job is disabled, or the housekeeper stops.
    Vacant,
    Up(ActorRef<WorkerMsg>),
    Restarting {
        at: Moment,
        reason: String,
    },
    Degraded {
        until: Moment,
        reason: String,
    },
}

impl WorkerSlot {
    pub(super) fn actor(&self) -> Option<&ActorRef<WorkerMsg>> {
        match self {
            Self::Up(worker) => Some(worker),
            Self::Vacant | Self::Restarting { .. } | Self::Degraded { .. } => None,
        }
    }

    pub(super) fn is(&self, child: ActorId) -> bool {
        self.actor().is_some_and(|worker| worker.get_id() == child)
    }
}
