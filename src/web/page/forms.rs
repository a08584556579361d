//! What changes something: a form that asks whether it is meant, on the page with a script, on a
//! page of its own without.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Page, error_page, page};
use crate::job::{JobName, Scope};
use crate::model::{JobStatus, WorkerStatus};
use crate::web::acting::{Acting, Action};
use crate::web::actions;
use crate::web::extract::{JobPath, Query, scope, unread};
use crate::web::links::{Links, encoded};
use crate::web::problem::{self, Problem};

/// What can be done to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Run,
    Cancel,
    Pause,
    Resume,
}

impl Act {
    fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Run => "Run",
            Self::Cancel => "Cancel",
            Self::Pause => "Pause",
            Self::Resume => "Resume",
        }
    }

    fn question(self, job: &JobName) -> String {
        match self {
            Self::Run => format!("Run {job} now?"),
            Self::Cancel => format!("Cancel the run of {job}?"),
            Self::Pause => format!("Pause {job}?"),
            Self::Resume => format!("Resume {job}?"),
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Run => "It handles every row that is due; the preview shows which.",
            Self::Cancel => {
                "It ends after the batch in flight. What is left waits for the next tick."
            }
            Self::Pause => {
                "It runs no more by itself until it is resumed. A run in progress goes on."
            }
            Self::Resume => "It runs by itself again, and once at once.",
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Act {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct ActInPath {
            act: String,
        }
        let path = Path::<ActInPath>::from_request_parts(parts, state).await;
        let path = path.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
        match [Self::Run, Self::Cancel, Self::Pause, Self::Resume]
            .into_iter()
            .find(|act| act.as_str() == path.act)
        {
            Some(act) => Ok(act),
            None => Err(problem::not_found(parts.uri.clone()).await),
        }
    }
}

/// The buttons of a job.
pub(super) fn of_job(links: &Links, job: &JobStatus) -> Markup {
    let switch = if job.paused { Act::Resume } else { Act::Pause };
    let running = matches!(job.worker, WorkerStatus::Running(_));
    html! {
        div.acts role="group" aria-label={ "Actions on " (job.job) } {
            (form(links, &job.job, Act::Run, true))
            (form(links, &job.job, Act::Cancel, running))
            (form(links, &job.job, switch, true))
        }
    }
}

/// Without a script it leads to a page that asks; with one, to the dialog.
fn form(links: &Links, job: &JobName, act: Act, can: bool) -> Markup {
    let label = format!("{} {job}", act.label());
    html! {
        form.act.(act.as_str()) action=(links.to_job(job, &format!("/{}", act.as_str())))
            data-api=(format!("api/v1/jobs/{}/{}", encoded(job.as_str()), act.as_str()))
            data-question=(act.question(job)) data-consequence=(act.consequence()) {
            @if act == Act::Run {
                input name="user" maxlength="200" autocomplete="off" spellcheck="false" placeholder="all users"
                    aria-label={ "User whose rows " (job) " handles; empty for all" };
            }
            button aria-label=(label) disabled[!can] { (act.label()) }
        }
    }
}

/// The button for all jobs.
pub(super) fn run_all(links: &Links) -> Markup {
    html! {
        form.act action=(links.to("run")) data-api="api/v1/run" data-question=(ALL_QUESTION)
            data-consequence=(ALL_CONSEQUENCE) {
            button { "Run all" }
        }
    }
}

/// Filled in and opened by the script.
pub(super) fn dialog() -> Markup {
    html! {
        dialog #ask aria-labelledby="ask-question" aria-describedby="ask-consequence" {
            form method="dialog" {
                h2 #ask-question {}
                p #ask-scope hidden {}
                p #ask-consequence {}
                div.buttons {
                    button value="no" { "Leave it" }
                    button.go value="yes" #ask-yes { "Yes" }
                }
            }
        }
    }
}

/// What the fields of a form say.
#[derive(Deserialize)]
pub(crate) struct Fields {
    user: Option<String>,
}

/// The page that asks, for those without a script.
pub(crate) async fn confirm(
    acting: Acting,
    links: Links,
    JobPath(job): JobPath,
    act: Act,
    Query(fields): Query<Fields>,
) -> Page {
    if let Err(problem) = acting.check(act.action(), &job) {
        return error_page(&links, &problem);
    }
    let (question, consequence) = (act.question(&job), act.consequence());
    asked(&links, &question, consequence, fields.user.as_deref())
}

pub(crate) async fn confirm_all(links: Links) -> Page {
    asked(&links, ALL_QUESTION, ALL_CONSEQUENCE, None)
}

/// Does it, for those without a script.
pub(crate) async fn submit(
    acting: Acting,
    links: Links,
    JobPath(job): JobPath,
    act: Act,
    request: Request,
) -> Page {
    let done = async {
        let scope = Form::read(request).await?;
        act.perform(&acting, job, scope).await
    };
    answered(&links, done.await)
}

pub(crate) async fn submit_all(acting: Acting, links: Links) -> Page {
    let done = acting.run_all(PATIENCE).await.map(|reports| match reports {
        Some(reports) => reports.iter().map(ToString::to_string).collect(),
        None => vec![actions::all_still_running(PATIENCE)],
    });
    answered(&links, done)
}

/// The scope in the body of a form.
struct Form;

impl Form {
    async fn read(request: Request) -> Result<Scope, Problem> {
        let fields = axum::extract::Form::<Fields>::from_request(request, &()).await;
        let fields =
            fields.map_err(|rejection| unread(rejection.status(), rejection.body_text()))?;
        Ok(scope(fields.user.as_deref()))
    }
}

impl Act {
    fn action(self) -> Action {
        match self {
            Self::Run => Action::Run,
            Self::Cancel => Action::Cancel,
            Self::Pause => Action::Pause,
            Self::Resume => Action::Resume,
        }
    }

    /// What came of it, in sentences.
    async fn perform(
        self,
        acting: &Acting,
        job: JobName,
        scope: Scope,
    ) -> Result<Vec<String>, Problem> {
        let sentence = match self {
            Self::Run => match acting.run(job.clone(), scope.clone(), PATIENCE).await?.1 {
                Some(report) => report.to_string(),
                None => actions::still_running(&job, &scope, PATIENCE),
            },
            Self::Cancel => actions::cancelled(&job, acting.cancel(job.clone()).await?),
            Self::Pause => actions::paused(&job, acting.pause(job.clone()).await?),
            Self::Resume => actions::resumed(&job, acting.resume(job.clone()).await?),
        };
        Ok(vec![sentence])
    }
}

fn asked(links: &Links, question: &str, consequence: &str, user: Option<&str>) -> Page {
    let user = user.map(str::trim).filter(|user| !user.is_empty());
    let main = html! {
        section.question {
            h2 { (question) }
            @if let Some(user) = user { p { "Only rows of user " code { (user) } "." } }
            p { (consequence) }
            form method="post" {
                @if let Some(user) = user { input type="hidden" name="user" value=(user); }
                button.go { "Yes" }
                " " a href=(links.home()) { "Leave it" }
            }
        }
    };
    page(links, question, &html! {}, &html! {}, &main)
}

fn answered(links: &Links, done: Result<Vec<String>, Problem>) -> Page {
    let sentences = match done {
        Ok(sentences) => sentences,
        Err(problem) => return error_page(links, &problem),
    };
    let main = html! {
        section.question {
            h2 { "Done" }
            @for sentence in sentences { p { (sentence) } }
            p { a href=(links.home()) { "To the overview" } }
        }
    };
    page(links, "Done", &html! {}, &html! {}, &main)
}

/// How long a page without a script waits for a run.
const PATIENCE: Duration = Duration::from_secs(10);

const ALL_QUESTION: &str = "Run all jobs now?";
const ALL_CONSEQUENCE: &str =
    "Each handles every row that is due. One that fails does not stop the others.";
