//! Requests that act, each in the name of its requester.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use ractor::RpcReplyPort;

use super::allow::Action;
use super::privacy::Private;
use super::problem::Problem;
use super::site::{ANSWER_LIMIT, READ_LIMIT, Site};
use crate::actors::HousekeeperMsg;
use crate::fmt::log_line;
use crate::job::{JobName, Scope};
use crate::model::{Report, RequestError, Requester, RunId, RunStatus, Status, WorkerStatus};

/// A request that acts. Each of its messages is checked with the host, and carries the
/// [`Requester`] of the request's extensions.
pub(crate) struct Acting {
    site: Arc<Site>,
    parts: Parts,
}

impl FromRequestParts<Arc<Site>> for Acting {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        Ok(Self {
            site: site.clone(),
            parts: parts.clone(),
        })
    }
}

/// A run of all jobs.
pub(crate) struct RunAll {
    /// `None` if the runs outlast the wait: then they go on.
    pub(crate) reports: Option<Vec<Report>>,
    /// Jobs that are paused, and did not run.
    pub(crate) left_out: Vec<JobName>,
}

impl Acting {
    /// Returns a problem unless the host allows the action on the job.
    pub(crate) fn check(&self, action: Action, job: &JobName) -> Result<(), Problem> {
        if self.site.allow.allows(&self.parts, action, job) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "not_allowed",
            format!(
                "the host does not allow you to {action} {}",
                log_line(job.as_str())
            ),
        ))
    }

    /// Runs a job. Returns the run, and its report unless it outlasts `wait`: then it goes on.
    pub(crate) async fn run(
        &self,
        job: JobName,
        scope: Scope,
        wait: Duration,
    ) -> Result<(RunId, Option<Report>), Problem> {
        self.check(Action::Run, &job)?;
        let run = self
            .switch(|reply| HousekeeperMsg::Enqueue(job, scope, reply))
            .await?;
        let report = match self.site.await_run(run, wait).await? {
            Some(RunStatus::Ended { report }) => Some(*report),
            _ => None,
        };
        Ok((run, report))
    }

    /// Runs all jobs that are not paused, and those as well if `paused` asks for them; none if the
    /// host does not allow one of them.
    pub(crate) async fn run_all(&self, wait: Duration, paused: bool) -> Result<RunAll, Problem> {
        let left_out = self.check_all(&self.site.status().await?, paused)?;
        let message = if paused {
            HousekeeperMsg::RunAllAndPaused
        } else {
            HousekeeperMsg::RunAll
        };
        let reports = self.ask(wait, message).await?.transpose()?;
        Ok(RunAll { reports, left_out })
    }

    /// Returns the paused jobs that a run of all leaves out; a problem unless the host allows each
    /// of the others.
    pub(crate) fn check_all(&self, status: &Status, paused: bool) -> Result<Vec<JobName>, Problem> {
        let mut left_out = Vec::new();
        for job in status.jobs.values() {
            if job.worker == WorkerStatus::Disabled {
                continue;
            }
            if job.paused && !paused {
                left_out.push(job.job.clone());
            } else {
                self.check(Action::Run, &job.job)?;
            }
        }
        Ok(left_out)
    }

    /// Returns the run that ends after its batch, if there is one.
    /// With `only`, ends no other run.
    pub(crate) async fn cancel(
        &self,
        job: JobName,
        only: Option<RunId>,
    ) -> Result<Option<RunId>, Problem> {
        self.check(Action::Cancel, &job)?;
        self.switch(|reply| match only {
            Some(run) => HousekeeperMsg::CancelRun(job, run, reply),
            None => HousekeeperMsg::Cancel(job, reply),
        })
        .await
    }

    /// Returns whether the job ran on its schedule before.
    pub(crate) async fn pause(&self, job: JobName) -> Result<bool, Problem> {
        self.check(Action::Pause, &job)?;
        self.switch(|reply| HousekeeperMsg::Pause(job, reply)).await
    }

    /// Returns whether the job was paused before.
    pub(crate) async fn resume(&self, job: JobName) -> Result<bool, Problem> {
        self.check(Action::Resume, &job)?;
        self.switch(|reply| HousekeeperMsg::Resume(job, reply))
            .await
    }

    /// Begins or ends a pause for all replicas, which the database keeps. Returns whether that
    /// changed it.
    pub(crate) async fn switch_replicas(
        &self,
        job: JobName,
        paused: bool,
    ) -> Result<bool, Problem> {
        let (action, message): (_, fn(_, _) -> _) = if paused {
            (Action::PauseReplicas, HousekeeperMsg::PauseReplicas)
        } else {
            (Action::ResumeReplicas, HousekeeperMsg::ResumeReplicas)
        };
        self.check(action, &job)?;
        let message = self.signed(|reply| message(job, reply));
        Ok(self.site.answer(READ_LIMIT, message).await??)
    }

    async fn switch<T: Private + Send + 'static>(
        &self,
        message: impl FnOnce(RpcReplyPort<Result<T, RequestError>>) -> HousekeeperMsg,
    ) -> Result<T, Problem> {
        let message = self.signed(message);
        Ok(self.site.answer(ANSWER_LIMIT, message).await??)
    }

    pub(super) async fn ask<T: Private + Send + 'static>(
        &self,
        wait: Duration,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    ) -> Result<Option<T>, Problem> {
        self.site.ask(wait, self.signed(message)).await
    }

    fn signed<T>(
        &self,
        message: impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg,
    ) -> impl FnOnce(RpcReplyPort<T>) -> HousekeeperMsg {
        let by = self.parts.extensions.get::<Requester>().cloned();
        move |reply| match by {
            Some(by) => message(reply).requested_by(by),
            None => message(reply),
        }
    }
}
