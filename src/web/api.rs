//! What can be read, as JSON.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Site;
use super::extract::{JobPath, Limit, PreviewParams, Query};
use super::problem::Problem;
use crate::job::Preview;
use crate::model::{History, JobStatus, Status};

/// An answer as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            // Our answers can all be written; a map with keys that are no text could not.
            Err(error) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unwritable",
                error.to_string(),
            )
            .into_response(),
        }
    }
}

type Answer<T> = Result<Json<T>, Problem>;

pub(crate) async fn status(State(site): State<Arc<Site>>) -> Answer<Status> {
    site.status().await.map(Json)
}

pub(crate) async fn job(State(site): State<Arc<Site>>, JobPath(job): JobPath) -> Answer<JobStatus> {
    site.job(&job).await.map(Json)
}

pub(crate) async fn history(
    State(site): State<Arc<Site>>,
    JobPath(job): JobPath,
    Query(limit): Query<Limit>,
) -> Answer<History> {
    site.history(job, limit.runs()?).await.map(Json)
}

pub(crate) async fn preview(
    State(site): State<Arc<Site>>,
    JobPath(job): JobPath,
    Query(which): Query<PreviewParams>,
) -> Answer<Preview> {
    let page = which.page()?;
    site.preview(job, which.scope(), page).await.map(Json)
}
