//! Calls that change how a job runs.

use std::time::Duration;

use super::HousekeeperRef;
use crate::actors::ask::AskError;
use crate::actors::message::HousekeeperMsg;
use crate::config::Schedule;
use crate::job::JobName;
use crate::model::{Instances, RunId};

impl HousekeeperRef {
    /// Suspends ticks and deadlines of a job. Returns whether it was running on its schedule.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, or it is disabled.
    pub async fn pause(&self, job: impl Into<JobName>) -> Result<bool, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::Pause(job, reply))
            .await
    }

    /// Resumes the schedule of a job and runs it once now. Returns whether it was paused.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, or it is disabled.
    pub async fn resume(&self, job: impl Into<JobName>) -> Result<bool, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::Resume(job, reply))
            .await
    }

    /// Pauses a job for all replicas that share the database of the history. Returns whether it was
    /// not paused so.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, it is disabled, no history was given, or the
    /// database did not take the pause.
    pub async fn pause_replicas(&self, job: impl Into<JobName>) -> Result<bool, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::PauseReplicas(job, reply))
            .await
    }

    /// Ends a pause for all replicas. Returns whether the job was paused so.
    ///
    /// # Errors
    ///
    /// As those of [`pause_replicas`](HousekeeperRef::pause_replicas).
    pub async fn resume_replicas(&self, job: impl Into<JobName>) -> Result<bool, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::ResumeReplicas(job, reply))
            .await
    }

    /// Lists the instances that wrote to the shared history within this time.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the database does not answer.
    pub async fn instances(&self, within: Duration) -> Result<Instances, AskError> {
        self.request(|reply| HousekeeperMsg::Instances(within, reply))
            .await
    }

    /// Ends the run in progress after its batch. Returns the run, if there was one.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, or it is disabled.
    pub async fn cancel(&self, job: impl Into<JobName>) -> Result<Option<RunId>, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::Cancel(job, reply))
            .await
    }

    /// Trusts the clock by which a job's rows fall due after a leap, and runs the job once now.
    /// Returns whether its runs were held.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, or it is disabled.
    pub async fn confirm_clock(&self, job: impl Into<JobName>) -> Result<bool, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::ConfirmClock(job, reply))
            .await
    }

    /// Replaces the schedule of a job.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, it is disabled, or the schedule is invalid.
    pub async fn reschedule(
        &self,
        job: impl Into<JobName>,
        schedule: Schedule,
    ) -> Result<(), AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::Reschedule(job, schedule, reply))
            .await
    }
}
