//! The instances that share the history.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::fmt::{quantity, span};
use crate::model::Instances;
use crate::web::client::INSTANCES_WITHIN;
use crate::web::format::{self, shown};
use crate::web::shows::Shows;

/// Lists the instances of the last minutes, and how far the buttons reach. `None` while the
/// database does not answer.
pub(super) fn section(known: Option<&Instances>, now: DateTime<Utc>, shows: Shows<'_>) -> Markup {
    html! {
        section.instances aria-labelledby="instances" {
            h2 #instances { "Instances" }
            @match known {
                None => p.quiet { "The database has not answered yet. Reload to see them." },
                Some(known) if known.instances.is_empty() => p.quiet {
                    "None changed rows in the last " (span(INSTANCES_WITHIN)) ". This is "
                    (shown(&known.this)) "."
                },
                Some(known) => (list(known, now)),
            }
            @if shows.actions {
                p.quiet {
                    "Pause and Resume reach this instance alone; Pause all and Resume all reach every \
                     replica that shares the database."
                }
            }
        }
    }
}

fn list(known: &Instances, now: DateTime<Utc>) -> Markup {
    html! {
        p.quiet {
            "Those that changed rows in the last " (span(INSTANCES_WITHIN)) ". Runs that find nothing \
             to do are not kept."
        }
        ul {
            @for instance in &known.instances {
                li {
                    (shown(&instance.instance))
                    @if instance.instance == known.this { strong { " (this one)" } }
                    " " (format::ago(instance.last_recorded_at, now)) ", "
                    (quantity(instance.lines, "line", "lines")) " of the history"
                }
            }
        }
    }
}
