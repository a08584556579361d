//! A job at one instant, as a card.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::filter::states;
use super::{forms, spark};
use crate::fmt::{quantity, span, thousands};
use crate::job::{BoundedCount, Counts, JobName, Scope};
use crate::model::{CurrentRun, JobStatus, Outcome, Report, Requester, Status, WorkerStatus};
use crate::web::format::{self, shown};
use crate::web::links::Links;
use crate::web::shows::Shows;

/// The card of one job.
pub(crate) fn one(links: &Links, status: &Status, job: &JobName, shows: Shows<'_>) -> Markup {
    html! {
        div #jobs .cards.single data-now=(status.at.to_rfc3339()) {
            @if let Some(job) = status.jobs.get(job) {
                (card(links, job, status.at, shows, (false, false)))
            }
        }
    }
}

pub(super) fn card(
    links: &Links,
    job: &JobStatus,
    now: DateTime<Utc>,
    shows: Shows<'_>,
    (short, hidden): (bool, bool),
) -> Markup {
    let reason = job.health.reason();
    html! {
        article.job.short[short] data-key=(job.job) data-job=(job.job) data-states=(states(job))
            aria-label=(job.job) hidden[hidden] {
            header {
                h2 { a href=(links.to_job(&job.job, "")) { (job.job) } }
                (badges(job))
            }
            // Always there: the script takes a fresh card over part by part, and what comes after
            // would change places with it.
            p.reason.(job.health.as_str()) hidden[reason.is_none()] {
                (shown(&reason.unwrap_or_default()))
            }
            (worker(job, now))
            (facts(job, now, short))
            (findings(job))
            footer {
                @if shows.actions && job.worker != WorkerStatus::Disabled {
                    (forms::of_job(links, job, shows))
                }
                nav aria-label={ "More on " (job.job) } {
                    @if let Some(runbook) = &job.runbook {
                        a href=(runbook) rel="noreferrer" { "Runbook" } " "
                    }
                    a href=(links.to_job(&job.job, "")) { "History" }
                    @if job.worker != WorkerStatus::Disabled && shows.previews {
                        " " a href=(links.to_job(&job.job, "/preview")) { "Preview" }
                    }
                }
            }
        }
    }
}

/// The health of a job, and whether it is paused.
pub(super) fn badges(job: &JobStatus) -> Markup {
    html! {
        p.badges {
            @if job.paused {
                @let for_all = job.pause.as_ref().is_some_and(|pause| pause.all_replicas);
                span.badge.paused { @if for_all { "all paused" } @else { "paused" } }
            }
            @if job.worker == WorkerStatus::Disabled {
                span.badge.off { "off" }
            } @else {
                span.badge.(job.health.as_str()) { (job.health.as_str()) }
            }
        }
    }
}

/// The worker's state.
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
                                @if pause.all_replicas { " for all replicas" }
                                " for " (format::lasting(pause.since, now))
                                @if let Some(by) = &pause.by { " by " (shown(by.as_str())) }
                                ","
                            }
                            " runs on request only"
                        }
                        None => { span.state { "Idle" } " runs on request only" }
                    }
                },
                WorkerStatus::Disabled => p { span.state { "Off" } " its setting is not set" },
                WorkerStatus::Stopped => p { span.state { "Stopped" } " with its housekeeper" },
                WorkerStatus::Restarting { at, .. } => p {
                    span.state { "Worker crashed" } " restarts " (format::until(*at, now))
                },
                WorkerStatus::Degraded { until, .. } => p {
                    span.state { "Degraded" } " crashed too often; next attempt "
                    (format::until(*until, now)) ", or when a run is requested"
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
            @if now - run.heartbeat_at > QUIET { ", silent for " (format::lasting(run.heartbeat_at, now)) }
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

/// Rows a second; `None` after too short a time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(rows: u64, seconds: f64) -> Option<u64> {
    (rows > 0 && seconds >= 0.1).then(|| (rows as f64 / seconds).round() as u64)
}

/// A short card leaves out what is seldom needed first; the job's own page has it.
fn facts(job: &JobStatus, now: DateTime<Utc>, short: bool) -> Markup {
    let last = job.last.as_ref();
    let due = last.and_then(|report| Some(report.forecast?.due));
    html! {
        dl.facts {
            div.wide {
                dt { "Last run" }
                dd {
                    @match last { Some(report) => (outcome(report, now)), None => "no run yet" }
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
            @if !short { (other_facts(job, now)) }
        }
    }
}

/// The findings of the last check. Always present, as the reason is.
fn findings(job: &JobStatus) -> Markup {
    let found = &job.findings;
    html! {
        details.findings hidden[found.is_empty()] {
            summary { "Check: " (found.refused.len()) " refused, " (found.advice.len()) " advice" }
            ul {
                @for finding in found.refused.iter().chain(&found.advice) {
                    li { (finding.part) ": " (shown(&finding.text))
                        @if let Some(statement) = &finding.statement { " " code { (shown(statement)) } } }
                }
            }
        }
    }
}

fn other_facts(job: &JobStatus, now: DateTime<Utc>) -> Markup {
    html! {
            div.wide {
                dt { "Schedule" }
                dd { (format::schedule(&job.schedule)) (ticks(job, now)) }
            }
            (count("Restarts", job.restarts, "Restarts of its worker"))
            (count("Missed ticks", job.missed_ticks, "Ticks that met a run in progress or a sleeping machine, and merged into one"))
            (count("Rejected", job.rejected as u64, "Due rows that failed since the last tick"))
            @if job.waiting > 0 {
                (count("Waiting", job.waiting as u64, "Runs that wait for their turn"))
            }
            @if job.unsaved_runs > 0 {
                (count("Unsaved", job.unsaved_runs as u64, "Runs that are not in the history yet"))
            }
    }
}

/// The next five ticks, with the time of day in UTC; the script adds the local one.
fn ticks(job: &JobStatus, now: DateTime<Utc>) -> Markup {
    html! {
        @if !job.next_ticks.is_empty() {
            ol.ticks aria-label="Next ticks" {
                @for tick in &job.next_ticks {
                    li { (format::clock(*tick)) " · " (format::until(*tick, now)) }
                }
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
pub(super) fn outcome(report: &Report, now: DateTime<Utc>) -> Markup {
    html! {
        (mark(&report.outcome)) " · " (changes(&report.counts)) " · " (format::elapsed(report.elapsed))
        " · " (report.trigger) (shown(&Requester::by(&report.requested_by)))
        " " (format::ago(report.started_at, now))
        @if report.rejected_count > 0 { " · " (thousands(report.rejected_count)) " rejected" }
    }
}

/// The rows that a run changed.
pub(super) fn changes(counts: &Counts) -> String {
    if counts.total() == 0 {
        return "no rows changed".to_owned();
    }
    counts.to_string()
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
            Scope::All => "all users",
            Scope::User(user) => { "user " code { (shown(user)) } },
        }
    }
}

/// A worker that is silent for longer than most batches take is worth a word.
const QUIET: TimeDelta = TimeDelta::seconds(5);
