//! Past runs, as plots and as a table.

use std::time::Duration;

use maud::{Markup, html};

use super::card::{mark, scope};
use super::plot::{Plot, Point};
use crate::history::{History, HistorySource, RunRecord};
use crate::report::{Outcome, Report};
use crate::text::thousands;
use crate::web::words;

pub(super) fn section(history: &History) -> Markup {
    html! {
        section #history .history aria-labelledby="past" {
            h2 #past { "Past runs" }
            @if let HistorySource::Memory { reason } = &history.source {
                p.reason { "Only what this process saw: " (reason) }
            }
            @if history.runs.is_empty() {
                p.empty { "No run has changed anything yet. Runs that find nothing to do are not kept." }
            } @else {
                div.plots {
                    (plot(history, "rows", "Rows per run", |report| Some(changed(report)), rows))
                    (plot(history, "seconds", "Time per run", |report| Some(report.elapsed.as_secs_f64()), seconds))
                    (plot(history, "lag", "Lag after each run", lag, seconds))
                }
                (table(&history.runs))
            }
        }
    }
}

/// Newest last, as time goes.
fn plot(
    history: &History,
    id: &'static str,
    title: &'static str,
    value: fn(&Report) -> Option<f64>,
    told: fn(f64) -> String,
) -> Markup {
    let points = history.runs.iter().rev().filter_map(|record| {
        let report = &record.report;
        let value = value(report)?;
        Some(Point {
            at: report.started_at,
            value,
            good: report.success(),
            label: format!(
                "{}: {}, {}",
                words::utc(report.started_at),
                told(value),
                report.outcome.word()
            ),
        })
    });
    Plot {
        id,
        title,
        points: points.collect(),
        told,
    }
    .draw()
}

#[expect(clippy::cast_precision_loss, reason = "a height for people")]
fn changed(report: &Report) -> f64 {
    report.counts.total() as f64
}

/// How long the oldest row had waited when the run ended; nothing if nobody could look.
fn lag(report: &Report) -> Option<f64> {
    let outlook = report.outlook?;
    Some(outlook.oldest_overdue.unwrap_or_default().as_secs_f64())
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
    words::elapsed(Duration::try_from_secs_f64(value).unwrap_or_default())
}

fn table(runs: &[RunRecord]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Past runs as a table" {
            table {
                thead { tr {
                    th scope="col" { "Started" }
                    th scope="col" { "Outcome" }
                    th scope="col" { "Why" }
                    th scope="col" { "For" }
                    th scope="col" { "Changed" }
                    th.number scope="col" { "Took" }
                    th.number scope="col" { "Batches" }
                    th.number scope="col" { "Set aside" }
                    th.number scope="col" { "Still due" }
                } }
                tbody { @for record in runs { (row(record)) } }
            }
        }
    }
}

fn row(record: &RunRecord) -> Markup {
    let report = &record.report;
    html! {
        tr {
            td { time datetime=(report.started_at.to_rfc3339()) { (words::utc(report.started_at)) } }
            td {
                (mark(&report.outcome))
                @match &report.outcome {
                    Outcome::Failed { error, .. } => div.why { (error) },
                    Outcome::Crashed { reason, .. } => div.why { (reason) },
                    _ => {}
                }
            }
            td {
                (report.trigger)
                @if record.runs > 1 { span.quiet { " ×" (thousands(record.runs)) } }
            }
            td { (scope(&report.scope)) }
            td { (changes(report)) }
            td.number { (words::elapsed(report.elapsed)) }
            td.number { (thousands(report.batches)) }
            td.number { (thousands(report.set_aside_count)) }
            td.number { @match &report.outlook { Some(outlook) => (outlook.due), None => "–" } }
        }
    }
}

/// What it changed, and, for who opens it, the rows by id.
fn changes(report: &Report) -> Markup {
    html! {
        @if report.ids.is_empty() && report.set_aside.is_empty() {
            (report.counts)
        } @else {
            details {
                summary { (report.counts) }
                ul.ids {
                    @for id in report.ids.iter().take(IDS_SHOWN) { li { (id) } }
                    @if report.more_ids || report.ids.len() > IDS_SHOWN { li.quiet { "and more" } }
                    @for row in report.set_aside.iter().take(IDS_SHOWN) { li { (row.id) " set aside: " (row.error) } }
                }
            }
        }
    }
}

/// A page of a thousand runs is to stay a page.
const IDS_SHOWN: usize = 20;
