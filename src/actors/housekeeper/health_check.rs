//! How the jobs are: looked at by itself at least once a minute, told when it changes, and
//! answered.

use std::time::Duration;

use super::state::State;
use crate::actors::delayed::Delayed;
use crate::actors::message::InternalMsg;
use crate::job::JobName;
use crate::model::{Event, Health, Status};
use crate::time::Moment;

impl State {
    /// Looks at every job and at who still waits, now and again in a minute.
    ///
    /// The housekeeper's own message and not the timer's: it comes also when nothing is planned,
    /// and while the timer is dead. One is on its way at a time, so a stall is followed by one
    /// look.
    pub(super) fn make_rounds(&mut self) {
        if self.shutdown.is_some() {
            return;
        }
        self.look(self.watch.now());
        self.forget_the_gone();
        let next = self
            .myself
            .send_after(BETWEEN_ROUNDS, || InternalMsg::RoundDue.into());
        self.round = Some(Delayed(next));
    }

    fn look(&mut self, now: Moment) {
        let jobs: Vec<JobName> = self.desks.keys().cloned().collect();
        for job in jobs {
            self.judge_at(now, &job);
        }
    }

    /// Looks how a job is, and tells if that is news. Whoever shuts down judges nobody any more.
    pub(super) fn judge(&mut self, job: &JobName) {
        self.judge_at(self.watch.now(), job);
    }

    fn judge_at(&mut self, now: Moment, job: &JobName) {
        let started = self.started;
        let Some(desk) = self.desks.get_mut(job).filter(|_| self.shutdown.is_none()) else {
            return;
        };
        let health = desk.health(now, started);
        desk.show(now, &health);
        if !health.differs_from(&desk.health) {
            return;
        }
        let before = std::mem::replace(&mut desk.health, health.clone());
        log(job, &before, &health);
        let job = job.clone();
        self.subscribers.tell(Event::HealthChanged { job, health });
    }

    /// How everything is. What a status says of the health of a job has been told as news before: a
    /// job is judged and described at one instant, because a limit may pass between two.
    pub(super) fn status(&mut self) -> Status {
        let now = self.watch.now();
        self.look(now);
        Status {
            name: self.myself.get_name(),
            life: self.life(),
            at: now.wall,
            started_at: Some(self.started.wall),
            timer_restarts: self.alarm.restarts(),
            jobs: self
                .desks
                .iter()
                .map(|(job, desk)| (job.clone(), desk.status(now, self.started)))
                .collect(),
        }
    }
}

fn log(job: &JobName, before: &Health, health: &Health) {
    let state = health.as_str();
    match health.reason() {
        None => tracing::info!(job.name = %job, health.state = state, "{job} is healthy again"),
        Some(reason) if health.is_worse_than(before) => {
            tracing::warn!(job.name = %job, health.state = state, "{job} is {state}: {reason}");
        }
        Some(reason) => {
            tracing::info!(job.name = %job, health.state = state, "{job} is no more {before}, but {state}: {reason}");
        }
    }
}

/// Longest time between two looks at the jobs.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(60);
