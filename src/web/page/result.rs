//! The result of an action, on the page that a form without a script leads to. It follows from the
//! status and the history: the address alone proves nothing.

use maud::{Markup, html};

use super::card::mark;
use super::forms::paused;
use crate::job::JobName;
use crate::model::{History, JobStatus, Outcome, Report, RunId, Status, WorkerStatus};
use crate::web::done::Done;
use crate::web::format::shown;

impl Done {
    /// The result of an action on a job.
    pub(super) fn of_job(self, job: &JobStatus, history: Option<&History>) -> Markup {
        let running = matches!(job.worker, WorkerStatus::Running(_));
        let name = &job.job;
        match self {
            Self::Cancelled(_) if running => said(
                "Cancelling",
                &format!("The run of {name} ends after its batch."),
            ),
            Self::Ran(run) | Self::Cancelled(run) => report(name, find(run, job, history)),
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
        let ran = status.jobs.values().filter(|job| !job.paused);
        let last: Vec<&Report> = ran.filter_map(|job| job.last.as_ref()).collect();
        let failed = last.iter().filter(|report| has_failed(report));
        let failed: Vec<&str> = failed.map(|report| report.job.as_str()).collect();
        let title = match (self, failed.len()) {
            (Self::RunningAll, _) => "Running: not all runs have ended".to_owned(),
            (_, 0) => "Completed: all runs".to_owned(),
            (_, count) => format!("Failed: {count} of {} runs", last.len()),
        };
        let mut text = if failed.is_empty() {
            "No last run failed.".to_owned()
        } else {
            format!("The last run failed: {}.", failed.join(", "))
        };
        let left_out: Vec<&str> = paused(status).into_iter().map(JobName::as_str).collect();
        if !left_out.is_empty() {
            text = format!("{text} Left out because paused: {}.", left_out.join(", "));
        }
        said(&title, &text)
    }
}

fn has_failed(report: &Report) -> bool {
    matches!(
        report.outcome,
        Outcome::Failed { .. } | Outcome::Crashed { .. }
    )
}

fn find<'a>(run: RunId, job: &'a JobStatus, history: Option<&'a History>) -> Option<&'a Report> {
    let kept = history.into_iter().flat_map(|history| &history.runs);
    let mut reports = job.last.iter().chain(kept.map(|record| &record.report));
    reports.find(|report| report.run == run)
}

fn report(job: &JobName, report: Option<&Report>) -> Markup {
    let Some(report) = report else {
        let text = "It changed nothing, or its report is not kept.";
        return said(&format!("Ended: the run of {job}"), text);
    };
    html! {
        section.question.result role="status" {
            h2 { (mark(&report.outcome)) ": " (job) }
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
