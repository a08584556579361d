//! The overview in the order of need: the worst job first, healthy ones as rows of a line.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::Shows;
use super::card::{self, card};
use crate::fmt::thousands;
use crate::model::{Health, JobStatus, Status, WorkerStatus};
use crate::web::format;
use crate::web::links::Links;

/// Which jobs a person wants to see.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filter {
    #[serde(default)]
    state: State,
    #[serde(default)]
    name: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    #[serde(alias = "")]
    Any,
    Trouble,
    Running,
    Paused,
    Healthy,
    Off,
}

impl State {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Any, "", "any state"),
        (Self::Trouble, "trouble", "needs you"),
        (Self::Running, "running", "running"),
        (Self::Paused, "paused", "paused"),
        (Self::Healthy, "healthy", "healthy"),
        (Self::Off, "off", "off"),
    ];
}

impl Filter {
    fn shows(&self, job: &JobStatus) -> bool {
        let name = job.job.as_str().to_lowercase();
        let state = State::ALL.iter().find(|state| state.0 == self.state);
        let states = states(job);
        let has_state = state.is_none_or(|(_, word, _)| word.is_empty() || states.contains(word));
        has_state && name.contains(&self.name.trim().to_lowercase())
    }

    /// The form of the filter. Few jobs need none.
    pub(super) fn form(&self, links: &Links, status: &Status) -> Markup {
        html! {
            @if status.jobs.len() > MAX_CARDS {
                form #filter.filter role="search" aria-label="Filter the jobs" action=(links.home()) {
                    label { "State "
                        select name="state" {
                            @for (state, word, text) in State::ALL {
                                option value=(word) selected[state == self.state] { (text) }
                            }
                        }
                    }
                    label { "Name " input name="name" type="search" value=(self.name) autocomplete="off" spellcheck="false"; }
                    button { "Show" }
                    p #shown.quiet role="status" {}
                }
            }
        }
    }
}

/// The line that sums up, and the jobs. Sent again with every frame.
pub(crate) fn overview(links: &Links, status: &Status, shows: Shows, filter: &Filter) -> Markup {
    let (now, few) = (status.at, status.jobs.len() <= MAX_CARDS);
    html! {
        (summary(status))
        div #jobs .cards data-now=(now.to_rfc3339()) {
            @for job in worst_first(status) {
                @if few || in_trouble(job) {
                    (card(links, job, now, shows, (!few, !filter.shows(job))))
                } @else {
                    (row(links, job, now, !filter.shows(job)))
                }
            }
        }
    }
}

/// A line such as `2 of 8 need you: draft-sweeper failing, token-cleaner late`. It changes only
/// with the states, since screen readers announce it.
fn summary(status: &Status) -> Markup {
    let troubled: Vec<String> = worst_first(status)
        .into_iter()
        .filter(|job| in_trouble(job))
        .map(|job| format!("{} {}", job.job, job.health))
        .collect();
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
    let bad = status.jobs.values().filter(|job| in_trouble(job)).count();
    match (bad, status.jobs.len()) {
        (_, 0) => "No jobs".to_owned(),
        (0, 1) => "The job is healthy".to_owned(),
        (0, all) => format!("All {all} jobs are healthy"),
        (1, all) => format!("1 of {all} needs you"),
        (bad, all) => format!("{bad} of {all} need you"),
    }
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

fn in_trouble(job: &JobStatus) -> bool {
    job.health != Health::Healthy && job.worker != WorkerStatus::Disabled
}

/// The words of the filter that apply to a job, for the script.
pub(super) fn states(job: &JobStatus) -> String {
    let mut states = Vec::new();
    if job.worker == WorkerStatus::Disabled {
        return "off".to_owned();
    }
    states.push(if in_trouble(job) {
        "trouble"
    } else {
        "healthy"
    });
    if matches!(job.worker, WorkerStatus::Running(_)) {
        states.push("running");
    }
    if job.paused {
        states.push("paused");
    }
    states.join(" ")
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

/// Up to this many jobs all are cards, and there is no filter.
const MAX_CARDS: usize = 6;
