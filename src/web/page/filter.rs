//! The filter of the overview, and the states that it chooses by.

use maud::{Markup, html};
use serde::Deserialize;

use crate::model::{Health, JobStatus, Status, WorkerStatus};
use crate::web::links::Links;

/// Chooses jobs by state and by name.
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
    pub(super) fn shows(&self, job: &JobStatus) -> bool {
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

pub(super) fn in_trouble(job: &JobStatus) -> bool {
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

/// Up to this many jobs all are cards, and there is no filter.
pub(super) const MAX_CARDS: usize = 6;
