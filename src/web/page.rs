//! The pages, as HTML from the server.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;
use tokio::time::timeout;

use super::allow::Action;
use super::done::Done;
use super::extract::{JobPath, JobQuery, PreviewParams, Query};
use super::links::Links;
use super::params::RunPath;
use super::problem::{Detail, Problem};
use super::site::Site;
use crate::model::WorkerStatus;

pub(crate) mod card;
pub(crate) mod confirm;
mod couriers;
mod filter;
mod forms;
mod frame;
mod history;
mod instances;
pub(crate) mod parked;
mod plot;
mod preview;
mod result;
mod run;
mod spark;
pub(crate) mod triage;

use filter::Filter;
use frame::{Page, error_page, heading, page};

/// The query of the overview. Other members are ignored: a host may have its own.
#[derive(Deserialize)]
pub(crate) struct OverviewQuery {
    done: Option<String>,
    #[serde(flatten)]
    filter: Filter,
}

/// All jobs, the worst first.
pub(crate) async fn overview(
    State(site): State<Arc<Site>>,
    viewer: Parts,
    links: Links,
    query: Result<Query<OverviewQuery>, Problem>,
) -> Page {
    let read = async {
        let Query(query) = query?;
        let status = site.status().await?;
        let instances = if status.shared_history {
            timeout(SHORT_PATIENCE, site.instances()).await.ok()
        } else {
            None
        };
        Ok((query, status, instances))
    };
    let (OverviewQuery { done, filter }, status, instances) = match read.await {
        Ok(read) => read,
        Err(problem) => return error_page(&links, &problem),
    };
    let done = done.and_then(|word| Done::parse(&word, None));
    let shows = site.shows(&status, Some(&viewer));
    let may_run_all = status
        .jobs
        .values()
        .filter(|job| job.worker != WorkerStatus::Disabled && !job.paused)
        .all(|job| shows.offers(Action::Run, &job.job));
    let main = html! {
        @if let Some(done) = done { (done.of_all(&status)) }
        (triage::summary(&status))
        (filter.form(&links, &status))
        (triage::overview(&links, &status, shows, &filter))
        @if status.shared_history { (instances::section(instances.as_ref(), status.at, shows)) }
        @if status.jobs.is_empty() {
            p.empty { "This housekeeper has no jobs." }
        }
        (forms::refused(&status, shows))
    };
    let aside = html! {
        @if site.actions && may_run_all && !status.jobs.is_empty() {
            (forms::run_all(&links, &forms::paused(&status)))
        }
    };
    let title = triage::title(&status);
    page(&links, &title, &heading(&status), &aside, &main)
}

/// A job's card and its past.
pub(crate) async fn job(
    State(site): State<Arc<Site>>,
    viewer: Parts,
    links: Links,
    JobPath(job): JobPath,
    query: Result<Query<JobQuery>, Problem>,
) -> Page {
    let read = async {
        let Query(query) = query?;
        let part = query.history();
        let (wait, done) = (query.wait()?, query.done());
        let status = site.status().await?;
        let history = timeout(wait, site.history(job.clone(), part.query()?)).await;
        match history {
            Ok(Err(problem)) if !status.jobs.contains_key(&job) => Err(problem),
            history => {
                let run = match done.and_then(Done::run) {
                    Some(run) => timeout(SHORT_PATIENCE, site.run(run)).await.ok(),
                    None => None,
                };
                let done = done.map(|done| (done, run.and_then(Result::ok)));
                Ok((status, history.ok(), part, done))
            }
        }
    };
    let (status, history, part, done) = match read.await {
        Ok(read) => read,
        Err(problem) => return error_page(&links, &problem),
    };
    let shows = site.shows(&status, Some(&viewer));
    let main = html! {
        @if let (Some((done, run)), Some(job)) = (&done, status.jobs.get(&job)) {
            (done.of_job(job, run.as_ref()))
        }
        (card::one(&links, &status, &job, shows))
        @match &history {
            Some(Ok(history)) => (history::section(&links, history, &part)),
            Some(Err(problem)) => (history::missing(&problem.detail)),
            None => (history::pending(&links.to_job(&job, ""), &part)),
        }
        (forms::refused(&status, shows))
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

/// The card of a job alone, with links from the root of the router, for the script: frames have a
/// row of a healthy job.
pub(crate) async fn card_of(
    State(site): State<Arc<Site>>,
    viewer: Parts,
    JobPath(job): JobPath,
) -> Result<Page, Problem> {
    let status = site.status().await?;
    if !status.jobs.contains_key(&job) {
        site.job(&job).await?;
    }
    Ok(Page {
        status: StatusCode::OK,
        markup: card::one(
            &Links::default(),
            &status,
            &job,
            site.shows(&status, Some(&viewer)),
        ),
    })
}

/// The rows that a run would handle.
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

/// Answers problems of pages as HTML. The other paths are for programs.
pub(crate) async fn errors_as_pages(links: Links, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    let for_programs = ["api", "events", "health", "assets"].contains(&first);
    let response = next.run(request).await;
    let detail = response.extensions().get::<Detail>().cloned();
    let Some(Detail(detail)) = detail.filter(|_| !for_programs) else {
        return response;
    };
    let (head, _) = response.into_parts();
    let mut page = error_page(&links, &Problem::new(head.status, "page", detail)).into_response();
    if let Some(allow) = head.headers.get(header::ALLOW) {
        page.headers_mut().insert(header::ALLOW, allow.clone());
    }
    page
}

/// Wait for the instances, and for the run of a form. A database that answers takes a few
/// milliseconds.
const SHORT_PATIENCE: Duration = Duration::from_millis(150);
