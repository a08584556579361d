//! A typed handle to a housekeeper.

use std::ops::Deref;
use std::time::Duration;

use ractor::{ActorRef, RpcReplyPort};

use super::ask::{AskError, call};
use super::message::HousekeeperMsg;
use super::subscribers::Subscriber;
use crate::config::Schedule;
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{
    History, HistoryQuery, Instances, ParkedEntries, ParkedPage, Report, RequestError, Requester,
    RunId, RunStatus, Status, WhichEntries,
};

/// A handle to a housekeeper: each [`HousekeeperMsg`] as a function that returns its answer.
///
/// Each call waits at most for the handle's timeout, [`HousekeeperRef::DEFAULT_TIMEOUT`] unless
/// [`with_timeout`](HousekeeperRef::with_timeout) changes it. A timeout does not cancel
/// the request: a run continues, and subscribers receive its report.
///
/// The handle derefs to the [`ActorRef`], so ractor's own calls work on it, too.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::actors::AskError;
/// use ractor_housekeeper::{HousekeeperRef, Scope};
///
/// # async fn example(housekeeper: HousekeeperRef) -> Result<(), AskError> {
/// let report = housekeeper.run_now("draft-sweeper", Scope::All).await?;
/// println!("{report}\n{}", housekeeper.status().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HousekeeperRef {
    actor: ActorRef<HousekeeperMsg>,
    timeout: Duration,
    requested_by: Option<Requester>,
}

impl HousekeeperRef {
    /// The timeout of a new handle: one minute.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// Returns the same handle with another timeout for each call.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Returns the same handle whose calls carry this name, for reports, events, the status and the
    /// log.
    #[must_use]
    pub fn requested_by(self, by: impl Into<Requester>) -> Self {
        Self {
            requested_by: Some(by.into()),
            ..self
        }
    }

    /// Returns the actor behind the handle.
    #[must_use]
    pub fn actor(&self) -> &ActorRef<HousekeeperMsg> {
        &self.actor
    }

    /// Runs a job now and returns the report of a run that began after the call.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, it is disabled, cannot serve the scope, or
    /// the housekeeper is shutting down. A run that fails is no error: its report says so.
    pub async fn run_now(&self, job: impl Into<JobName>, scope: Scope) -> Result<Report, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::RunNow(job, scope, reply))
            .await
    }

    /// Requests a run and returns its id at once.
    ///
    /// # Errors
    ///
    /// As those of [`run_now`](HousekeeperRef::run_now).
    pub async fn enqueue(&self, job: impl Into<JobName>, scope: Scope) -> Result<RunId, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::Enqueue(job, scope, reply))
            .await
    }

    /// Returns a run as it is: in the queue, in progress, or ended.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the run is unknown, or could not be looked up.
    pub async fn run(&self, run: RunId) -> Result<RunStatus, AskError> {
        self.request(|reply| HousekeeperMsg::Run(run, reply)).await
    }

    /// Waits for a run that is in the queue or in progress, and returns it once it has ended.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the run is unknown, or could not be looked up.
    pub async fn await_run(&self, run: RunId) -> Result<RunStatus, AskError> {
        self.request(|reply| HousekeeperMsg::AwaitRun(run, reply))
            .await
    }

    /// Runs every enabled job that is not paused and returns the reports in the order of the jobs'
    /// names.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the housekeeper is shutting down.
    pub async fn run_all(&self) -> Result<Vec<Report>, AskError> {
        self.request(HousekeeperMsg::RunAll).await
    }

    /// Returns a page of the rows that a run would handle now. Locks and changes nothing.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, it is disabled or cannot serve the scope, the
    /// page is larger than [`Page::MAX_SIZE`], too many reads wait, or the read failed.
    pub async fn preview(
        &self,
        job: impl Into<JobName>,
        scope: Scope,
        page: Page,
    ) -> Result<Preview, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::Preview(job, scope, page, reply))
            .await
    }

    /// Returns the status, from the housekeeper's memory.
    ///
    /// # Errors
    ///
    /// [`AskError::Timeout`] and [`AskError::Stopped`].
    pub async fn status(&self) -> Result<Status, AskError> {
        self.ask(HousekeeperMsg::Status).await
    }

    /// Returns at most `limit` past runs of a job, newest first.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job, or too many reads wait.
    pub async fn history(&self, job: impl Into<JobName>, limit: u32) -> Result<History, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::History(job, limit, reply))
            .await
    }

    /// Returns a part of the history of a job, newest first.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if there is no such job.
    pub async fn history_page(
        &self,
        job: impl Into<JobName>,
        query: HistoryQuery,
    ) -> Result<History, AskError> {
        let job = job.into();
        self.request(|reply| HousekeeperMsg::HistoryPage(job, query, reply))
            .await
    }

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

    /// Returns a page of the entries of a rule that failed too often.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the rule has no courier here, or the read failed.
    pub async fn parked(
        &self,
        rule: impl Into<JobName>,
        page: ParkedPage,
    ) -> Result<ParkedEntries, AskError> {
        let rule = rule.into();
        self.request(|reply| HousekeeperMsg::Parked(rule, page, reply))
            .await
    }

    /// Delivers parked entries of a rule again. Returns their number.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the rule has no courier here, or the write failed.
    pub async fn redeliver(
        &self,
        rule: impl Into<JobName>,
        which: WhichEntries,
    ) -> Result<u64, AskError> {
        let rule = rule.into();
        self.request(|reply| HousekeeperMsg::Redeliver(rule, which, reply))
            .await
    }

    /// Deletes parked entries of a rule undelivered. Returns their number.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the rule has no courier here, or the write failed.
    pub async fn discard(
        &self,
        rule: impl Into<JobName>,
        which: WhichEntries,
    ) -> Result<u64, AskError> {
        let rule = rule.into();
        self.request(|reply| HousekeeperMsg::Discard(rule, which, reply))
            .await
    }

    /// Sends events to this subscriber from now on.
    ///
    /// # Errors
    ///
    /// [`AskError::Stopped`].
    pub fn subscribe(&self, subscriber: Subscriber) -> Result<(), AskError> {
        let message = HousekeeperMsg::Subscribe(subscriber);
        self.actor.cast(message).map_err(|_| AskError::Stopped)
    }

    /// Rejects new runs, lets batches in progress end within the grace, and returns when the
    /// housekeeper has stopped. Waits for as long as that takes, whatever the handle's timeout is;
    /// one that has stopped already is no error.
    pub async fn shutdown(&self, grace: Duration) {
        let shutdown = |reply| HousekeeperMsg::Shutdown(grace, reply);
        // Without an answer it has stopped, which was the request.
        let _ = call(&self.actor, shutdown, None).await;
        let _ = self.actor.wait(None).await;
    }

    async fn request<T: Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<Result<T, RequestError>>) -> HousekeeperMsg,
    ) -> Result<T, AskError> {
        Ok(self.ask(message).await??)
    }

    async fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    ) -> Result<T, AskError> {
        let by = self.requested_by.clone();
        let message = |reply| match by {
            Some(by) => message(reply).requested_by(by),
            None => message(reply),
        };
        call(&self.actor, message, Some(self.timeout)).await
    }
}

impl From<ActorRef<HousekeeperMsg>> for HousekeeperRef {
    fn from(actor: ActorRef<HousekeeperMsg>) -> Self {
        Self {
            actor,
            timeout: Self::DEFAULT_TIMEOUT,
            requested_by: None,
        }
    }
}

impl From<HousekeeperRef> for ActorRef<HousekeeperMsg> {
    fn from(housekeeper: HousekeeperRef) -> Self {
        housekeeper.actor
    }
}

impl Deref for HousekeeperRef {
    type Target = ActorRef<HousekeeperMsg>;

    fn deref(&self) -> &Self::Target {
        &self.actor
    }
}
