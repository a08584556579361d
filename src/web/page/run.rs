//! One run: what is known of it, and what it did.

use maud::{Markup, html};

use super::card::{mark, scope};
use crate::fmt::thousands;
use crate::model::{CurrentRun, Outcome, Report, Requester, RunStatus};
use crate::web::format::{self, shown};
use crate::web::links::Links;

pub(super) fn section(links: &Links, run: &RunStatus) -> Markup {
    html! {
        section.run aria-labelledby="run" {
            h2 #run { "A run of " a href=(links.to_job(run.job(), "")) { (run.job()) } }
            @match run {
                RunStatus::Queued { run, scope: rows, trigger, requested_by, ahead, .. } => {
                    p { span.mark.cut { "waiting" } " " (thousands(*ahead as u64)) " ahead of it. Reload to see more." }
                    dl.facts {
                        (fact("Id", &html! { code { (run) } }))
                        (fact("For", &scope(rows)))
                        (fact("Why", &html! { (trigger) (Requester::by(requested_by)) }))
                    }
                }
                RunStatus::Running { current, .. } => (running(current)),
                RunStatus::Ended { report } => (ended(report)),
            }
        }
    }
}

fn running(run: &CurrentRun) -> Markup {
    html! {
        p { span.mark.cut { "in progress" } " " (run.counts) " so far. Reload to see more." }
        dl.facts {
            (fact("Id", &html! { code { (run.run) } }))
            (fact("For", &scope(&run.scope)))
            (fact("Why", &html! { (run.trigger) (Requester::by(&run.requested_by)) }))
            (fact("Started", &html! { (format::utc(run.started_at)) }))
            (fact("Batches", &html! { (thousands(run.batches)) }))
        }
    }
}

fn ended(report: &Report) -> Markup {
    html! {
        p { (mark(&report.outcome)) " " (shown(&report.message())) }
        @match &report.outcome {
            Outcome::Failed { error, .. } => p.reason { (shown(error)) },
            Outcome::Crashed { reason, .. } => p.reason { (shown(reason)) },
            _ => {}
        }
        dl.facts {
            (fact("Id", &html! { code { (report.run) } }))
            (fact("For", &scope(&report.scope)))
            (fact("Why", &html! { (report.trigger) (Requester::by(&report.requested_by)) }))
            (fact("Started", &html! { (format::utc(report.started_at)) }))
            (fact("Took", &html! { (format::elapsed(report.elapsed)) }))
            (fact("Batches", &html! { (thousands(report.batches)) }))
            @if let Some(cutoff) = report.cutoff {
                (fact("Rows older than", &html! { (format::utc(cutoff)) }))
            }
            @for (kind, count) in report.counts.iter() {
                (fact(&kind.replace('_', " "), &html! { (thousands(count)) }))
            }
            (fact("Rejected", &html! { (thousands(report.rejected_count)) }))
            @if let Some(forecast) = &report.forecast {
                (fact("Still due", &html! { (forecast.due) }))
            }
        }
        @if !report.rejected.is_empty() {
            h3 { "Rejected rows" }
            ul.ids { @for row in &report.rejected { li { code { (shown(&row.id)) } " " (shown(&row.error)) } } }
        }
        @if !report.ids.is_empty() {
            h3 { "Rows" }
            ul.ids {
                @for id in &report.ids { li { code { (shown(id)) } } }
                @if report.more_ids { li.quiet { "and more" } }
            }
        }
    }
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}
