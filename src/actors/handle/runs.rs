//! Calls for runs, previews, the status and the history.

use super::HousekeeperRef;
use crate::actors::ask::AskError;
use crate::actors::message::HousekeeperMsg;
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{History, HistoryQuery, Report, RunId, RunStatus, Status};

impl HousekeeperRef {
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
}
