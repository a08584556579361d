//! The health of the jobs: checked at least once a minute, emitted when it changes.

use std::time::Duration;

use super::job_state::JobState;
use super::publisher::Publisher;
use super::shared::Shared;
use super::state::State;
use crate::actors::message::InternalMsg;
use crate::fmt::log_line;
use crate::job::JobName;
use crate::model::{Event, Health, Status};
use crate::time::Moment;

impl State {
    /// Checks every job, drops waiters that gave up, and schedules the next check.
    ///
    /// The check is a message of the housekeeper to itself, not the timer's: it comes when nothing
    /// is planned and while the timer is down. One is on its way at a time, so a stall is followed
    /// by one check.
    pub(super) fn health_check(&mut self) {
        if self.shutdown.is_some() {
            return;
        }
        self.publisher.drop_closed();
        for job in self.jobs.iter_mut() {
            job.drop_closed(&self.publisher);
        }
        self.update_all(self.shared.now());
        self.couriers.record_gauges(self.shared.now());
        let next = self
            .shared
            .send_after(CHECK_INTERVAL, || InternalMsg::CheckDue);
        self.next_check = Some(next);
    }

    /// Returns the status, from memory. Health and description of a job are of one instant, and a
    /// change of health is emitted before.
    pub(super) fn status(&mut self) -> Status {
        let now = self.shared.now();
        if self.shutdown.is_none() {
            self.update_all(now);
        }
        let started = self.shared.started;
        let jobs = self.jobs.iter();
        Status {
            name: self.shared.myself.get_name(),
            instance: Some(self.shared.instance_name.clone()),
            shared_history: self.shared.history.is_some(),
            state: self.housekeeper_state(),
            at: now.wall,
            started_at: Some(started.wall),
            timer_restarts: self.timer.restarts(),
            jobs: jobs
                .map(|job| (job.name.clone(), job.status(now, started)))
                .collect(),
            couriers: self.couriers.statuses(now),
        }
    }

    fn update_all(&mut self, now: Moment) {
        for job in self.jobs.iter_mut() {
            update_health(job, &self.shared, &mut self.publisher, now);
        }
    }
}

/// Updates the health of a job and its gauges. Logs and emits a change of state.
pub(super) fn update_health(
    job: &mut JobState,
    shared: &Shared,
    publisher: &mut Publisher,
    now: Moment,
) {
    let health = job.health(now, shared.started);
    job.record_gauges(now, &health);
    if !health.differs_from(&job.health) {
        return;
    }
    let before = std::mem::replace(&mut job.health, health.clone());
    log(&job.name, &before, &health);
    let job = job.name.clone();
    publisher.emit(Event::HealthChanged { job, health });
}

fn log(job: &JobName, before: &Health, health: &Health) {
    let state = health.as_str();
    match health.reason().map(|reason| log_line(&reason)) {
        None => tracing::info!(job.name = %job, health.state = state, "{job} is healthy again"),
        Some(reason) if health.is_worse_than(before) => {
            tracing::warn!(job.name = %job, health.state = state, "{job} is {state}: {reason}");
        }
        Some(reason) => {
            tracing::info!(job.name = %job, health.state = state, "{job} is no longer {before} but {state}: {reason}");
        }
    }
}

/// Longest time between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
