//! The JSON API, `api/v1`: one table of operations, from which the routes and the OpenAPI document
//! follow.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

use super::actions::if_allowed;
use super::site::Site;

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
