//! Confirmation and result of an action, for browsers without a script.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::forms::{ALL_TITLE, Act, all_consequence, paused};
use super::frame::{Page, error_page, page};
use crate::fmt::quantity;
use crate::job::{self, JobName, Scope};
use crate::model::{JobStatus, RunId};
use crate::web::acting::{Acting, RunAll};
use crate::web::allow::Action;
use crate::web::done::Done;
use crate::web::extract::{JobPath, Nothing, Query, scope, unread};
use crate::web::format::shown;
use crate::web::links::{Links, encoded};
use crate::web::problem::Problem;
use crate::web::site::Site;

/// The fields of a form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fields {
    user: Option<String>,
    run: Option<RunId>,
}

impl Fields {
    /// Refuses fields that the action does not have: it would do more than they say.
    fn check(&self, act: Act) -> Result<(), Problem> {
        let refuse = |field| Err(Problem::unprocessable(format!("{} has no {field}", act.0)));
        match act.0 {
            Action::Run if self.run.is_none() => Ok(()),
            Action::Cancel if self.user.is_none() => Ok(()),
            _ if self.user.is_some() => refuse("user"),
            _ if self.run.is_some() => refuse("run"),
            _ => Ok(()),
        }
    }

    fn scope(&self) -> Scope {
        scope(self.user.as_deref())
    }
}

/// The page that asks.
pub(crate) async fn confirm(
    State(site): State<Arc<Site>>,
    acting: Acting,
    links: Links,
    JobPath(job): JobPath,
    act: Act,
    fields: Result<Query<Fields>, Problem>,
) -> Page {
    let read = async {
        let Query(fields) = fields?;
        fields.check(act)?;
        acting.check(act.0, &job)?;
        let status = site.job(&job).await?;
        let due = match act.0 {
            Action::Run => Some(due(&site, &status, fields.scope()).await?),
            _ => None,
        };
        Ok((fields, due))
    };
    let (fields, due) = match read.await {
        Ok(read) => read,
        Err(problem) => return error_page(&links, &problem),
    };
    let title = match (act.0, fields.scope()) {
        (Action::Run, Scope::All) => format!("{} for all users", act.title(&job)),
        (Action::Run, Scope::User(user)) => {
            format!("{} for user {}", act.title(&job), shown(&user))
        }
        _ => act.title(&job),
    };
    let hidden = html! {
        @if let Some(user) = fields.user.as_deref().filter(|user| !user.is_empty()) {
            input type="hidden" name="user" value=(user);
        }
        @if let Some(run) = &fields.run { input type="hidden" name="run" value=(run); }
    };
    let word = format!("./{}", act.0);
    asked(
        &links,
        &word,
        &title,
        due.as_deref(),
        act.consequence(),
        &hidden,
    )
}

/// Returns how many rows a run would handle now. A database that is slow delays no confirmation.
async fn due(site: &Site, job: &JobStatus, scope: Scope) -> Result<String, Problem> {
    let page = job::Page::first(const { std::num::NonZeroU32::new(1).expect("1 is not zero") });
    let preview = timeout(COUNT_PATIENCE, site.preview(job.job.clone(), scope, page)).await;
    Ok(match preview {
        Ok(Ok(preview)) => format!("{} due now.", rows_are(preview.due)),
        // The run would be refused as well.
        Ok(Err(problem)) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
            return Err(problem);
        }
        _ => "The number of due rows is not known.".to_owned(),
    })
}

fn rows_are(due: job::BoundedCount) -> String {
    match (due.capped, due.count) {
        (true, count) => format!("More than {} are", quantity(count, "row", "rows")),
        (false, 0) => "No rows are".to_owned(),
        (false, 1) => "1 row is".to_owned(),
        (false, count) => format!("{} are", quantity(count, "row", "rows")),
    }
}

pub(crate) async fn confirm_all(
    State(site): State<Arc<Site>>,
    acting: Acting,
    links: Links,
    query: Result<Query<Nothing>, Problem>,
) -> Page {
    let read = async {
        query?;
        let status = site.status().await?;
        acting.check_all(&status, false)?;
        Ok(status)
    };
    match read.await {
        Ok(status) => {
            let consequence = all_consequence(&paused(&status));
            asked(&links, "./run", ALL_TITLE, None, &consequence, &html! {})
        }
        Err(problem) => error_page(&links, &problem),
    }
}

/// Acts, and redirects to the result, so that a reload does not act again.
pub(crate) async fn submit(
    acting: Acting,
    links: Links,
    JobPath(job): JobPath,
    act: Act,
    _: Query<Nothing>,
    request: Request,
) -> Response {
    let done = async {
        let fields: Fields = form(request).await?;
        fields.check(act)?;
        act.perform(&acting, job.clone(), &fields).await
    };
    match done.await {
        Ok(done) => see(&format!("../{}?{}", encoded(job.as_str()), done.query())),
        Err(problem) => error_page(&links, &problem).into_response(),
    }
}

pub(crate) async fn submit_all(
    acting: Acting,
    links: Links,
    _: Query<Nothing>,
    request: Request,
) -> Response {
    let done = async {
        let Nothing {} = form(request).await?;
        let RunAll { reports, .. } = acting.run_all(PATIENCE, false).await?;
        Ok(match reports {
            Some(_) => Done::RanAll,
            None => Done::RunningAll,
        })
    };
    match done.await {
        Ok(done) => see(&format!("{}?{}", links.home(), done.query())),
        Err(problem) => error_page(&links, &problem).into_response(),
    }
}

pub(super) async fn form<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let form = axum::extract::Form::<T>::from_request(request, &()).await;
    let form = form.map_err(|rejection| unread(rejection.status(), rejection.body_text()))?;
    Ok(form.0)
}

pub(super) fn see(location: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

impl Act {
    async fn perform(
        self,
        acting: &Acting,
        job: JobName,
        fields: &Fields,
    ) -> Result<Done, Problem> {
        Ok(match self.0 {
            Action::Run => match acting.run(job, fields.scope(), PATIENCE).await? {
                (run, Some(_)) => Done::Ran(run),
                (_, None) => Done::Running,
            },
            Action::Cancel => match acting.cancel(job, fields.run).await? {
                Some(run) => Done::Cancelled(run),
                None => Done::NotRunning,
            },
            Action::Pause => acting.pause(job).await.map(|_| Done::Paused)?,
            Action::Resume => acting.resume(job).await.map(|_| Done::Resumed)?,
            Action::PauseReplicas => {
                let paused = acting.switch_replicas(job, true).await;
                paused.map(|_| Done::Paused)?
            }
            Action::ResumeReplicas => {
                let resumed = acting.switch_replicas(job, false).await;
                resumed.map(|_| Done::Resumed)?
            }
            Action::Redeliver | Action::Discard => {
                let detail = format!("{} is for parked entries", self.0);
                return Err(Problem::unprocessable(detail));
            }
        })
    }
}

pub(super) fn asked(
    links: &Links,
    word: &str,
    title: &str,
    due: Option<&str>,
    consequence: &str,
    hidden: &Markup,
) -> Page {
    let main = html! {
        section.question aria-labelledby="question" {
            h2 #question { (title) "?" }
            @if let Some(due) = due { p { strong { (due) } } }
            p { (consequence) }
            // Without the query of this page.
            form.buttons method="post" action=(word) {
                (hidden)
                a.button href=(links.home()) { "Go back" }
                button.go { (title) }
            }
        }
    };
    page(links, title, &html! {}, &html! {}, &main)
}

/// How long a page without a script waits for a run.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a confirmation waits for the number of due rows.
const COUNT_PATIENCE: Duration = Duration::from_millis(500);
