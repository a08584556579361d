//! The pages, as HTML from the server.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use tokio::time::timeout;

use super::assets::{ICON, SCRIPT, STYLE};
use super::extract::{JobPath, JobQuery, PreviewParams, Query};
use super::links::Links;
use super::params::RunPath;
use super::problem::Problem;
use super::{Site, format};
use crate::fmt::thousands;
use crate::model::Status;

pub(crate) mod card;
pub(crate) mod forms;
mod history;
mod plot;
mod preview;
mod run;
mod spark;

/// A whole page.
pub(crate) struct Page {
    status: StatusCode,
    markup: Markup,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (self.status, kind, self.markup.into_string()).into_response()
    }
}

/// A card for each job.
pub(crate) async fn overview(State(site): State<Arc<Site>>, links: Links) -> Page {
    let status = match site.status().await {
        Ok(status) => status,
        Err(problem) => return error_page(&links, &problem),
    };
    let main = html! {
        (card::cards(&links, &status, site.actions))
        @if status.jobs.is_empty() {
            p.empty { "This housekeeper has no jobs." }
        }
    };
    let aside = html! {
        @if site.actions && !status.jobs.is_empty() {
            (forms::run_all(&links))
        }
    };
    page(&links, "Housekeeping", &heading(&status), &aside, &main)
}

/// A job's card and its past.
pub(crate) async fn job(
    State(site): State<Arc<Site>>,
    links: Links,
    JobPath(job): JobPath,
    query: Result<Query<JobQuery>, Problem>,
) -> Page {
    let read = async {
        let Query(query) = query?;
        let (limit, wait) = (query.runs()?, query.wait()?);
        let status = site.status().await?;
        let part = query.history();
        let history = timeout(wait, site.history(job.clone(), part.query()?)).await;
        match history {
            Ok(Err(problem)) if !status.jobs.contains_key(&job) => Err(problem),
            history => Ok((status, history.ok(), limit, part)),
        }
    };
    let (status, history, limit, part) = match read.await {
        Ok(read) => read,
        Err(problem) => return error_page(&links, &problem),
    };
    let main = html! {
        (card::one(&links, &status, &job, site.actions))
        @match &history {
            Some(Ok(history)) => (history::section(&links, history, &part)),
            Some(Err(problem)) => (history::missing(&problem.detail)),
            None => (history::pending(&links.to_job(&job, ""), limit)),
        }
    };
    let mut page = page(&links, job.as_str(), &heading(&status), &html! {}, &main);
    if let Some(Err(problem)) = &history {
        page.status = problem.status;
    }
    page
}

/// One run.
pub(crate) async fn run(
    State(site): State<Arc<Site>>,
    links: Links,
    run: Result<RunPath, Problem>,
) -> Page {
    let read = async {
        let RunPath(run) = run?;
        let status = site.status().await?;
        Ok((status, site.run(run).await?))
    };
    let (status, run) = match read.await {
        Ok(read) => read,
        Err(problem) => return error_page(&links, &problem),
    };
    let main = run::section(&links, &run);
    let title = format!("A run of {}", run.job());
    page(&links, &title, &heading(&status), &html! {}, &main)
}

/// What a run would handle.
pub(crate) async fn preview(
    State(site): State<Arc<Site>>,
    links: Links,
    JobPath(job): JobPath,
    which: Result<Query<PreviewParams>, Problem>,
) -> Page {
    let read = async {
        let Query(which) = which?;
        let page = which.page()?;
        let status = site.status().await?;
        let preview = site.preview(job.clone(), which.scope(), page).await?;
        Ok((status, which, preview))
    };
    let (status, which, rows) = match read.await {
        Ok(read) => read,
        Err(problem) => return error_page(&links, &problem),
    };
    let main = preview::section(&links, &rows, &which);
    let title = format!("Preview of {job}");
    page(&links, &title, &heading(&status), &html! {}, &main)
}

/// What went wrong, with its status.
pub(crate) fn error_page(links: &Links, problem: &Problem) -> Page {
    let title = problem.status.canonical_reason().unwrap_or("Error");
    let main = html! {
        section.problem {
            h2 { (title) }
            p { (problem.detail) }
            p { a href=(links.home()) { "To the overview" } }
        }
    };
    let mut page = page(links, title, &html! {}, &html! {}, &main);
    page.status = problem.status;
    page
}

/// Whose page it is, and since when it runs.
fn heading(status: &Status) -> Markup {
    html! {
        @if let Some(name) = &status.name { span { (name) } " " }
        span { (status.state) }
        @if let Some(started_at) = status.started_at {
            " for " (format::lasting(started_at, status.at))
        }
        @if status.timer_restarts > 0 {
            ", timer restarted " (thousands(status.timer_restarts)) "×"
        }
    }
}

/// The frame around all pages.
fn page(links: &Links, title: &str, heading: &Markup, aside: &Markup, main: &Markup) -> Page {
    let markup = html! {
        (DOCTYPE)
        html lang="en" data-root=(links.root()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) @if title != "Housekeeping" { " · Housekeeping" } }
                link rel="icon" type="image/svg+xml" href=(links.to(&ICON.address()));
                link rel="stylesheet" href=(links.to(&STYLE.address()));
                script defer src=(links.to(&SCRIPT.address())) {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    h1 { a href=(links.home()) { "Housekeeping" } }
                    p.state { (heading) }
                    p.link #link role="status" { "Not live: reload to see more" }
                    div.aside { (aside) }
                }
                main #main tabindex="-1" { (main) }
                div #answer role="status" aria-live="polite" {}
                footer {
                    a href=(links.to("api/v1/status")) { "Status as JSON" }
                    span { "All times are UTC." }
                }
                (forms::dialog())
            }
        }
    };
    Page {
        status: StatusCode::OK,
        markup,
    }
}
