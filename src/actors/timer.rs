//! Wakes the supervisor when a job may be due. It decides nothing: the supervisor checks the time
//! again.

use std::collections::BTreeMap;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};

use crate::actors::delayed::Delayed;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::job::JobName;
use crate::time::{Clocks, Moment};

pub(crate) struct Timer;

pub(crate) enum TimerMsg {
    /// Wake the supervisor for this job at this moment, instead of the one armed before.
    Arm(JobName, Option<Moment>),
    /// Check the clocks.
    Check,
}

pub(crate) struct TimerArguments {
    pub(crate) clocks: Clocks,
    pub(crate) supervisor: ActorRef<HousekeeperMsg>,
    /// The supervisor's plans; a restarted timer is armed with them.
    pub(crate) armed: BTreeMap<JobName, Moment>,
}

pub(crate) struct State {
    clocks: Clocks,
    supervisor: ActorRef<HousekeeperMsg>,
    armed: BTreeMap<JobName, Moment>,
    sleep: Option<Delayed<TimerMsg>>,
}

#[ractor::actor(message = TimerMsg, state = State, arguments = TimerArguments)]
impl Timer {
    async fn pre_start(
        &self,
        myself: ActorRef<TimerMsg>,
        arguments: TimerArguments,
    ) -> Result<State, ActorProcessingErr> {
        let TimerArguments {
            clocks,
            supervisor,
            armed,
        } = arguments;
        myself.cast(TimerMsg::Check)?;
        Ok(State {
            clocks,
            supervisor,
            armed,
            sleep: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<TimerMsg>,
        message: TimerMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TimerMsg::Arm(job, Some(at)) => drop(state.armed.insert(job, at)),
            TimerMsg::Arm(job, None) => drop(state.armed.remove(&job)),
            TimerMsg::Check => {}
        }
        state.check(&myself);
        Ok(())
    }
}

impl State {
    fn check(&mut self, myself: &ActorRef<TimerMsg>) {
        let now = self.clocks.now();
        let supervisor = &self.supervisor;
        self.armed.retain(|job, at| {
            let reached = at.reached(now);
            if reached {
                // Fails only if the supervisor has exited, which ends its timer.
                let _ = supervisor.cast(InternalMsg::Due(job.clone()).into());
            }
            !reached
        });
        self.sleep = self
            .armed
            .values()
            .map(|at| at.until(now))
            .min()
            .map(|wait| Delayed(myself.send_after(wait.min(MAX_SLEEP), || TimerMsg::Check)));
    }
}

/// Longest time between two checks: a suspended machine or a corrected clock moves the wall clock
/// past the end of a sleep.
const MAX_SLEEP: Duration = Duration::from_secs(60);
