//! The page of a courier: its newest deliveries, its parked entries, and the actions on them.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::confirm::{asked, form, see};
use super::couriers;
use super::forms::{Act, action_in_path};
use super::frame::{Page, error_page, heading, page};
use crate::fmt::{quantity, thousands};
use crate::job::JobName;
use crate::model::{CourierStatus, EntryId, ParkedEntries, ParkedEntry, Status, WhichEntries};
use crate::web::acting::Acting;
use crate::web::allow::Action;
use crate::web::couriers::{ParkedParams, RulePath, courier_in};
use crate::web::extract::{Nothing, Query};
use crate::web::format::{self, shown};
use crate::web::links::{Links, encoded};
use crate::web::problem::Problem;
use crate::web::site::Site;

/// An action on parked entries, as a path names it.
pub(crate) struct ParkedAct(Action);

impl<S: Send + Sync> FromRequestParts<S> for ParkedAct {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        action_in_path(parts, state, true).await.map(Self)
    }
}

/// The fields of a form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    /// The only entry that is meant; all if not given.
    entry: Option<EntryId>,
}

impl Fields {
    fn which(&self) -> WhichEntries {
        self.entry
            .map_or(WhichEntries::All, |id| WhichEntries::These(vec![id]))
    }
}

/// A page of parked entries, and the action of the form that led to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CourierQuery {
    after: Option<EntryId>,
    size: Option<NonZeroU32>,
    done: Option<String>,
}

/// A courier, its newest deliveries and its parked entries.
pub(crate) async fn courier(
    State(site): State<Arc<Site>>,
    viewer: Parts,
    links: Links,
    RulePath(rule): RulePath,
    query: Result<Query<CourierQuery>, Problem>,
) -> Page {
    let read = async {
        let Query(CourierQuery { after, size, done }) = query?;
        let params = ParkedParams { after, size };
        let status = site.status().await?;
        let courier = courier_in(&status, &rule)?.clone();
        let parked = site.parked(rule.clone(), params.page()).await;
        Ok((status, courier, parked, params, done.is_some()))
    };
    let (status, courier, parked, params, done) = match read.await {
        Ok(read) => read,
        Err(problem) => return error_page(&links, &problem),
    };
    let shows = site.shows(&status, Some(&viewer));
    let offered: Vec<Action> = [Action::Redeliver, Action::Discard]
        .into_iter()
        .filter(|action| shows.offers(*action, &rule))
        .collect();
    let main = html! {
        @if let (true, Ok(parked)) = (done, &parked) { (left(parked)) }
        div #courier {
            div.cards.single { (couriers::card(&links, &courier, status.at)) }
            (recent(&courier, &status))
            @match &parked {
                Ok(parked) => (section(&links, parked, &params, &offered)),
                Err(problem) => section.problem { h2 { "Parked entries" } p { (shown(&problem.detail)) } },
            }
        }
    };
    let title = format!("Deliveries of {rule}");
    let mut page = page(&links, &title, &heading(&status), &html! {}, &main);
    if let Err(problem) = parked {
        page.status = problem.status;
    }
    page
}

/// The result of an action: the entries that are left.
fn left(parked: &ParkedEntries) -> Markup {
    let entries = quantity(parked.entries.len() as u64, "entry", "entries");
    let more = if parked.next.is_some() {
        "at least "
    } else {
        ""
    };
    html! {
        section.question.result role="status" {
            h2 { "Parked now: " (more) (entries) }
            p { "An action changes only entries that are parked." }
        }
    }
}

fn recent(courier: &CourierStatus, status: &Status) -> Markup {
    html! {
        @if !courier.recent.is_empty() {
            section.history aria-labelledby="recent" {
                h2 #recent { "Newest deliveries" }
                ul {
                    @for record in &courier.recent { li { (couriers::end(record, status.at)) } }
                }
            }
        }
    }
}

fn section(
    links: &Links,
    parked: &ParkedEntries,
    params: &ParkedParams,
    offered: &[Action],
) -> Markup {
    let here = links.to_courier(&parked.rule, "");
    let (page, rule) = (params.page(), &parked.rule);
    html! {
        section.preview aria-labelledby="parked" {
            h2 #parked { "Parked entries" }
            @if parked.entries.is_empty() {
                p.empty { "No entries on this page." }
            } @else {
                @if !offered.is_empty() { (buttons(links, rule, None, offered)) }
                div.scroll tabindex="0" role="region" aria-label="Entries" {
                    table {
                        thead { tr {
                            th scope="col" { "Entry" }
                            th scope="col" { "Topic" }
                            th scope="col" { "Key" }
                            th scope="col" { "Attempts" }
                            th scope="col" { "Parked" }
                            th scope="col" { "Last error" }
                            th scope="col" { "Payload" }
                            @if !offered.is_empty() { th scope="col" { "Actions" } }
                        } }
                        tbody {
                            @for entry in &parked.entries { (row(links, rule, entry, offered)) }
                        }
                    }
                }
            }
            nav.pages aria-label="Pages" {
                @if page.after.is_some() { a href={ (here) "?size=" (page.size) } rel="prev" { "First page" } }
                @if let Some(next) = parked.next {
                    a rel="next" href={ (here) "?size=" (page.size) "&after=" (next) } { "Next page" }
                }
            }
        }
    }
}

fn row(links: &Links, rule: &JobName, parked: &ParkedEntry, offered: &[Action]) -> Markup {
    let entry = &parked.entry;
    html! {
        tr data-key=(entry.id) {
            td { (entry.id) }
            td { (shown(&entry.topic)) }
            td.id { (shown(&entry.key)) }
            td { (thousands(entry.attempts.into())) }
            td { time datetime=(parked.parked_at.to_rfc3339()) { (format::utc(parked.parked_at)) } }
            td { (shown(parked.error.as_deref().unwrap_or("–"))) }
            td.id { (shown(&entry.payload)) }
            @if !offered.is_empty() { td { (buttons(links, rule, Some(entry.id), offered)) } }
        }
    }
}

/// The buttons of one entry, or of all.
fn buttons(links: &Links, rule: &JobName, entry: Option<EntryId>, offered: &[Action]) -> Markup {
    html! {
        div.acts role="group" aria-label={ "Actions on " (object(rule, entry)) } {
            @for &action in offered {
                form.act.(action) action=(links.to_courier(rule, &format!("/{action}")))
                    data-api=(format!("api/v1/couriers/{}/{action}", encoded(rule.as_str())))
                    data-body=(body(entry)) data-title=(title(Act(action), rule, entry))
                    data-consequence=(Act(action).consequence()) {
                    @if let Some(id) = entry { input type="hidden" name="entry" value=(id); }
                    button aria-label=(title(Act(action), rule, entry)) {
                        (Act(action).label()) @if entry.is_none() { " all" }
                    }
                }
            }
        }
    }
}

/// The body of a request by the script.
fn body(entry: Option<EntryId>) -> String {
    match entry {
        None => r#"{"entries":"all"}"#.to_owned(),
        Some(id) => format!(r#"{{"entries":{{"these":[{id}]}}}}"#),
    }
}

fn object(rule: &JobName, entry: Option<EntryId>) -> String {
    match entry {
        None => format!("all parked entries of {rule}"),
        Some(id) => format!("entry {id} of {rule}"),
    }
}

fn title(act: Act, rule: &JobName, entry: Option<EntryId>) -> String {
    format!("{} {}", act.label(), object(rule, entry))
}

/// The page that asks.
pub(crate) async fn confirm(
    State(site): State<Arc<Site>>,
    acting: Acting,
    links: Links,
    RulePath(rule): RulePath,
    ParkedAct(action): ParkedAct,
    fields: Result<Query<Fields>, Problem>,
) -> Page {
    let read = async {
        let Query(fields) = fields?;
        acting.check(action, &rule)?;
        site.courier(&rule).await?;
        Ok(fields)
    };
    let fields = match read.await {
        Ok(fields) => fields,
        Err(problem) => return error_page(&links, &problem),
    };
    let (act, word) = (Act(action), format!("./{action}"));
    let title = title(act, &rule, fields.entry);
    let hidden = html! {
        @if let Some(id) = fields.entry { input type="hidden" name="entry" value=(id); }
    };
    asked(&links, &word, &title, None, act.consequence(), &hidden)
}

/// Acts, and redirects to the page of the courier, which lists what is left.
pub(crate) async fn submit(
    acting: Acting,
    links: Links,
    RulePath(rule): RulePath,
    ParkedAct(action): ParkedAct,
    _: Query<Nothing>,
    request: Request,
) -> Response {
    let done = async {
        let fields: Fields = form(request).await?;
        acting.change(action, rule.clone(), fields.which()).await
    };
    match done.await {
        Ok(_) => see(&format!("../{}?done={action}", encoded(rule.as_str()))),
        Err(problem) => error_page(&links, &problem).into_response(),
    }
}
