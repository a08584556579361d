//! The couriers at one instant, as cards.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::fmt::{span, thousands};
use crate::model::{CourierState, CourierStatus, DeliveryEnd, DeliveryRecord, Status};
use crate::web::format::{self, shown};
use crate::web::links::Links;

/// A card for each courier. Without couriers it is empty, and there for the script.
pub(super) fn section(links: &Links, status: &Status) -> Markup {
    html! {
        section #couriers .cards.trouble[any_in_trouble(status)] aria-label="Deliveries"
            hidden[status.couriers.is_empty()] {
            @for courier in status.couriers.values() { (card(links, courier, status.at)) }
        }
    }
}

/// Returns whether the entries of any courier need a person. Then the couriers come before the
/// jobs.
pub(super) fn any_in_trouble(status: &Status) -> bool {
    status.couriers.values().any(in_trouble)
}

/// Returns whether the entries of a courier need a person.
pub(super) fn in_trouble(courier: &CourierStatus) -> bool {
    courier.problem.is_some()
}

pub(super) fn card(links: &Links, courier: &CourierStatus, now: DateTime<Utc>) -> Markup {
    let (word, class) = if in_trouble(courier) {
        ("entries wait", "late")
    } else {
        ("delivering", "healthy")
    };
    html! {
        article.courier data-key=(courier.rule) aria-label={ "Deliveries of " (courier.rule) } {
            header {
                h2 { "Deliveries of " a href=(links.to_courier(&courier.rule, "")) { (courier.rule) } }
                p.badges { span.badge.(class) { (word) } }
            }
            p.reason.late hidden[courier.problem.is_none()] {
                (shown(courier.problem.as_deref().unwrap_or_default()))
            }
            div.now { p { (state(&courier.courier, now)) } }
            (facts(courier, now))
            p.quiet hidden[courier.advice.is_none()] {
                "Check: " (shown(courier.advice.as_deref().unwrap_or_default()))
            }
        }
    }
}

fn state(state: &CourierState, now: DateTime<Utc>) -> Markup {
    html! {
        @match state {
            CourierState::Idle => { span.state { "Idle" } " waits for the next entry" },
            CourierState::Delivering { entries } => {
                span.state.busy { "Delivering" } " " (thousands(*entries)) " under way"
            }
            CourierState::Waiting => { span.state { "Waiting" } " for the receiver or the database" },
            CourierState::Restarting { at, .. } => {
                span.state { "Courier crashed" } " restarts " (format::until(*at, now))
            }
            CourierState::Stopped => { span.state { "Stopped" } " with its housekeeper" },
        }
    }
}

fn facts(courier: &CourierStatus, now: DateTime<Utc>) -> Markup {
    let counts = courier.counts;
    let unknown = || "–".to_owned();
    let count = |count: Option<crate::job::BoundedCount>| {
        count.map_or_else(unknown, |count| count.to_string())
    };
    html! {
        dl.facts {
            div.wide {
                dt { "Last delivery" }
                dd { @match courier.recent.first() { Some(record) => (end(record, now)), None => "none yet" } }
            }
            div { dt { "Waiting" } dd title="Entries that are not delivered yet" { (count(counts.map(|counts| counts.waiting))) } }
            div {
                dt { "Oldest" }
                dd title="How long the oldest entry has waited" {
                    (counts.and_then(|counts| counts.oldest).map_or_else(unknown, span))
                }
            }
            div { dt { "Failing" } dd title="Waiting entries that failed before" { (count(counts.map(|counts| counts.failing))) } }
            div { dt { "Parked" } dd title="Entries that failed too often" { (count(counts.map(|counts| counts.parked))) } }
            div { dt { "Acknowledged" } dd title="Deliveries since the start" { (thousands(courier.acknowledged)) } }
            div { dt { "Refused" } dd title="Deliveries since the start that failed" { (thousands(courier.refused)) } }
            div { dt { "Restarts" } dd title="Restarts of the courier" { (thousands(courier.restarts)) } }
        }
    }
}

/// The end of a delivery in a line.
pub(super) fn end(record: &DeliveryRecord, now: DateTime<Utc>) -> Markup {
    let (word, class, error) = match &record.end {
        DeliveryEnd::Acknowledged => ("acknowledged", "good", None),
        DeliveryEnd::Refused { error, .. } => ("refused", "cut", Some(error)),
        DeliveryEnd::Parked { error } => ("parked", "bad", Some(error)),
    };
    html! {
        span.mark.(class) { (word) } " " code { (shown(&record.key)) } " " (format::ago(record.at, now))
        @if let Some(error) = error { ": " (shown(error)) }
    }
}
