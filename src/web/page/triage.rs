//! The overview in the order of need: the worst job first, healthy ones as rows of a line.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::card::{self, card};
use super::couriers;
use super::filter::{Filter, MAX_CARDS, in_trouble, states};
use crate::fmt::thousands;
use crate::job::JobName;
use crate::model::{Health, JobStatus, Status, WorkerStatus};
use crate::web::format;
use crate::web::links::Links;
use crate::web::shows::Shows;

/// The line that sums up, the jobs and the couriers. Sent with every frame.
pub(crate) fn frame(status: &Status, shows: Shows<'_>) -> Markup {
    let links = Links::default();
    html! {
        (summary(status))
        (overview(&links, status, shows, &Filter::default()))
    }
}

/// The jobs and the couriers.
pub(super) fn overview(
    links: &Links,
    status: &Status,
    shows: Shows<'_>,
    filter: &Filter,
) -> Markup {
    let (now, few) = (status.at, status.jobs.len() <= MAX_CARDS);
    let needed = couriers::any_in_trouble(status);
    html! {
        @if needed { (couriers::section(links, status)) }
        div #jobs .cards data-now=(now.to_rfc3339()) {
            @for job in worst_first(status) {
                @if few || in_trouble(job) {
                    (card(links, job, now, shows, (!few, !filter.shows(job))))
                } @else {
                    (row(links, job, now, !filter.shows(job)))
                }
            }
        }
        @if !needed { (couriers::section(links, status)) }
    }
}

/// A line such as `2 of 8 need you: draft-sweeper failing, token-cleaner late`. It changes only
/// with the states, since screen readers announce it.
pub(super) fn summary(status: &Status) -> Markup {
    let jobs = worst_first(status).into_iter();
    let jobs = jobs
        .filter(|job| in_trouble(job))
        .map(|job| format!("{} {}", job.job, job.health));
    let couriers = couriers_in_trouble(status).map(|rule| format!("entries of {rule} wait"));
    let troubled: Vec<String> = jobs.chain(couriers).collect();
    let (bad, all) = (troubled.len(), status.jobs.len());
    let title = title(status);
    html! {
        p #sum .sum.bad[bad > 0] role="status" data-title=(title) {
            @if bad > 0 { strong { (title) } ": " (troubled.join(", ")) }
            @else if all > 0 { (title) }
        }
    }
}

/// The state of all jobs in a few words, for the title of the page.
pub(super) fn title(status: &Status) -> String {
    let jobs = status.jobs.values().filter(|job| in_trouble(job)).count();
    let bad = jobs + couriers_in_trouble(status).count();
    match (bad, status.jobs.len(), status.couriers.len()) {
        (0, 0, _) => "No jobs".to_owned(),
        (0, 1, _) => "The job is healthy".to_owned(),
        (0, 2, _) => "Both jobs are healthy".to_owned(),
        (0, all, _) => format!("All {} jobs are healthy", thousands(all as u64)),
        (1, jobs, couriers) => format!("1 of {} needs you", jobs + couriers),
        (bad, jobs, couriers) => format!("{bad} of {} need you", jobs + couriers),
    }
}

fn couriers_in_trouble(status: &Status) -> impl Iterator<Item = &JobName> {
    let couriers = status.couriers.values();
    couriers
        .filter(|courier| couriers::in_trouble(courier))
        .map(|courier| &courier.rule)
}

fn worst_first(status: &Status) -> Vec<&JobStatus> {
    let mut jobs: Vec<&JobStatus> = status.jobs.values().collect();
    // Stable: by name within a state.
    jobs.sort_by_key(|job| match (&job.worker, &job.health) {
        (WorkerStatus::Disabled, _) => 6,
        (_, Health::Degraded { .. }) => 0,
        (_, Health::Failing { .. }) => 1,
        (_, Health::Late { .. }) => 2,
        (_, Health::Healthy) if job.paused => 3,
        (_, Health::Healthy) => 4,
    });
    jobs
}

/// A healthy job in a line.
fn row(links: &Links, job: &JobStatus, now: DateTime<Utc>, hidden: bool) -> Markup {
    html! {
        article.job.row data-key=(job.job) data-job=(job.job) data-states=(states(job))
            aria-label=(job.job) hidden[hidden] {
            h2 { a href=(links.to_job(&job.job, "")) { (job.job) } }
            (card::badges(job))
            p.brief {
                @match (&job.worker, job.next_run) {
                    (WorkerStatus::Running(run), _) => {
                        "running for " (format::lasting(run.started_at, now)) ", " (thousands(run.rows)) " rows"
                    }
                    (WorkerStatus::Disabled, _) => "not configured",
                    (_, Some(next)) => { "next run " (format::until(next.at, now)) }
                    _ => "runs on request only",
                }
            }
            p.last {
                @match &job.last { Some(report) => (card::outcome(report, now)), None => "no run yet" }
            }
        }
    }
}
