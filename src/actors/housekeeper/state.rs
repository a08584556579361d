//! The supervisor's memory, in parts that behaviours take one by one.

use std::sync::Arc;

use ractor::{ActorRef, RpcReplyPort};

use super::courier_advice::advise;
use super::couriers::Couriers;
use super::jobs::Jobs;
use super::pending_reads::PendingReads;
use super::publisher::Publisher;
use super::shared::{Shared, answer};
use super::timer::TimerHandle;
use crate::actors::arguments::HousekeeperArguments;
use crate::actors::delayed::Delayed;
use crate::actors::message::HousekeeperMsg;
use crate::fmt::line;
use crate::model::HousekeeperState;
use crate::time::{Clocks, Moment};

/// The supervisor's memory. `pub` only because ractor's trait names it as the actor's state.
#[expect(
    missing_debug_implementations,
    reason = "hosts cannot name it, and it holds jobs and reply ports"
)]
pub struct State {
    pub(super) shared: Shared,
    pub(super) jobs: Jobs,
    pub(super) couriers: Couriers,
    pub(super) timer: TimerHandle,
    pub(super) publisher: Publisher,
    pub(super) reads: PendingReads,
    pub(super) next_check: Option<Delayed<HousekeeperMsg>>,
    pub(super) shutdown: Option<Shutdown>,
}

/// A shutdown in progress.
pub(super) struct Shutdown {
    pub(super) callers: Vec<RpcReplyPort<()>>,
    pub(super) ends: Moment,
    pub(super) grace: Delayed<HousekeeperMsg>,
    /// The error that the housekeeper's own supervisor gets, if a job was escalated.
    pub(super) error: Option<String>,
}

impl State {
    pub(super) fn new(myself: ActorRef<HousekeeperMsg>, arguments: HousekeeperArguments) -> Self {
        let HousekeeperArguments {
            config,
            jobs,
            couriers,
            history,
            instance: name,
            clock,
        } = arguments;
        let clocks = Clocks::start(clock);
        let started = clocks.now();
        let mut jobs = Jobs::new(jobs, &config, started);
        let mut couriers = Couriers::new(couriers, &config);
        advise(&mut jobs, &mut couriers);
        let instance = uuid::Uuid::new_v4();
        let digits = || instance.simple().to_string()[..8].to_owned();
        let shared = Shared {
            myself,
            config,
            clocks,
            instance,
            instance_name: line(&name.unwrap_or_else(digits)),
            listed_at: Arc::default(),
            history,
            started,
        };
        Self {
            shared,
            jobs,
            couriers,
            timer: TimerHandle::default(),
            publisher: Publisher::default(),
            reads: PendingReads::default(),
            next_check: None,
            shutdown: None,
        }
    }

    pub(super) fn housekeeper_state(&self) -> HousekeeperState {
        if self.shutdown.is_some() {
            HousekeeperState::ShuttingDown
        } else {
            HousekeeperState::Running
        }
    }
}

impl Shutdown {
    pub(super) fn answer(self) {
        for caller in self.callers {
            answer(caller, ());
        }
    }
}
