//! Forms that change something. Each asks for a confirmation: in a dialog with a script, on a page
//! of its own without.

use std::collections::BTreeMap;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use maud::{Markup, html};

use crate::job::JobName;
use crate::model::{JobStatus, Status, WorkerStatus};
use crate::web::allow::Action;
use crate::web::links::{Links, encoded};
use crate::web::params::in_path;
use crate::web::problem::{self, Problem};
use crate::web::shows::Shows;

/// An action on a job, as a page names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Act(pub(crate) Action);

impl Act {
    pub(super) fn label(self) -> &'static str {
        match self.0 {
            Action::Run => "Run",
            Action::Cancel => "Cancel",
            Action::Pause => "Pause",
            Action::Resume => "Resume",
            Action::Redeliver => "Redeliver",
            Action::Discard => "Discard",
            Action::PauseReplicas => "Pause all",
            Action::ResumeReplicas => "Resume all",
        }
    }

    /// The action and its object, for titles and buttons.
    pub(super) fn title(self, job: &JobName) -> String {
        match self.0 {
            Action::Cancel => format!("Cancel the run of {job}"),
            Action::Redeliver | Action::Discard => {
                format!("{} all parked entries of {job}", self.label())
            }
            Action::PauseReplicas => format!("Pause {job} for all replicas"),
            Action::ResumeReplicas => format!("Resume {job} for all replicas"),
            _ => format!("{} {job}", self.label()),
        }
    }

    pub(super) fn consequence(self) -> &'static str {
        match self.0 {
            Action::Run => "A run in progress ends first. The preview lists the rows.",
            Action::Cancel => {
                "It ends after the batch in progress. The rest waits for the next run."
            }
            Action::Pause => {
                "The schedule of this instance stops until it is resumed; other replicas continue. A \
                 run in progress continues, and requested runs still work."
            }
            Action::Resume => "The schedule of this instance continues, and the job runs once now.",
            Action::PauseReplicas => {
                "The database keeps the pause. Each replica stops its schedule as its next run \
                 begins. Runs in progress continue, and requested runs still work."
            }
            Action::ResumeReplicas => {
                "The job runs once now on this instance; the other replicas resume within a minute."
            }
            Action::Redeliver => "The courier delivers them again, with all attempts.",
            Action::Discard => "They are deleted, and the receiver never gets them.",
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Act {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        action_in_path(parts, state, false).await.map(Self)
    }
}

/// Returns the action that a path names, on jobs or on parked entries.
pub(super) async fn action_in_path<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    on_entries: bool,
) -> Result<Action, Problem> {
    let word = in_path(parts, state, "act").await?;
    let mut actions = Action::ALL.into_iter();
    let found =
        actions.find(|action| action.as_str() == word && action.is_on_entries() == on_entries);
    match found {
        Some(action) => Ok(action),
        None => Err(problem::not_found(parts.uri.clone()).await),
    }
}

/// The buttons of a job that the host allows.
pub(super) fn of_job(links: &Links, job: &JobStatus, shows: Shows<'_>) -> Markup {
    let run = match &job.worker {
        WorkerStatus::Running(run) => Some(run.run.to_string()),
        _ => None,
    };
    html! {
        div.acts role="group" aria-label={ "Actions on " (job.job) } {
            @for action in actions(job, shows).filter(|action| shows.offers(*action, &job.job)) {
                (form(links, &job.job, Act(action), run.as_deref().filter(|_| action == Action::Cancel)))
            }
        }
    }
}

/// The actions that fit the state of a job.
fn actions(job: &JobStatus, shows: Shows<'_>) -> impl Iterator<Item = Action> {
    let for_all = job.pause.as_ref().is_some_and(|pause| pause.all_replicas);
    let here = if job.paused {
        Action::Resume
    } else {
        Action::Pause
    };
    let everywhere = if for_all {
        Action::ResumeReplicas
    } else {
        Action::PauseReplicas
    };
    [Action::Run, Action::Cancel]
        .into_iter()
        // A pause of all replicas ends for all.
        .chain((!for_all).then_some(here))
        .chain((for_all || shows.replicas).then_some(everywhere))
}

/// Tells the script which buttons of a frame to leave out: frames are the same for all pages.
pub(super) fn refused(status: &Status, shows: Shows<'_>) -> Markup {
    let refused: BTreeMap<&JobName, Vec<&str>> = status
        .jobs
        .keys()
        .filter_map(|job| {
            let refused = Action::ALL.into_iter();
            let refused =
                refused.filter(|action| !action.is_on_entries() && !shows.offers(*action, job));
            let words: Vec<&str> = refused.map(Action::as_str).collect();
            (!words.is_empty()).then_some((job, words))
        })
        .collect();
    html! {
        @if shows.actions && !refused.is_empty() {
            div #refused hidden data-refused=(serde_json::to_string(&refused).unwrap_or_default()) {}
        }
    }
}

/// `run` is the run that the form ends.
fn form(links: &Links, job: &JobName, act: Act, run: Option<&str>) -> Markup {
    let action = act.0.as_str();
    let preview = format!("api/v1/jobs/{}/preview?size=1", encoded(job.as_str()));
    let runs = act.0 == Action::Run;
    html! {
        form.act.(action) action=(links.to_job(job, &format!("/{action}")))
            data-api=(format!("api/v1/jobs/{}/{action}", encoded(job.as_str())))
            data-title=(act.title(job)) data-consequence=(act.consequence())
            data-count=[runs.then_some(preview)] {
            @if runs {
                input name="user" maxlength="200" autocomplete="off" spellcheck="false" placeholder="all users"
                    aria-label={ "User whose rows " (job) " handles; empty for all" };
            }
            @if let Some(run) = run { input type="hidden" name="run" value=(run); }
            button aria-label=(act.title(job)) disabled[act.0 == Action::Cancel && run.is_none()] {
                (act.label())
            }
        }
    }
}

/// The button for all jobs.
pub(super) fn run_all(links: &Links, paused: &[&JobName]) -> Markup {
    html! {
        form.act action=(links.to("run")) data-api="api/v1/run" data-title=(ALL_TITLE)
            data-consequence=(all_consequence(paused)) {
            button { "Run all" }
        }
    }
}

/// Filled in and opened by the script. The safe button comes first, and has the focus.
pub(super) fn dialog() -> Markup {
    html! {
        dialog #ask aria-labelledby="ask-title" aria-describedby="ask-due ask-consequence" {
            form method="dialog" {
                h2 #ask-title {}
                p #ask-due hidden {}
                p #ask-consequence {}
                div.buttons {
                    button value="no" #ask-no autofocus { "Go back" }
                    button.go value="yes" #ask-yes {}
                }
            }
        }
    }
}

pub(super) fn all_consequence(paused: &[&JobName]) -> String {
    let mut text =
        "Each job handles its due rows. A job that fails does not stop the others.".to_owned();
    if !paused.is_empty() {
        let names: Vec<&str> = paused.iter().map(|job| job.as_str()).collect();
        text.push_str(" Left out because paused: ");
        text.push_str(&names.join(", "));
        text.push('.');
    }
    text
}

pub(super) const ALL_TITLE: &str = "Run all jobs";

/// The jobs that a run of all leaves out.
pub(super) fn paused(status: &Status) -> Vec<&JobName> {
    let jobs = status.jobs.values();
    jobs.filter(|job| job.paused && job.worker != WorkerStatus::Disabled)
        .map(|job| &job.job)
        .collect()
}
