//! The host's switches: pause, resume, cancel, reschedule.

use super::runs::{dispatch, refresh};
use super::state::State;
use crate::config::Schedule;
use crate::job::{JobName, Scope};
use crate::model::{Event, Outcome, RequestError, RunId, Trigger};

impl State {
    /// Suspends the schedule of a job. Returns whether it was running on its schedule.
    pub(super) fn pause(&mut self, name: &JobName) -> Result<bool, RequestError> {
        let now = self.shared.now();
        let job = self.jobs.enabled(name)?;
        let was_paused = job.planner.is_paused();
        job.planner.pause();
        // Ticks and retries that wait are held back as well; the resume runs once for all of them.
        job.queue.keep_manual();
        if !was_paused {
            self.publisher.emit(Event::JobPaused { job: name.clone() });
        }
        if self.shutdown.is_none() {
            refresh(job, &self.shared, &self.timer, &mut self.publisher, now);
        }
        Ok(!was_paused)
    }

    /// Resumes the schedule and runs once now. Returns whether the job was paused.
    pub(super) async fn resume(&mut self, name: &JobName) -> Result<bool, RequestError> {
        let now = self.shared.now();
        let job = self.jobs.enabled(name)?;
        if !job.planner.is_paused() {
            return Ok(false);
        }
        job.planner.resume(now);
        let resumed = Event::JobResumed { job: name.clone() };
        self.publisher.emit(resumed);
        if self.shutdown.is_some() {
            return Ok(true);
        }
        job.enqueue(Scope::All, Trigger::Tick, None);
        let escalation = job.revive(&self.shared, &mut self.publisher).await;
        dispatch(job, &self.shared, &self.timer, &mut self.publisher);
        self.escalate_if(escalation).await;
        Ok(true)
    }

    /// Trusts the clock by which the rows of a job fall due, and runs the job once now if its runs
    /// were held. Returns whether they were.
    pub(super) async fn confirm_clock(&mut self, name: &JobName) -> Result<bool, RequestError> {
        let job = self.jobs.enabled(name)?;
        if let Some(active) = &mut job.active {
            active.clock_confirmed = true;
        }
        if !job.clock.confirm() {
            return Ok(false);
        }
        tracing::info!(job.name = %name, "{name}: the clock was confirmed");
        if self.shutdown.is_none() {
            job.enqueue(Scope::All, Trigger::Manual, None);
            let escalation = job.revive(&self.shared, &mut self.publisher).await;
            dispatch(job, &self.shared, &self.timer, &mut self.publisher);
            self.escalate_if(escalation).await;
        }
        Ok(true)
    }

    /// Ends the run in progress after its batch. Returns the run.
    pub(super) fn cancel(&mut self, name: &JobName) -> Result<Option<RunId>, RequestError> {
        let job = self.jobs.enabled(name)?;
        let Some(run) = job.active.as_ref().map(super::active_run::ActiveRun::id) else {
            return Ok(None);
        };
        job.end_run(Outcome::Cancelled);
        // A tick that came during the run would begin it anew at once.
        job.queue.keep_manual();
        Ok(Some(run))
    }

    /// Replaces the schedule of a job.
    pub(super) fn reschedule(
        &mut self,
        name: &JobName,
        schedule: Schedule,
    ) -> Result<(), RequestError> {
        let now = self.shared.now();
        let job = self.jobs.enabled(name)?;
        schedule
            .check("schedule")
            .map_err(|error| RequestError::Schedule {
                problem: error.to_string(),
            })?;
        job.planner.reschedule(schedule.clone(), now);
        self.publisher.emit(Event::JobRescheduled {
            job: name.clone(),
            schedule,
        });
        if self.shutdown.is_none() {
            refresh(job, &self.shared, &self.timer, &mut self.publisher, now);
        }
        Ok(())
    }
}
