//! The instances that share the history.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::fmt::{quantity, span};
use crate::model::Instances;
use crate::web::client::INSTANCES_WITHIN;
use crate::web::format::{self, shown};
use crate::web::problem::Problem;
use crate::web::shows::Shows;

/// Lists the instances of the last minutes, and how far the buttons reach. `None` while the
/// database does not answer.
pub(super) fn section(
    known: Option<&Result<Instances, Problem>>,
    now: DateTime<Utc>,
    shows: Shows<'_>,
) -> Markup {
    html! {
        section.instances aria-labelledby="instances" {
            h2 #instances { "Instances" }
            @match known {
                None => p.quiet { "The database has not answered yet. Reload to see them." },
                Some(Err(problem)) => p.reason { "They could not be read: " (shown(&problem.detail)) },
                Some(Ok(known)) if known.instances.is_empty() => p.quiet {
                    "None ran in the last " (span(INSTANCES_WITHIN)) ". This is " (shown(&known.this)) "."
                },
                Some(Ok(known)) => (list(known, now)),
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

/// The instances that ended a run. One that is idle is noted every few minutes.
fn list(known: &Instances, now: DateTime<Utc>) -> Markup {
    html! {
        p.quiet { "Those that ran in the last " (span(INSTANCES_WITHIN)) "." }
        ul {
            @for instance in &known.instances {
                li {
                    (shown(&instance.instance))
                    @if instance.instance == known.this { strong { " (this one)" } }
                    " ran " (format::ago(instance.last_seen_at, now)) ", "
                    @match instance.lines {
                        0 => "nothing to do",
                        lines => { (quantity(lines, "line", "lines")) " of the history" }
                    }
                }
            }
        }
    }
}
