//! The timer as the supervisor sees it.

use std::collections::BTreeMap;

use ractor::{Actor, ActorId, ActorRef, SpawnErr};

use super::job_state::JobState;
use super::shared::Shared;
use crate::actors::delayed::Delayed;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::actors::timer::{Timer, TimerArguments, TimerMsg};
use crate::job::JobName;
use crate::metrics::recorder;
use crate::policy::{RestartLog, Verdict};
use crate::time::Moment;

/// The timer and its restarts.
#[derive(Default)]
pub(super) struct TimerHandle {
    timer: Option<ActorRef<TimerMsg>>,
    restarts: RestartLog,
    restart: Option<Delayed<HousekeeperMsg>>,
}

impl TimerHandle {
    /// Spawns a timer that is armed with what the supervisor remembers.
    pub(super) async fn spawn(
        &mut self,
        shared: &Shared,
        armed: BTreeMap<JobName, Moment>,
    ) -> Result<(), SpawnErr> {
        let arguments = TimerArguments {
            clocks: shared.clocks.clone(),
            supervisor: shared.myself.clone(),
            armed,
        };
        let supervisor = shared.myself.get_cell();
        let (timer, _) = Actor::spawn_linked(None, Timer, arguments, supervisor).await?;
        self.timer = Some(timer);
        self.restart = None;
        Ok(())
    }

    /// Arms the timer for a job, instead of what it was armed for before.
    pub(super) fn arm(&self, job: &JobState, now: Moment) {
        if let Some(timer) = &self.timer {
            // A timer that has just crashed takes no message; the next one is armed from memory.
            let _ = timer.cast(TimerMsg::Arm(job.name.clone(), job.alarm_at(now)));
        }
    }

    /// Schedules the restart of a timer that crashed.
    pub(super) fn schedule_restart(&mut self, shared: &Shared) {
        self.timer = None;
        recorder::timer_crashed();
        let config = &shared.config.restart;
        let now = shared.now().mono;
        let wait = match self.restarts.record(now, config, fastrand::f64()) {
            Verdict::RestartAfter(wait) => wait,
            // Without a timer nothing runs, so it is never given up.
            Verdict::LimitReached => config.backoff.max,
        };
        self.restart = Some(shared.send_after(wait, || InternalMsg::TimerRestartDue));
    }

    /// The timer woke the supervisor, so it works: its backoff starts anew.
    pub(super) fn reset_backoff(&mut self) {
        self.restarts.reset_backoff();
    }

    /// Returns how often the timer was restarted.
    pub(super) fn restarts(&self) -> u64 {
        self.restarts.total()
    }

    pub(super) fn actor(&self) -> Option<&ActorRef<TimerMsg>> {
        self.timer.as_ref()
    }

    pub(super) fn is(&self, child: ActorId) -> bool {
        self.actor().is_some_and(|timer| timer.get_id() == child)
    }

    /// Forgets the timer, which has stopped or is about to.
    pub(super) fn clear(&mut self) {
        self.timer = None;
    }
}
