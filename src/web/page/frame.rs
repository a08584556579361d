//! The frame around all pages.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::forms;
use crate::fmt::thousands;
use crate::model::Status;
use crate::web::assets::{ICON, SCRIPT, STYLE};
use crate::web::format::{self, shown};
use crate::web::links::Links;
use crate::web::problem::{Problem, with_retry_after};

/// A whole page.
pub(crate) struct Page {
    pub(super) status: StatusCode,
    pub(super) markup: Markup,
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        let response = (self.status, kind, self.markup.into_string());
        with_retry_after(response.into_response())
    }
}

/// The housekeeper's name, instance, state and uptime.
pub(super) fn heading(status: &Status) -> Markup {
    html! {
        @if let Some(name) = &status.name { span { (shown(name)) } " " }
        @if let Some(instance) = &status.instance { "(instance " (instance) ") " }
        span { (status.state) }
        @if let Some(started_at) = status.started_at {
            " for " (format::lasting(started_at, status.at))
        }
        @if status.timer_restarts > 0 {
            ", timer restarted " (thousands(status.timer_restarts)) "×"
        }
    }
}

/// A page within the frame.
pub(super) fn page(
    links: &Links,
    title: &str,
    heading: &Markup,
    aside: &Markup,
    main: &Markup,
) -> Page {
    let markup = html! {
        (DOCTYPE)
        html lang="en" data-root=(links.root()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Housekeeping" }
                link rel="icon" type="image/svg+xml" href=(links.to(&ICON.address()));
                link rel="stylesheet" href=(links.to(&STYLE.address()));
                script defer src=(links.to(&SCRIPT.address())) {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    h1 { a href=(links.home()) { "Housekeeping" } }
                    p.state { (heading) }
                    p.link #link role="status" { "Not live: reload to see more" }
                    div.aside { (aside) }
                }
                main #main tabindex="-1" { (main) }
                div #answer role="status" aria-live="polite" {}
                footer {
                    a href=(links.to("api/v1/status")) { "Status as JSON" }
                    span { "Times are UTC, unless they say local." }
                }
                (forms::dialog())
            }
        }
    };
    Page {
        status: StatusCode::OK,
        markup,
    }
}

/// A page of a problem, with its status.
pub(crate) fn error_page(links: &Links, problem: &Problem) -> Page {
    let title = problem.status.canonical_reason().unwrap_or("Error");
    let main = html! {
        section.problem {
            h2 { (title) }
            p { (shown(&problem.detail)) }
            p { a href=(links.home()) { "To the overview" } }
        }
    };
    let mut page = page(links, title, &html! {}, &html! {}, &main);
    page.status = problem.status;
    page
}
