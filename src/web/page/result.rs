//! The result of an action, on the page that a form without a script leads to. It follows from the
//! status and the run: the address alone proves nothing.

use maud::{Markup, html};

use super::card::mark;
use super::forms::paused;
use crate::job::JobName;
use crate::model::{JobStatus, Report, RunStatus, Status, WorkerStatus};
use crate::web::done::Done;
use crate::web::format::shown;

impl Done {
    /// The result of an action on a job; `run` is what is known of the action's run.
    pub(super) fn of_job(self, job: &JobStatus, run: Option<&RunStatus>) -> Markup {
        let running = matches!(job.worker, WorkerStatus::Running(_));
        let name = &job.job;
        match self {
            Self::Ran(_) | Self::Cancelled(_) => match run.filter(|run| run.job() == name) {
                Some(RunStatus::Ended { report }) => ended(report),
                Some(_) if matches!(self, Self::Cancelled(_)) => said(
                    "Cancelling",
                    &format!("The run of {name} ends after its batch."),
                ),
                Some(_) => said("Running", &format!("The run of {name} has not ended.")),
                None => said(
                    "Run not known",
                    &format!(
                        "No such run of {name} is known, or it changed nothing and is not kept."
                    ),
                ),
            },
            Self::Running | Self::NotRunning if running => {
                said("Running", &format!("A run of {name} is in progress."))
            }
            Self::Running | Self::NotRunning => {
                said("Not running", &format!("No run of {name} is in progress."))
            }
            Self::Paused | Self::Resumed if job.paused => {
                let pause = job.pause.as_ref();
                let for_all = pause.is_some_and(|pause| pause.all_replicas);
                let reach = if for_all { " for all replicas" } else { "" };
                said("Paused", &format!("{name} is paused{reach}."))
            }
            Self::Paused | Self::Resumed => {
                said("Resumed", &format!("{name} follows its schedule."))
            }
            Self::RanAll | Self::RunningAll => html! {},
        }
    }

    /// The result of an action on all jobs.
    pub(super) fn of_all(self, status: &Status) -> Markup {
        if !matches!(self, Self::RanAll | Self::RunningAll) {
            return html! {};
        }
        let jobs = status.jobs.values();
        let asked = jobs.filter(|job| !job.paused && job.worker != WorkerStatus::Disabled);
        let asked: Vec<&JobStatus> = asked.collect();
        let completed = |job: &JobStatus| job.last.as_ref().is_some_and(Report::success);
        let others = asked.iter().filter(|job| !completed(job));
        let others: Vec<&str> = others.map(|job| job.job.as_str()).collect();
        let title = match (self, others.len()) {
            (Self::RunningAll, _) => "Running: not all runs have ended".to_owned(),
            _ if asked.iter().all(|job| job.last.is_none()) => "No runs yet".to_owned(),
            (_, 0) => "Completed: all runs".to_owned(),
            (_, count) => format!("Not completed: {count} of {} runs", asked.len()),
        };
        let mut text = if others.is_empty() {
            "Each last run completed.".to_owned()
        } else {
            format!(
                "No last run, or one that did not complete: {}.",
                others.join(", ")
            )
        };
        let left_out: Vec<&str> = paused(status).into_iter().map(JobName::as_str).collect();
        if !left_out.is_empty() {
            text = format!("{text} Left out because paused: {}.", left_out.join(", "));
        }
        said(&title, &text)
    }
}

fn ended(report: &Report) -> Markup {
    html! {
        section.question.result role="status" {
            h2 { (mark(&report.outcome)) ": " (report.job) }
            p { (shown(&report.to_string())) }
        }
    }
}

fn said(title: &str, text: &str) -> Markup {
    html! {
        section.question.result role="status" {
            h2 { (title) }
            p { (text) }
        }
    }
}
