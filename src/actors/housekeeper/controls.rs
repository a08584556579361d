//! The host's switches: pause, resume, cancel, reschedule.

use super::dispatch::{refresh, take_up};
use super::state::State;
use crate::config::Schedule;
use crate::job::{JobName, Scope};
use crate::model::{Event, Outcome, Pause, RequestError, Requester, RunId, Trigger};

impl State {
    /// Suspends the schedule of a job. Returns whether it was running on its schedule.
    pub(super) fn pause(
        &mut self,
        name: &JobName,
        by: Option<Requester>,
    ) -> Result<bool, RequestError> {
        let now = self.shared.now();
        let job = self.jobs.enabled(name)?;
        let pause = Pause {
            since: now.wall,
            by: by.clone(),
            all_replicas: false,
        };
        let is_new = job.planner.pause(pause, now);
        // Ticks and retries that wait are held back as well; the resume runs once for all of them.
        job.queue.keep_manual();
        if is_new {
            log(name, "paused", by.as_ref());
            self.publisher.emit(Event::JobPaused {
                job: name.clone(),
                requested_by: by,
            });
        }
        if self.shutdown.is_none() {
            refresh(job, &self.shared, &self.timer, &mut self.publisher, now);
        }
        Ok(is_new)
    }

    /// Resumes the schedule and runs once now. Returns whether the job was paused.
    pub(super) async fn resume(
        &mut self,
        name: &JobName,
        by: Option<Requester>,
    ) -> Result<bool, RequestError> {
        let now = self.shared.now();
        let job = self.jobs.enabled(name)?;
        let pause = job.planner.pause_in_force();
        if pause.is_some_and(|pause| pause.all_replicas) {
            return Err(RequestError::PausedForAll { job: name.clone() });
        }
        if !job.planner.resume(now) {
            return Ok(false);
        }
        log(name, "resumed", by.as_ref());
        self.publisher.emit(Event::JobResumed {
            job: name.clone(),
            requested_by: by.clone(),
        });
        if self.shutdown.is_some() {
            return Ok(true);
        }
        job.enqueue(Scope::All, Trigger::Tick, None, by);
        let escalation = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
        self.escalate_if(escalation).await;
        Ok(true)
    }

    /// Trusts the clock by which the rows of a job fall due, and runs the job once now if its runs
    /// were held. Returns whether they were.
    pub(super) async fn confirm_clock(
        &mut self,
        name: &JobName,
        by: Option<Requester>,
    ) -> Result<bool, RequestError> {
        let job = self.jobs.enabled(name)?;
        if let Some(active) = &mut job.active {
            active.clock_confirmed = true;
        }
        if !job.clock.confirm() {
            return Ok(false);
        }
        log(name, "clock confirmed", by.as_ref());
        if self.shutdown.is_none() {
            job.enqueue(Scope::All, Trigger::Manual, None, by);
            let escalation = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
            self.escalate_if(escalation).await;
        }
        Ok(true)
    }

    /// Ends the run in progress after its batch. Returns the run.
    pub(super) fn cancel(
        &mut self,
        name: &JobName,
        only: Option<RunId>,
        by: Option<Requester>,
    ) -> Result<Option<RunId>, RequestError> {
        let job = self.jobs.enabled(name)?;
        let running = job.active.as_ref().map(super::active_run::ActiveRun::id);
        if let Some(run) = only.filter(|run| running != Some(*run)) {
            let job = name.clone();
            return Err(RequestError::OtherRun { job, run, running });
        }
        let Some(run) = running else {
            return Ok(None);
        };
        log(name, "cancelled during its run", by.as_ref());
        job.end_run(Outcome::Cancelled { by });
        // A tick that came during the run would begin it anew at once.
        job.queue.keep_manual();
        Ok(Some(run))
    }

    /// Replaces the schedule of a job.
    pub(super) fn reschedule(
        &mut self,
        name: &JobName,
        schedule: Schedule,
        by: Option<Requester>,
    ) -> Result<(), RequestError> {
        let now = self.shared.now();
        let job = self.jobs.enabled(name)?;
        schedule
            .check("schedule")
            .map_err(|error| RequestError::Schedule {
                problem: error.to_string(),
            })?;
        job.planner.reschedule(schedule.clone(), now);
        log(name, "rescheduled", by.as_ref());
        self.publisher.emit(Event::JobRescheduled {
            job: name.clone(),
            schedule,
            requested_by: by,
        });
        if self.shutdown.is_none() {
            refresh(job, &self.shared, &self.timer, &mut self.publisher, now);
        }
        Ok(())
    }
}

/// Logs a switch that changed something, with its requester.
pub(super) fn log(job: &JobName, done: &str, by: Option<&Requester>) {
    if let Some(by) = by {
        tracing::info!(job.name = %job, requested_by = %by, "{job} was {done} by {by}");
    } else {
        tracing::info!(job.name = %job, "{job} was {done}");
    }
}
