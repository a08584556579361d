//! Couriers and parked entries, as JSON.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acting::Acting;
use super::actions::accepted;
use super::allow::Action;
use super::extract::{JsonBody, Nothing, Query};
use super::json::Json;
use super::links::encoded;
use super::params::in_path;
use super::problem::Problem;
use super::site::{READ_LIMIT, Site};
use crate::actors::HousekeeperMsg;
use crate::fmt::quantity;
use crate::job::JobName;
use crate::model::{
    CourierStatus, EntryId, ParkedEntries, ParkedPage, RequestError, Status, WhichEntries,
};

/// The rule that the path names.
pub(crate) struct RulePath(pub(crate) JobName);

impl<S: Send + Sync> FromRequestParts<S> for RulePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        in_path(parts, state, "rule")
            .await
            .map(|rule| Self(rule.into()))
    }
}

/// Which parked entries.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParkedParams {
    /// `next` of the page before.
    pub(crate) after: Option<EntryId>,
    /// Entries of a page; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) size: Option<NonZeroU32>,
}

impl ParkedParams {
    pub(crate) fn page(&self) -> ParkedPage {
        ParkedPage {
            after: self.after,
            size: self.size.unwrap_or(ParkedPage::default().size),
        }
    }
}

/// A body that says which parked entries are meant. It must say so, because a discarded entry does
/// not come back.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntriesBody {
    /// `all`, or `{"these": [..]}` with the ids of entries. Those that are not parked stay as they
    /// are.
    #[schemars(required, with = "WhichEntries")]
    entries: Option<WhichEntries>,
}

/// A change of parked entries.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Changed {
    /// A sentence for people.
    message: String,
    /// Entries that were changed.
    entries: u64,
}

pub(crate) async fn courier(
    State(site): State<Arc<Site>>,
    RulePath(rule): RulePath,
    _: Query<Nothing>,
) -> Result<Json<CourierStatus>, Problem> {
    site.courier(&rule).await.map(Json)
}

pub(crate) async fn parked(
    State(site): State<Arc<Site>>,
    RulePath(rule): RulePath,
    Query(params): Query<ParkedParams>,
) -> Result<Json<ParkedEntries>, Problem> {
    site.parked(rule, params.page()).await.map(Json)
}

pub(crate) async fn redeliver(
    acting: Acting,
    RulePath(rule): RulePath,
    _: Query<Nothing>,
    JsonBody(body): JsonBody<EntriesBody>,
) -> Result<Response, Problem> {
    change(&acting, Action::Redeliver, rule, body).await
}

pub(crate) async fn discard(
    acting: Acting,
    RulePath(rule): RulePath,
    _: Query<Nothing>,
    JsonBody(body): JsonBody<EntriesBody>,
) -> Result<Response, Problem> {
    change(&acting, Action::Discard, rule, body).await
}

async fn change(
    acting: &Acting,
    action: Action,
    rule: JobName,
    body: EntriesBody,
) -> Result<Response, Problem> {
    acting.check(action, &rule)?;
    let Some(which) = body.entries else {
        return Err(Problem::unprocessable(
            "the body must say which entries: {\"entries\": \"all\"}, or {\"entries\": {\"these\": [7]}}",
        ));
    };
    let Some(entries) = acting.change(action, rule.clone(), which).await? else {
        let message = format!("not all entries of {rule} are changed yet; the rest follows");
        // Relative to `couriers/{rule}/redeliver`.
        return Ok(accepted(message, &format!("../{}", encoded(rule.as_str()))));
    };
    let message = changed(action, &rule, entries);
    Ok(Json(Changed { message, entries }).into_response())
}

/// Says what was done to parked entries.
fn changed(action: Action, rule: &JobName, entries: u64) -> String {
    let entries = quantity(entries, "parked entry", "parked entries");
    let done = match action {
        Action::Discard => "discarded",
        _ => "due again",
    };
    format!("{entries} of {rule} {done}")
}

impl Acting {
    /// Redelivers or discards parked entries. Returns their number, or `None` if the change
    /// outlasts the wait: then it goes on.
    pub(crate) async fn change(
        &self,
        action: Action,
        rule: JobName,
        which: WhichEntries,
    ) -> Result<Option<u64>, Problem> {
        self.check(action, &rule)?;
        let entries = self.ask(CHANGE_WAIT, |reply| match action {
            Action::Discard => HousekeeperMsg::Discard(rule, which, reply),
            _ => HousekeeperMsg::Redeliver(rule, which, reply),
        });
        Ok(entries.await?.transpose()?)
    }
}

/// Returns the status of a rule's courier.
pub(crate) fn courier_in<'a>(
    status: &'a Status,
    rule: &JobName,
) -> Result<&'a CourierStatus, Problem> {
    status.couriers.get(rule).ok_or_else(|| {
        Problem::from(RequestError::NoCourier {
            rule: rule.clone(),
            known: status.couriers.keys().cloned().collect(),
        })
    })
}

impl Site {
    pub(crate) async fn courier(&self, rule: &JobName) -> Result<CourierStatus, Problem> {
        courier_in(&self.status().await?, rule).cloned()
    }

    pub(crate) async fn parked(
        &self,
        rule: JobName,
        page: ParkedPage,
    ) -> Result<ParkedEntries, Problem> {
        let message = |reply| HousekeeperMsg::Parked(rule, page, reply);
        Ok(self.answer(READ_LIMIT, message).await??)
    }
}

/// Wait for a change of parked entries, shorter than the patience of most proxies.
const CHANGE_WAIT: Duration = Duration::from_secs(10);
