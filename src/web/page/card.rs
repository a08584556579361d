//! A job at one instant, as a card.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::{forms, spark};
use crate::fmt::{quantity, span, thousands};
use crate::job::{BoundedCount, JobName, Scope};
use crate::model::{CurrentRun, JobStatus, Outcome, Report, Requester, Status, WorkerStatus};
use crate::web::format;
use crate::web::links::Links;

/// The cards of all jobs. Sent again with every frame, so they hold nothing that is worth more than
/// a look.
pub(crate) fn cards(links: &Links, status: &Status, actions: bool) -> Markup {
    html! {
        div #jobs .cards data-now=(status.at.to_rfc3339()) {
            @for job in status.jobs.values() {
                (card(links, job, status.at, actions))
            }
        }
    }
}

/// The card of one job.
pub(crate) fn one(links: &Links, status: &Status, job: &JobName, actions: bool) -> Markup {
    html! {
        div #jobs .cards.single data-now=(status.at.to_rfc3339()) {
            @if let Some(job) = status.jobs.get(job) {
                (card(links, job, status.at, actions))
            }
        }
    }
}

fn card(links: &Links, job: &JobStatus, now: DateTime<Utc>, actions: bool) -> Markup {
    html! {
        article.job data-job=(job.job) aria-label=(job.job) {
            header {
                h2 { a href=(links.to_job(&job.job, "")) { (job.job) } }
                p.badges {
                    @if job.paused { span.badge.paused { "paused" } }
                    @if job.worker == WorkerStatus::Disabled {
                        span.badge.off { "off" }
                    } @else {
                        span.badge.(job.health.as_str()) { (job.health.as_str()) }
                    }
                }
            }
            // Always there: the script takes a fresh card over part by part, and what comes after
            // would change places with it.
            p.reason.(job.health.as_str()) hidden[job.health.reason().is_none()] {
                (job.health.reason().unwrap_or_default())
            }
            (worker(job, now))
            (facts(job, now))
            (findings(job))
            footer {
                @if actions && job.worker != WorkerStatus::Disabled {
                    (forms::of_job(links, job))
                }
                nav aria-label={ "More on " (job.job) } {
                    a href=(links.to_job(&job.job, "")) { "History" }
                    @if job.worker != WorkerStatus::Disabled {
                        " " a href=(links.to_job(&job.job, "/preview")) { "Preview" }
                    }
                }
            }
        }
    }
}

/// What is done right now.
fn worker(job: &JobStatus, now: DateTime<Utc>) -> Markup {
    html! {
        div.now {
            @match &job.worker {
                WorkerStatus::Running(run) => (running(job, run, now)),
                WorkerStatus::Idle => p {
                    @match job.next_run {
                        Some(next) => {
                            span.state { "Idle" } " next run "
                            (format::until(next.at, now)) " (" (next.trigger) ")"
                        }
                        None if job.paused => {
                            span.state { "Paused" }
                            @if let Some(pause) = &job.pause {
                                " for " (format::lasting(pause.since, now))
                                @if let Some(by) = &pause.by { " by " (by) }
                                ","
                            }
                            " runs only when asked"
                        }
                        None => { span.state { "Idle" } " runs only when asked" }
                    }
                },
                WorkerStatus::Disabled => p { span.state { "Off" } " its setting is not set" },
                WorkerStatus::Stopped => p { span.state { "Stopped" } " with its housekeeper" },
                WorkerStatus::Restarting { at, .. } => p {
                    span.state { "Worker died" } " starts again " (format::until(*at, now))
                },
                WorkerStatus::Degraded { until, .. } => p {
                    span.state { "Given up for now" } " tried again " (format::until(*until, now))
                },
            }
        }
    }
}

/// A run in progress: how far, how fast, since when.
fn running(job: &JobStatus, run: &CurrentRun, now: DateTime<Utc>) -> Markup {
    let seconds = (now - run.started_at).as_seconds_f64();
    let expected = expected(job, run);
    html! {
        p {
            span.state.busy { "Running" }
            " " (scope(&run.scope)) " (" (run.trigger) (Requester::by(&run.requested_by)) ") for "
            (format::lasting(run.started_at, now))
        }
        @match expected {
            Some(due) if !due.capped => {
                progress max=(due.count) value=(run.rows) aria-label="Rows handled" {}
            }
            _ => progress aria-label="Running" {},
        }
        p.progress {
            strong { (thousands(run.rows)) }
            @if let Some(due) = expected {
                @if due.capped { " of more than " } @else { " of about " }
                (thousands(due.count))
            }
            " rows"
            @if let Some(rate) = rate(run.rows, seconds) { ", " (thousands(rate)) " rows/s" }
            ", " (quantity(run.batches, "batch", "batches"))
            @if now - run.heard_at > QUIET { ", last heard of " (format::ago(run.heard_at, now)) }
            @if run.counts.total() > 0 { span.quiet { (run.counts) } }
        }
    }
}

/// About how many rows a run will handle, by what the run before saw ahead.
fn expected(job: &JobStatus, run: &CurrentRun) -> Option<BoundedCount> {
    let due = job.last.as_ref()?.forecast?.due;
    let knows = run.scope == Scope::All && due.count > 0 && !(due.capped && run.rows > due.count);
    knows.then(|| BoundedCount {
        count: due.count.max(run.rows),
        ..due
    })
}

/// Rows a second; not from a moment that is too short to tell.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(rows: u64, seconds: f64) -> Option<u64> {
    (rows > 0 && seconds >= 0.1).then(|| (rows as f64 / seconds).round() as u64)
}

fn facts(job: &JobStatus, now: DateTime<Utc>) -> Markup {
    let last = job.last.as_ref();
    let due = last.and_then(|report| Some(report.forecast?.due));
    html! {
        dl.facts {
            div.wide {
                dt { "Last run" }
                dd {
                    @match last { Some(report) => (outcome(report, now)), None => "none yet" }
                    (spark::outcomes(&job.outcomes))
                }
            }
            div {
                dt { "Backlog" }
                dd title="Rows due when the last run ended" {
                    @match due { Some(due) => (due), None => "–" }
                }
            }
            div {
                dt { "Lag" }
                dd title="How long the oldest due row has waited" {
                    @match (job.oldest_overdue, due) {
                        (Some(age), _) => (span(age)),
                        (None, Some(_)) => "none",
                        (None, None) => "–",
                    }
                }
            }
            div {
                dt { "Last success" }
                dd { @match job.last_success { Some(at) => (format::ago(at, now)), None => "none yet" } }
            }
            div.wide {
                dt { "Schedule" }
                dd { (format::schedule(&job.schedule)) (ticks(job, now)) }
            }
            (count("Restarts", job.restarts, "How often its worker was started again"))
            (count("Missed ticks", job.missed_ticks, "Ticks that met a run in progress or a sleeping machine, and merged into one"))
            (count("Set aside", job.rejected as u64, "Rows that could not be handled since the last tick"))
            @if job.waiting > 0 {
                (count("Waiting", job.waiting as u64, "Runs that wait for their turn"))
            }
            @if job.unsaved_runs > 0 {
                (count("Unwritten", job.unsaved_runs as u64, "Runs that wait to be written to the history"))
            }
        }
    }
}

/// What the check of its tables found. Always there, as the reason is.
fn findings(job: &JobStatus) -> Markup {
    let found = &job.findings;
    html! {
        details.findings hidden[found.is_empty()] {
            summary { "Check: " (found.refused.len()) " refused, " (found.advice.len()) " advice" }
            ul {
                @for finding in found.refused.iter().chain(&found.advice) {
                    li { (finding.part) ": " (finding.text)
                        @if let Some(statement) = &finding.statement { " " code { (statement) } } }
                }
            }
        }
    }
}

/// The next five ticks. Where there is none to come, the schedule has said so.
fn ticks(job: &JobStatus, now: DateTime<Utc>) -> Markup {
    html! {
        @if !job.next_ticks.is_empty() {
            ol.ticks aria-label="Next ticks" {
                @for tick in &job.next_ticks { li { (format::until(*tick, now)) } }
            }
        }
    }
}

fn count(name: &str, count: u64, meaning: &str) -> Markup {
    html! {
        div.zero[count == 0] {
            dt { (name) }
            dd title=(meaning) { (thousands(count)) }
        }
    }
}

/// How a run ended, and what it did.
fn outcome(report: &Report, now: DateTime<Utc>) -> Markup {
    html! {
        (mark(&report.outcome)) " "
        (report.counts) " in " (format::elapsed(report.elapsed))
        ", " (report.trigger) (Requester::by(&report.requested_by)) ", " (format::ago(report.started_at, now))
        @if report.rejected_count > 0 { ", " (thousands(report.rejected_count)) " set aside" }
    }
}

/// The outcome in a word, with a colour.
pub(super) fn mark(outcome: &Outcome) -> Markup {
    let class = match outcome {
        Outcome::Completed => "good",
        Outcome::Failed { .. } | Outcome::Crashed { .. } => "bad",
        Outcome::Cancelled { .. } | Outcome::TimedOut | Outcome::ShuttingDown => "cut",
    };
    html! { span.mark.(class) { (outcome.as_str()) } }
}

pub(super) fn scope(scope: &Scope) -> Markup {
    html! {
        @match scope {
            Scope::All => "everything",
            Scope::User(user) => { "user " code { (user) } },
        }
    }
}

/// A worker that is silent for longer than most batches take is worth a word.
const QUIET: TimeDelta = TimeDelta::seconds(5);
