//! Operations that read.

use std::sync::Arc;

use axum::extract::State;

use super::Json;
use crate::job::Preview;
use crate::model::{History, JobStatus, Status};
use crate::web::Site;
use crate::web::extract::{JobPath, Limit, PreviewParams, Query};
use crate::web::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

pub(super) async fn status(State(site): State<Arc<Site>>) -> Answer<Status> {
    site.status().await.map(Json)
}

pub(super) async fn job(State(site): State<Arc<Site>>, JobPath(job): JobPath) -> Answer<JobStatus> {
    site.job(&job).await.map(Json)
}

pub(super) async fn history(
    State(site): State<Arc<Site>>,
    JobPath(job): JobPath,
    Query(limit): Query<Limit>,
) -> Answer<History> {
    site.history(job, limit.runs()?).await.map(Json)
}

pub(super) async fn preview(
    State(site): State<Arc<Site>>,
    JobPath(job): JobPath,
    Query(params): Query<PreviewParams>,
) -> Answer<Preview> {
    let page = params.page()?;
    site.preview(job, params.scope(), page).await.map(Json)
}
