//! Past runs, as plots and as a table.

use std::time::Duration;

use maud::{Markup, html};

use super::card::{changes as changed_rows, mark, scope};
use super::plot::{Plot, Point};
use crate::fmt::thousands;
use crate::model::{
    History, HistorySource, Outcome, OutcomeKind, Report, Requester, RunRecord, unreadable,
};
use crate::web::format::{self, shown};
use crate::web::links::Links;
use crate::web::params::HistoryParams;

pub(super) fn section(links: &Links, history: &History, part: &HistoryParams) -> Markup {
    html! {
        section #history .history aria-labelledby="past" {
            h2 #past { "Past runs" }
            @if let HistorySource::Memory { reason } = &history.source {
                p.reason { "Only what this process saw: " (shown(reason)) }
            }
            @if history.unreadable > 0 {
                p.reason {
                    "Skipped " (unreadable(history.unreadable))
                    ": damaged, or written by a newer version."
                }
            }
            (filter(links, history, part))
            @if history.runs.is_empty() && (part.is_filtered() || !part.is_first()) {
                p.empty { "No such run." }
            } @else if history.runs.is_empty() && history.unreadable == 0 {
                p.empty { "No run has changed anything yet. Runs that find nothing to do are not kept." }
            } @else if !history.runs.is_empty() {
                div.plots data-key="plots" {
                    (plot(history, "rows", "Rows per run", |record| Some(per_run(record, changed(&record.report))), rows))
                    (plot(history, "seconds", "Time per run", |record| Some(per_run(record, record.report.elapsed.as_secs_f64())), seconds))
                    (plot(history, "lag", "Lag after each run", lag, seconds))
                }
                (table(links, &history.runs))
                (pages(links, history, part))
            }
        }
    }
}

/// In place of a history that the database has not answered yet. The script waits for it.
pub(super) fn pending(job: &str, part: &HistoryParams) -> Markup {
    let patient = format!("{job}{}&wait={MAX_WAIT}", part.text(part.after.as_ref()));
    html! {
        section #history .history aria-labelledby="past" data-pending=(patient) {
            h2 #past { "Past runs" }
            p.empty {
                "The database has not answered yet. " a href=(patient) { "Wait for the past runs" }
            }
        }
    }
}

/// In place of a history that could not be read.
pub(super) fn missing(why: &str) -> Markup {
    html! {
        section #history .history aria-labelledby="past" {
            h2 #past { "Past runs" }
            p.reason { "They could not be read: " (shown(why)) }
        }
    }
}

/// Newest last, as time goes.
fn plot(
    history: &History,
    id: &'static str,
    title: &'static str,
    value: fn(&RunRecord) -> Option<f64>,
    format_value: fn(f64) -> String,
) -> Markup {
    let points = history.runs.iter().rev().filter_map(|record| {
        let report = &record.report;
        let value = value(record)?;
        Some(Point {
            at: report.started_at,
            value,
            good: report.success(),
            label: format!(
                "{}: {}, {}{}",
                format::utc(report.started_at),
                format_value(value),
                report.outcome.as_str(),
                folded(record)
            ),
        })
    });
    Plot {
        id,
        title,
        points: points.collect(),
        format_value,
    }
    .draw()
}

/// A line that stands for many runs adds them up; a plot shows what one of them did on average.
#[expect(clippy::cast_precision_loss, reason = "a height for people")]
fn per_run(record: &RunRecord, sum: f64) -> f64 {
    sum / record.runs.max(1) as f64
}

fn folded(record: &RunRecord) -> String {
    match record.runs {
        0 | 1 => String::new(),
        runs => format!(", the mean of {} runs", thousands(runs)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a height for people")]
fn changed(report: &Report) -> f64 {
    report.counts.total() as f64
}

/// How long the oldest row had waited when the run ended; nothing without a forecast.
fn lag(record: &RunRecord) -> Option<f64> {
    let forecast = record.report.forecast?;
    Some(forecast.oldest_overdue.unwrap_or_default().as_secs_f64())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "was a count"
)]
fn rows(value: f64) -> String {
    thousands(value.round() as u64)
}

fn seconds(value: f64) -> String {
    format::elapsed(Duration::try_from_secs_f64(value).unwrap_or_default())
}

/// Narrows the history by date and outcome.
fn filter(links: &Links, history: &History, part: &HistoryParams) -> Markup {
    let [from, until] = part.dates();
    html! {
        form.filter data-key="filter" action=(links.to_job(&history.job, "")) {
            label { "From " input type="date" name="from" value=(from); }
            label { "Before " input type="date" name="until" value=(until); }
            label {
                "Outcome "
                select name="outcome" {
                    option value="" { "any" }
                    @for outcome in OutcomeKind::ALL {
                        option value=(outcome) selected[part.has(outcome)] { (outcome.as_str().replace('_', " ")) }
                    }
                }
            }
            button { "Show" }
        }
    }
}

/// Leads to older runs, and back to the newest.
fn pages(links: &Links, history: &History, part: &HistoryParams) -> Markup {
    let page = |after| links.to_job(&history.job, &part.text(after));
    html! {
        nav.pages data-key="pages" aria-label="Pages of past runs" {
            @if !part.is_first() { a rel="prev" href=(page(None)) { "Newest runs" } }
            @if let Some(next) = &history.next { a rel="next" href=(page(Some(next))) { "Older runs" } }
        }
    }
}

fn table(links: &Links, runs: &[RunRecord]) -> Markup {
    html! {
        div.scroll data-key="table" tabindex="0" role="region" aria-label="Past runs as a table" {
            table {
                thead { tr {
                    th scope="col" { "Started" }
                    th scope="col" { "Outcome" }
                    th scope="col" { "Why" }
                    th scope="col" { "For" }
                    th scope="col" { "Changed" }
                    th.number scope="col" { "Took" }
                    th.number scope="col" { "Batches" }
                    th.number scope="col" { "Rejected" }
                    th.number scope="col" { "Still due" }
                } }
                tbody { @for record in runs { (row(links, record)) } }
            }
        }
    }
}

fn row(links: &Links, record: &RunRecord) -> Markup {
    let report = &record.report;
    let started = html! {
        time datetime=(report.started_at.to_rfc3339()) { (format::utc(report.started_at)) }
    };
    html! {
        tr data-key=(record.key) {
            td {
                // A line of several runs has no page of its own.
                @if record.runs > 1 { (started) } @else {
                    a href=(links.to(&format!("runs/{}", report.run))) { (started) }
                }
            }
            td {
                (mark(&report.outcome))
                @match &report.outcome {
                    Outcome::Failed { error, .. } => div.why { (shown(error)) },
                    Outcome::Crashed { reason, .. } => div.why { (shown(reason)) },
                    _ => {}
                }
            }
            td {
                (report.trigger) (Requester::by(&report.requested_by))
                @if record.runs > 1 { span.quiet { " ×" (thousands(record.runs)) } }
            }
            td { (scope(&report.scope)) }
            td { (changes(report)) }
            td.number { (format::elapsed(report.elapsed)) }
            td.number { (thousands(report.batches)) }
            td.number { (thousands(report.rejected_count)) }
            td.number { @match &report.forecast { Some(forecast) => (forecast.due), None => "–" } }
        }
    }
}

/// The changes, and, once opened, the rows by id.
fn changes(report: &Report) -> Markup {
    html! {
        @if report.ids.is_empty() && report.rejected.is_empty() {
            (changed_rows(&report.counts))
        } @else {
            details {
                summary { (changed_rows(&report.counts)) }
                ul.ids {
                    @for id in report.ids.iter().take(IDS_SHOWN) { li { (shown(id)) } }
                    @if report.more_ids || report.ids.len() > IDS_SHOWN { li.quiet { "and more" } }
                    @for row in report.rejected.iter().take(IDS_SHOWN) { li { (shown(&row.id)) " rejected: " (shown(&row.error)) } }
                }
            }
        }
    }
}

/// Seconds to wait for a history that is late, above the default timeout of a read.
const MAX_WAIT: u64 = 20;

/// A page of a thousand runs is to stay a page.
const IDS_SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::job::Scope;
    use crate::model::Trigger;

    #[test]
    fn plots_show_the_mean_of_runs_that_were_folded_into_a_line() {
        let job = crate::job::JobName::from("sweeper");
        let (scope, start) = (Scope::All, DateTime::UNIX_EPOCH);
        let mut report = Report::blank(job.clone(), scope, Trigger::Deadline, start);
        report.counts.add("drafts", 8);
        report.elapsed = Duration::from_secs(2);
        let record = RunRecord {
            key: "minute".to_owned(),
            runs: 4,
            report,
            recorded_at: None,
        };
        let history = History {
            job,
            runs: vec![record],
            next: None,
            unreadable: 0,
            source: HistorySource::Database,
        };

        let links = Links::default();
        let page = section(&links, &history, &HistoryParams::default()).into_string();

        assert!(
            page.contains(": 2, completed, the mean of 4 runs"),
            "{page}"
        );
        assert!(
            page.contains(": 500 ms, completed, the mean of 4 runs"),
            "{page}"
        );
    }
}
