//! The JSON API, `api/v1`: one table of operations, from which the routes and the OpenAPI document
//! follow.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Site;
use super::actions::if_allowed;
use super::problem::Problem;

mod openapi;
mod operation;
mod operations;
mod reads;

/// The path of the API in the router.
pub(crate) const ROOT: &str = "/api/v1";

/// The routes of all operations, and of the document that describes them.
pub(crate) fn router(site: &Arc<Site>) -> Router<Arc<Site>> {
    let (mut reads, mut acts) = (Router::new(), Router::new());
    for operation in operations::all() {
        let routes = if operation.acts {
            &mut acts
        } else {
            &mut reads
        };
        *routes = std::mem::take(routes).route(operation.path, operation.handler);
    }
    reads
        .route("/openapi.json", axum::routing::get(openapi::document))
        .merge(acts.route_layer(from_fn_with_state(site.clone(), if_allowed)))
}

/// An answer as JSON.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            // Only a map whose keys are not text cannot be written, and no answer has one.
            Err(error) => Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unwritable",
                error.to_string(),
            )
            .into_response(),
        }
    }
}
