//! Errors as RFC 9457 has them.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::RequestError;

/// Why a request was not served.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// For programs; the same for the same kind of problem.
    kind: &'static str,
    /// For people.
    pub(crate) detail: String,
    refusal: Option<RequestError>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
            refusal: None,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub(crate) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", detail)
    }

    pub(crate) fn unavailable(kind: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail)
    }
}

/// Returns whether a request that was answered with this status may succeed soon.
pub(crate) fn may_retry(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

impl From<RequestError> for Problem {
    fn from(refusal: RequestError) -> Self {
        let (status, kind) = match &refusal {
            RequestError::UnknownJob { .. } => (StatusCode::NOT_FOUND, "unknown_job"),
            RequestError::UnknownRun { .. } => (StatusCode::NOT_FOUND, "unknown_run"),
            RequestError::NoCourier { .. } => (StatusCode::NOT_FOUND, "no_courier"),
            RequestError::Disabled { .. } => (StatusCode::CONFLICT, "off"),
            RequestError::Scope { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "scope"),
            RequestError::TooManyScopes { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_scopes")
            }
            RequestError::Page { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "page"),
            RequestError::Schedule { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "schedule"),
            RequestError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            RequestError::PausedForAll { .. } => (StatusCode::CONFLICT, "paused_for_all"),
            RequestError::NoSharedHistory { .. } => (StatusCode::CONFLICT, "no_shared_history"),
            RequestError::OtherRun { .. } => (StatusCode::CONFLICT, "other_run"),
            RequestError::ReadTimeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "read_timeout"),
            RequestError::Failed { .. } => (StatusCode::BAD_GATEWAY, "failed"),
            RequestError::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "shutting_down"),
        };
        Self {
            status,
            kind,
            detail: refusal.to_string(),
            refusal: Some(refusal),
        }
    }
}

/// As it is written. The type is `about:blank`, so the title is that of the status; `kind` and
/// `refusal` are members of our own.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemJson<'a> {
    /// Always `about:blank`.
    r#type: &'static str,
    /// The name of the status.
    title: &'a str,
    /// The status.
    status: u16,
    /// The error, for people.
    detail: &'a str,
    /// The kind of the error, for programs.
    kind: &'static str,
    /// The housekeeper's refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a RequestError>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&ProblemJson {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            kind: self.kind,
            refusal: self.refusal.as_ref(),
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, body.unwrap_or_default()).into_response();
        response.extensions_mut().insert(Detail(self.detail));
        with_retry_after(response)
    }
}

/// Says when to retry, if the status lets a retry succeed.
pub(crate) fn with_retry_after(mut response: Response) -> Response {
    if may_retry(response.status()) {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    response
}

/// The sentence of a problem, beside its JSON: a page shows it as HTML.
#[derive(Clone)]
pub(crate) struct Detail(pub(crate) String);

pub(crate) async fn not_found(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        format!("there is nothing at {}", uri.path()),
    )
}

/// axum adds the methods that would be right as `Allow`.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path has other methods, see Allow",
    )
}

const RETRY_AFTER_SECONDS: u16 = 5;
