//! Requests for runs, and runs whose time has come.

use ractor::RpcReplyPort;

use super::dispatch::{dispatch, take_up};
use super::job_state::JobState;
use super::publisher::Waiter;
use super::shared::answer;
use super::state::State;
use super::worker_slot::WorkerSlot;
use crate::fmt::line;
use crate::job::{JobName, Scope};
use crate::model::{Report, RequestError, Requester, Trigger};

impl State {
    pub(super) async fn run_now(
        &mut self,
        name: &JobName,
        scope: Scope,
        by: Option<Requester>,
        reply: RpcReplyPort<Result<Report, RequestError>>,
    ) {
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        let job = self.jobs.enabled(name);
        let job = match job.and_then(|job| job.check_scope(&scope).map(|()| job)) {
            Ok(job) => job,
            Err(error) => return answer(reply, Err(error)),
        };
        log_request(name, &scope, by.as_ref());
        let caller = Some(Waiter::Caller(reply));
        if job.enqueue(scope, Trigger::Manual, caller, by).is_none() {
            return;
        }
        let escalation = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
        self.escalate_if(escalation).await;
    }

    pub(super) async fn run_all(
        &mut self,
        paused: bool,
        by: Option<Requester>,
        reply: RpcReplyPort<Result<Vec<Report>, RequestError>>,
    ) {
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        let takes_part = |job: &JobState| job.enabled && (paused || !job.planner.is_paused());
        let jobs = self.jobs.iter().filter(|job| takes_part(job)).count();
        if jobs == 0 {
            return answer(reply, Ok(Vec::new()));
        }
        let number = self.publisher.open_run_all(reply, jobs);
        let mut escalation = None;
        for job in self.jobs.iter_mut().filter(|job| takes_part(job)) {
            log_request(&job.name, &Scope::All, by.as_ref());
            let part = Some(Waiter::RunAll(number));
            job.enqueue(Scope::All, Trigger::Manual, part, by.clone());
            let beyond = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
            escalation = escalation.or(beyond);
        }
        self.escalate_if(escalation).await;
    }

    /// Runs a job whose time has come. The timer decides nothing, so a wrong wake is harmless.
    pub(super) async fn wake(&mut self, name: &JobName) {
        self.timer.reset_backoff();
        if self.shutdown.is_some() {
            return;
        }
        let now = self.shared.now();
        let Some(job) = self.jobs.get_mut(name) else {
            return;
        };
        if job.planner.take_recheck(now) {
            let read = job.read_pause(&self.shared);
            self.reads.push(read, &self.shared).await;
        }
        job.planner.observe(now);
        if job.wake_at(now).is_none_or(|at| !at.reached(now)) {
            return self.timer.arm(job, now);
        }
        let half_open = matches!(job.worker, WorkerSlot::Degraded { .. });
        let escalation = if matches!(job.worker, WorkerSlot::Up(_)) {
            None
        } else {
            job.spawn_worker(&self.shared, &mut self.publisher).await
        };
        // Triggers without a worker merge into the run that waits for it, or into the attempt.
        let due = job.take_due(now);
        if let Some(trigger) = due.or(half_open.then_some(Trigger::Retry)) {
            job.enqueue(Scope::All, trigger, None, None);
        }
        dispatch(job, &self.shared, &self.timer, &mut self.publisher);
        self.escalate_if(escalation).await;
    }
}

/// Logs a request for a run: `info` if it names a requester, else `debug`. Its report is logged as
/// well.
pub(super) fn log_request(job: &JobName, scope: &Scope, by: Option<&Requester>) {
    let scope = line(&scope.to_string());
    if let Some(by) = by {
        tracing::info!(job.name = %job, run.scope = %scope, requested_by = %by, "a run of {job} ({scope}) was requested by {by}");
    } else {
        tracing::debug!(job.name = %job, run.scope = %scope, "a run of {job} ({scope}) was requested");
    }
}
