//! Parts of a request, read by axum. Those that cannot be read are problems.

use std::num::NonZeroU32;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};

use super::done::Done;
use super::params::{self, HistoryParams};
use super::problem::Problem;
use super::site::ANSWER_LIMIT;
use crate::job::{Cursor, JobName, Page, Scope};
use crate::model::{HistoryCursor, OutcomeKind, RunId};

/// The job that the path names.
pub(crate) struct JobPath(pub(crate) JobName);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        params::in_path(parts, state, "job")
            .await
            .map(|job| Self(job.into()))
    }
}

/// The query.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|query| Self(query.0))
            .map_err(|rejection| Problem::bad_request(rejection.body_text()))
    }
}

/// How much of a history the page of a job shows, and how long it waits for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobQuery {
    #[serde(default, deserialize_with = "params::number")]
    limit: Option<NonZeroU32>,
    wait: Option<u64>,
    #[serde(default, deserialize_with = "params::cursor")]
    after: Option<HistoryCursor>,
    #[serde(default, deserialize_with = "params::instant")]
    from: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "params::instant")]
    until: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "params::outcomes")]
    outcome: Vec<OutcomeKind>,
    done: Option<String>,
    run: Option<RunId>,
}

impl JobQuery {
    /// The action of the form that led here.
    pub(crate) fn done(&self) -> Option<Done> {
        Done::parse(self.done.as_deref()?, self.run)
    }

    /// Which part of the history the page shows.
    pub(crate) fn history(&self) -> HistoryParams {
        HistoryParams {
            limit: self.limit,
            after: self.after.clone(),
            from: self.from,
            until: self.until,
            outcome: self.outcome.clone(),
        }
    }

    /// Short by default: the card is what a person looks for first.
    pub(crate) fn wait(&self) -> Result<Duration, Problem> {
        let wait = self.wait;
        wait.map_or(Ok(HISTORY_PATIENCE), |_| Wait { wait }.time())
    }
}

/// The user and the page of a preview.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewParams {
    /// The user whose rows are listed; all users if not given.
    pub(crate) user: Option<String>,
    /// Rows of a page; 50 if not given.
    #[serde(default, deserialize_with = "unless_empty")]
    #[schemars(range(min = 1, max = 1000))]
    size: Option<NonZeroU32>,
    /// `since` of the `next` of the page before. Goes with `after_id`.
    after_since: Option<DateTime<Utc>>,
    /// `id` of the `next` of the page before. Goes with `after_since`.
    after_id: Option<String>,
}

impl PreviewParams {
    pub(crate) fn scope(&self) -> Scope {
        scope(self.user.as_deref())
    }

    pub(crate) fn page(&self) -> Result<Page, Problem> {
        let after = match (self.after_since, self.after_id.clone()) {
            (Some(since), Some(id)) => Some(Cursor { since, id }),
            (None, None) => None,
            _ => {
                return Err(Problem::bad_request(
                    "after_since and after_id go together; both are in `next` of the page before",
                ));
            }
        };
        let size = self.size();
        Ok(Page { size, after })
    }

    pub(crate) fn size(&self) -> NonZeroU32 {
        self.size.unwrap_or(Page::default().size)
    }

    pub(crate) fn is_first(&self) -> bool {
        self.after_id.is_none()
    }
}

/// How long to wait for a run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// Seconds to wait for the end of the run; 10 if not given.
    #[schemars(range(max = 30))]
    wait: Option<u64>,
}

impl Wait {
    /// Long enough to receive a rejection, which comes at once: a rejected request does not
    /// continue.
    pub(crate) fn time(&self) -> Result<Duration, Problem> {
        Ok(params::wait_of(self.wait.unwrap_or(USUAL_WAIT))?.max(ANSWER_LIMIT))
    }
}

/// A body of JSON; an empty body has no members. A list is refused, although serde takes one for
/// the members in their order.
pub(crate) struct JsonBody<T>(pub(crate) T);

/// A body that says for whom a run is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeBody {
    /// `all`, or `{"user": ".."}`; all if not given.
    #[serde(default)]
    pub(crate) scope: Scope,
}

/// A body that says which jobs run.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunAllBody {
    /// `all`: all jobs run for everybody.
    #[serde(default)]
    #[schemars(with = "AllRows")]
    pub(crate) scope: Scope,
    /// Whether paused jobs run; they do not if not given.
    #[serde(default)]
    pub(crate) paused: bool,
}

/// The only scope of a run of all jobs.
#[derive(Default, JsonSchema)]
#[schemars(rename_all = "snake_case", inline)]
enum AllRows {
    #[default]
    All,
}

/// A query or a body without members.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The run that a request is about.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnlyRun {
    /// Ends this run, and no other; the run in progress if not given.
    pub(crate) run: Option<RunId>,
}

impl<S: Send + Sync, T: Default + DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let body = body(request, state).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "a body has to be sent as application/json",
            ));
        }
        let read = serde_json::from_slice(&body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::unprocessable(error.to_string()),
            _ => Problem::bad_request(error.to_string()),
        })?;
        if body.trim_ascii_start().first() != Some(&b'{') {
            let detail = "the body must be an object, such as {}";
            return Err(Problem::unprocessable(detail));
        }
        Ok(Self(read))
    }
}

/// The whole body, if it is not too large.
pub(crate) async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| unread(rejection.status(), rejection.body_text()))
}

/// Why a body could not be read.
pub(crate) fn unread(status: StatusCode, why: String) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "too_large", "the body is larger than 16 kB")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(status, "not_form", why),
        StatusCode::UNPROCESSABLE_ENTITY => Problem::unprocessable(why),
        _ => Problem::bad_request(why),
    }
}

/// A field of a form that was cleared says nothing.
fn unless_empty<'de, D: Deserializer<'de>>(field: D) -> Result<Option<NonZeroU32>, D::Error> {
    match String::deserialize(field)?.as_str() {
        "" => Ok(None),
        number => number.parse().map(Some).map_err(D::Error::custom),
    }
}

/// Returns the scope of a field in which a user may stand. An empty one is everybody; any other is
/// a user, who may be invalid.
pub(crate) fn scope(user: Option<&str>) -> Scope {
    match user {
        None | Some("") => Scope::All,
        Some(user) => Scope::user(user),
    }
}

/// Whether the type is `application/json`, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Wait of a job's page for its history. A database that answers takes a few milliseconds.
const HISTORY_PATIENCE: Duration = Duration::from_millis(150);

/// Seconds.
const USUAL_WAIT: u64 = 10;
