//! Questions and orders to the housekeeper: messages, each with a limit to the wait for its answer.

use std::time::Duration;

use axum::http::StatusCode;
use ractor::RpcReplyPort;
use ractor::rpc::CallResult;

use super::privacy::Private;
use super::problem::Problem;
use super::site::{ANSWER_LIMIT, READ_LIMIT, Site};
use crate::actors::HousekeeperMsg;
use crate::job::{JobName, Page, Preview, Scope};
use crate::model::{
    History, HistoryQuery, Instances, JobStatus, RequestError, RunId, RunStatus, Status,
};

impl Site {
    pub(crate) async fn status(&self) -> Result<Status, Problem> {
        self.answer(ANSWER_LIMIT, HousekeeperMsg::Status).await
    }

    pub(crate) async fn job(&self, job: &JobName) -> Result<JobStatus, Problem> {
        let mut status = self.states().await?;
        let Some(mut job) = status.jobs.remove(job) else {
            return Err(Problem::from(RequestError::UnknownJob {
                job: job.clone(),
                known: status.jobs.into_keys().collect(),
            }));
        };
        job.redact(&self.privacy);
        Ok(job)
    }

    /// Returns the status as it is. Probes show its states, which the host does not rewrite.
    pub(crate) async fn states(&self) -> Result<Status, Problem> {
        let answer = self.call(ANSWER_LIMIT, HousekeeperMsg::Status).await?;
        due(ANSWER_LIMIT, answer)
    }

    pub(crate) async fn history(
        &self,
        job: JobName,
        query: HistoryQuery,
    ) -> Result<History, Problem> {
        let message = |reply| HousekeeperMsg::HistoryPage(job, query, reply);
        Ok(self.answer(READ_LIMIT, message).await??)
    }

    /// Returns the instances that ended a run in the last minutes.
    pub(crate) async fn instances(&self) -> Result<Instances, Problem> {
        let message = |reply| HousekeeperMsg::Instances(INSTANCES_WITHIN, reply);
        Ok(self.answer(READ_LIMIT, message).await??)
    }

    pub(crate) async fn run(&self, run: RunId) -> Result<RunStatus, Problem> {
        let message = |reply| HousekeeperMsg::Run(run, reply);
        Ok(self.answer(READ_LIMIT, message).await??)
    }

    /// Returns a run that has ended, or `None` if it has not within the wait.
    pub(crate) async fn await_run(
        &self,
        run: RunId,
        wait: Duration,
    ) -> Result<Option<RunStatus>, Problem> {
        let message = |reply| HousekeeperMsg::AwaitRun(run, reply);
        Ok(self.ask(wait, message).await?.transpose()?)
    }

    pub(crate) async fn preview(
        &self,
        job: JobName,
        scope: Scope,
        page: Page,
    ) -> Result<Preview, Problem> {
        if self.privacy.without_previews {
            let detail = "the host does not show previews";
            return Err(Problem::new(StatusCode::FORBIDDEN, "no_previews", detail));
        }
        let message = |reply| HousekeeperMsg::Preview(job, scope, page, reply);
        Ok(self.answer(READ_LIMIT, message).await??)
    }

    /// An answer that is due within the limit.
    pub(crate) async fn answer<T: Private + Send + 'static>(
        &self,
        limit: Duration,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    ) -> Result<T, Problem> {
        due(limit, self.ask(limit, message).await?)
    }

    /// An answer, or `None` if there was none within the limit.
    pub(crate) async fn ask<T: Private + Send + 'static>(
        &self,
        limit: Duration,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    ) -> Result<Option<T>, Problem> {
        let mut answer = self.call(limit, message).await?;
        answer.redact(&self.privacy);
        Ok(answer)
    }

    async fn call<T: Send + 'static>(
        &self,
        limit: Duration,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    ) -> Result<Option<T>, Problem> {
        let housekeeper = self.address.housekeeper()?;
        match housekeeper.call(message, Some(limit)).await {
            Ok(CallResult::Success(answer)) => Ok(Some(answer)),
            Ok(CallResult::Timeout) => Ok(None),
            Ok(CallResult::SenderError) | Err(_) => Err(self.address.stopped()),
        }
    }
}

fn due<T>(limit: Duration, answer: Option<T>) -> Result<T, Problem> {
    answer.ok_or_else(|| {
        Problem::unavailable(
            "not_answering",
            format!("the housekeeper did not answer within {limit:?}"),
        )
    })
}

/// Age of the oldest runs by which instances are listed. It covers a tick of the default schedule,
/// and the run that the tick starts.
pub(crate) const INSTANCES_WITHIN: Duration = Duration::from_secs(20 * 60);
