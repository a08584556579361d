//! The timer, as the supervisor sees it: started, told when, heard, started again.

use std::collections::BTreeMap;

use ractor::{Actor, ActorRef, SpawnErr};

use super::job_state::WorkerSlot;
use super::state::State;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::actors::{delayed::Delayed, timer::Timer, timer::TimerArguments, timer::TimerMsg};
use crate::job::{JobName, Scope};
use crate::metrics::recorder;
use crate::model::{Event, Trigger};
use crate::policy::{RestartLog, Verdict};

/// The timer, and how often it died.
#[derive(Default)]
pub(super) struct TimerHandle {
    pub(super) timer: Option<ActorRef<TimerMsg>>,
    log: RestartLog,
    rest: Option<Delayed<HousekeeperMsg>>,
}

impl State {
    pub(super) async fn spawn_timer(&mut self) {
        if self.shutdown.is_none() {
            if let Err(error) = self.try_spawn_timer().await {
                self.timer_died(error.to_string());
            }
        }
    }

    pub(super) async fn try_spawn_timer(&mut self) -> Result<(), SpawnErr> {
        let mut armed = BTreeMap::new();
        let now = self.watch.now();
        for (job, desk) in &self.desks {
            armed.extend(desk.wake_at(now).map(|at| (job.clone(), at)));
        }
        let arguments = TimerArguments {
            watch: self.watch.clone(),
            supervisor: self.myself.clone(),
            armed,
        };
        let (timer, _) =
            Actor::spawn_linked(None, Timer, arguments, self.myself.get_cell()).await?;
        self.alarm.timer = Some(timer);
        self.alarm.rest = None;
        Ok(())
    }

    /// Tells the timer when this job wants to be woken.
    pub(super) fn arm(&self, job: &JobName) {
        if let (Some(timer), Some(desk)) = (&self.alarm.timer, self.desks.get(job)) {
            // A timer that died a moment ago begins again with what we remember.
            let _ = timer.cast(TimerMsg::Arm(job.clone(), desk.wake_at(self.watch.now())));
        }
    }

    /// The timer thinks that a job's time has come; we look for ourselves.
    pub(super) async fn wake(&mut self, job: &JobName) {
        let now = self.watch.now();
        self.alarm.heard();
        let Some(desk) = self.desks.get_mut(job).filter(|_| self.shutdown.is_none()) else {
            return;
        };
        desk.agenda.look(now);
        if desk.wake_at(now).is_none_or(|at| !at.reached(now)) {
            return self.arm(job);
        }
        let half_open = matches!(desk.post, WorkerSlot::Degraded { .. });
        if !matches!(desk.post, WorkerSlot::Up(_)) {
            self.spawn_worker(job).await;
        }
        // What fell due while there was no worker merges into the run that waits for it, or into
        // the attempt.
        let due = self.desks.get_mut(job).and_then(|desk| desk.take_due(now));
        if let Some(trigger) = due.or(half_open.then_some(Trigger::Retry)) {
            self.request(job, Scope::All, trigger, None).await;
        }
        self.dispatch(job);
    }

    pub(super) fn timer_died(&mut self, reason: String) {
        let now = self.watch.now();
        self.alarm.timer = None;
        recorder::timer_died();
        let wait = match self
            .alarm
            .log
            .record(now.mono, &self.config.restart, fastrand::f64())
        {
            Verdict::RestartAfter(wait) => wait,
            // Without a timer nothing runs, so it is never given up.
            Verdict::LimitReached => self.config.restart.backoff.max,
        };
        tracing::warn!(%reason, "the timer died and is started again");
        self.alarm.rest = Some(Delayed(
            self.myself
                .send_after(wait, || InternalMsg::TimerRested.into()),
        ));
        self.subscribers.tell(Event::TimerRestarted { reason });
    }
}

impl TimerHandle {
    /// The timer woke us, so it works: its next restart waits as short as the first.
    pub(super) fn heard(&mut self) {
        self.log.reset_backoff();
    }

    pub(super) fn restarts(&self) -> u64 {
        self.log.total()
    }
}
