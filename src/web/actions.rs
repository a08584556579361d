//! Operations that change something, as JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::acting::{Acting, RunAll};
use super::extract::{JobPath, JsonBody, Nothing, OnlyRun, Query, RunAllBody, ScopeBody, Wait};
use super::json::Json;
use super::problem::Problem;
use super::site::Site;
use crate::job::{JobName, Scope};
use crate::model::{Report, RunId};

/// Lets nothing pass unless the host switched actions on.
pub(crate) async fn if_allowed(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    if site.actions {
        return next.run(request).await;
    }
    Problem::new(
        StatusCode::FORBIDDEN,
        "read_only",
        "this page only reads; the host can switch actions on",
    )
    .into_response()
}

/// The run goes on; the answer says where to look.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Accepted {
    /// The work that continues.
    message: String,
}

/// The run goes on; `runs/{run}` has its report later.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AcceptedRun {
    /// The work that continues.
    message: String,
    /// The run.
    run: RunId,
}

/// The runs of all jobs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AllReports {
    /// A report for each job that ran, in the order of their names.
    reports: Vec<Report>,
    /// Jobs that did not run because they are paused.
    left_out: Vec<JobName>,
}

/// Whether a switch is set now, and whether that is new.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Switched {
    /// A sentence for people.
    message: String,
    /// Whether the job is paused now.
    paused: bool,
    /// Whether that is new.
    changed: bool,
}

/// A run that ends early, or none.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Cancelled {
    /// A sentence for people.
    message: String,
    /// The run that ends after its batch; null if none is in progress.
    cancelled: Option<RunId>,
}

pub(crate) async fn run(
    acting: Acting,
    JobPath(job): JobPath,
    Query(wait): Query<Wait>,
    JsonBody(ScopeBody { scope }): JsonBody<ScopeBody>,
) -> Result<Response, Problem> {
    let wait = wait.time()?;
    let (run, report) = acting.run(job.clone(), scope.clone(), wait).await?;
    if let Some(report) = report {
        return Ok(Json(report).into_response());
    }
    // Relative to `jobs/{job}/run`.
    let location = [(header::LOCATION, format!("../../runs/{run}"))];
    let message = still_running(&job, &scope, wait);
    let body = Json(AcceptedRun { message, run });
    Ok((StatusCode::ACCEPTED, location, body).into_response())
}

pub(crate) async fn run_all(
    acting: Acting,
    Query(wait): Query<Wait>,
    JsonBody(RunAllBody { scope, paused }): JsonBody<RunAllBody>,
) -> Result<Response, Problem> {
    if scope != Scope::All {
        return Err(Problem::unprocessable(
            "all jobs run for everybody; run each job by itself for one user",
        ));
    }
    let wait = wait.time()?;
    let RunAll { reports, left_out } = acting.run_all(wait, paused).await?;
    Ok(match reports {
        Some(reports) => Json(AllReports { reports, left_out }).into_response(),
        None => accepted(all_still_running(wait, &left_out), "status"),
    })
}

pub(crate) async fn cancel(
    acting: Acting,
    JobPath(job): JobPath,
    Query(OnlyRun { run }): Query<OnlyRun>,
    _: JsonBody<Nothing>,
) -> Result<Json<Cancelled>, Problem> {
    let run = acting.cancel(job.clone(), run).await?;
    Ok(Json(Cancelled {
        message: cancelled(&job, run),
        cancelled: run,
    }))
}

pub(crate) async fn pause(
    acting: Acting,
    JobPath(job): JobPath,
    _: Query<Nothing>,
    _: JsonBody<Nothing>,
) -> Result<Json<Switched>, Problem> {
    let changed = acting.pause(job.clone()).await?;
    Ok(Json(Switched {
        message: paused(&job, changed),
        paused: true,
        changed,
    }))
}

pub(crate) async fn resume(
    acting: Acting,
    JobPath(job): JobPath,
    _: Query<Nothing>,
    _: JsonBody<Nothing>,
) -> Result<Json<Switched>, Problem> {
    let changed = acting.resume(job.clone()).await?;
    Ok(Json(Switched {
        message: resumed(&job, changed),
        paused: false,
        changed,
    }))
}

pub(crate) async fn pause_replicas(
    acting: Acting,
    JobPath(job): JobPath,
    _: Query<Nothing>,
    _: JsonBody<Nothing>,
) -> Result<Json<Switched>, Problem> {
    switch_replicas(&acting, job, true).await
}

pub(crate) async fn resume_replicas(
    acting: Acting,
    JobPath(job): JobPath,
    _: Query<Nothing>,
    _: JsonBody<Nothing>,
) -> Result<Json<Switched>, Problem> {
    switch_replicas(&acting, job, false).await
}

async fn switch_replicas(
    acting: &Acting,
    job: JobName,
    paused: bool,
) -> Result<Json<Switched>, Problem> {
    let changed = acting.switch_replicas(job.clone(), paused).await?;
    let message = match (paused, changed) {
        (true, true) => format!("{job} is paused for all replicas"),
        (true, false) => format!("{job} was already paused for all replicas"),
        (false, true) => format!("{job} resumes on all replicas within a minute"),
        (false, false) => format!("{job} was not paused for all replicas"),
    };
    Ok(Json(Switched {
        message,
        paused,
        changed,
    }))
}

pub(crate) fn still_running(job: &JobName, scope: &Scope, waited: Duration) -> String {
    format!(
        "the run of {job} for {scope} has not ended within {}; it goes on",
        humantime::format_duration(waited)
    )
}

pub(crate) fn all_still_running(waited: Duration, left_out: &[JobName]) -> String {
    let mut message = format!(
        "not all runs have ended within {}; they go on",
        humantime::format_duration(waited)
    );
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().map(JobName::as_str).collect();
        message.push_str("; left out because paused: ");
        message.push_str(&names.join(", "));
    }
    message
}

pub(crate) fn cancelled(job: &JobName, run: Option<RunId>) -> String {
    match run {
        Some(run) => format!("run {run} of {job} ends after its batch"),
        None => format!("{job} was not running"),
    }
}

pub(crate) fn paused(job: &JobName, changed: bool) -> String {
    format!(
        "{job} {} paused",
        if changed { "is" } else { "was already" }
    )
}

pub(crate) fn resumed(job: &JobName, changed: bool) -> String {
    if changed {
        format!("{job} runs by itself again, and once now")
    } else {
        format!("{job} was not paused")
    }
}

pub(crate) fn accepted(message: String, look: &str) -> Response {
    let location = [(header::LOCATION, look)];
    (StatusCode::ACCEPTED, location, Json(Accepted { message })).into_response()
}
