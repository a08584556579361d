//! Operations that read.

use std::sync::Arc;

use axum::extract::State;

use crate::job::Preview;
use crate::model::{History, Instances, JobStatus, RunStatus, Status};
use crate::web::extract::{JobPath, Nothing, PreviewParams, Query};
use crate::web::json::Json;
use crate::web::params::{HistoryParams, RunParams, RunPath};
use crate::web::problem::Problem;
use crate::web::site::Site;

type Answer<T> = Result<Json<T>, Problem>;

pub(super) async fn status(State(site): State<Arc<Site>>, _: Query<Nothing>) -> Answer<Status> {
    site.status().await.map(Json)
}

pub(super) async fn job(
    State(site): State<Arc<Site>>,
    JobPath(job): JobPath,
    _: Query<Nothing>,
) -> Answer<JobStatus> {
    site.job(&job).await.map(Json)
}

pub(super) async fn history(
    State(site): State<Arc<Site>>,
    JobPath(job): JobPath,
    Query(params): Query<HistoryParams>,
) -> Answer<History> {
    site.history(job, params.query()?).await.map(Json)
}

pub(super) async fn instances(
    State(site): State<Arc<Site>>,
    _: Query<Nothing>,
) -> Answer<Instances> {
    site.instances().await.map(Json)
}

pub(super) async fn run(
    State(site): State<Arc<Site>>,
    RunPath(run): RunPath,
    Query(params): Query<RunParams>,
) -> Answer<RunStatus> {
    let found = match params.wait()? {
        Some(wait) => site.await_run(run, wait).await?,
        None => None,
    };
    match found {
        Some(ended) => Ok(Json(ended)),
        None => site.run(run).await.map(Json),
    }
}

pub(super) async fn preview(
    State(site): State<Arc<Site>>,
    JobPath(job): JobPath,
    Query(params): Query<PreviewParams>,
) -> Answer<Preview> {
    let page = params.page()?;
    site.preview(job, params.scope(), page).await.map(Json)
}
