//! Wakes the supervisor when a job wants to run. It decides nothing: the supervisor looks at the
//! time again.

use std::collections::BTreeMap;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};

use super::delayed::Delayed;

use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::job::JobName;
use crate::time::{Clocks, Moment};

pub(crate) struct Timer;

pub(crate) enum TimerMsg {
    /// Wake the supervisor for this job then, and not when it was told before.
    Arm(JobName, Option<Moment>),
    /// Look at the clocks.
    Look,
}

pub(crate) struct TimerArguments {
    pub(crate) clocks: Clocks,
    pub(crate) supervisor: ActorRef<HousekeeperMsg>,
    /// What the supervisor remembers; a timer that is started again begins with it.
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
        myself.cast(TimerMsg::Look)?;
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
            TimerMsg::Look => {}
        }
        state.look(&myself);
        Ok(())
    }
}

impl State {
    fn look(&mut self, myself: &ActorRef<TimerMsg>) {
        let now = self.clocks.now();
        let supervisor = &self.supervisor;
        self.armed.retain(|job, at| {
            let reached = at.reached(now);
            if reached {
                // A supervisor that is gone takes its timer with it.
                let _ = supervisor.cast(InternalMsg::Due(job.clone()).into());
            }
            !reached
        });
        self.sleep = self
            .armed
            .values()
            .map(|at| at.until(now))
            .min()
            .map(|wait| Delayed(myself.send_after(wait.min(MAX_SLEEP), || TimerMsg::Look)));
    }
}

/// The wall clock is looked at at least this often: a suspended machine or a corrected clock moves
/// it past a sleep.
const MAX_SLEEP: Duration = Duration::from_secs(60);
