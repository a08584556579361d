//! Answers as JSON.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Problem;

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
