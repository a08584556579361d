//! The rows that a run would handle, as a table.

use maud::{Markup, html};

use crate::job::Preview;
use crate::web::extract::PreviewParams;
use crate::web::format::{self, shown};
use crate::web::links::{Links, encoded};

pub(super) fn section(links: &Links, preview: &Preview, which: &PreviewParams) -> Markup {
    let here = links.to_job(&preview.job, "/preview");
    let user = which.user.as_deref().unwrap_or_default();
    let query = format!("?user={}&size={}", encoded(user), which.size());
    html! {
        section.preview aria-labelledby="preview" {
            h2 #preview { "Preview of " a href=(links.to_job(&preview.job, "")) { (preview.job) } }
            p {
                strong { (preview.due) }
                @if preview.due.count == 1 { " row is" } @else { " rows are" }
                " due: older than " (format::utc(preview.cutoff)) ". "
                span.quiet { "A preview changes nothing." }
            }
            form.filter action=(here) {
                label { "User " input name="user" value=(user) maxlength="200" autocomplete="off" spellcheck="false" placeholder="all users"; }
                label { "Rows a page " input name="size" type="number" min="1" max="1000" required value=(which.size()); }
                button { "Show" }
            }
            @if preview.rows.is_empty() {
                p.empty { "No rows on this page." }
            } @else {
                (table(preview))
            }
            nav.pages aria-label="Pages" {
                @if !which.is_first() { a href={ (here) (query) } rel="prev" { "First page" } }
                @if let Some(next) = &preview.next {
                    a rel="next" href={
                        (here) (query) "&after_since=" (encoded(&next.since.to_rfc3339()))
                        "&after_id=" (encoded(&next.id))
                    } { "Next page" }
                }
            }
        }
    }
}

fn table(preview: &Preview) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Rows" {
            table {
                thead { tr {
                    th scope="col" { "Id" }
                    th scope="col" { "User" }
                    th scope="col" { "Since" }
                    th scope="col" { "Details" }
                } }
                tbody {
                    @for row in &preview.rows {
                        tr {
                            td.id { (shown(&row.id)) }
                            td.id { (shown(row.user.as_deref().unwrap_or("–"))) }
                            td { (format::utc(row.since)) }
                            td {
                                @for (name, value) in &row.details {
                                    span.detail { span.quiet { (shown(&name.replace('_', " "))) } " " (shown(value)) } " "
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
