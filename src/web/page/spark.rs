//! The ends of a job's newest runs, as a row of bars.

use maud::{Markup, html};

use crate::fmt::quantity;
use crate::model::OutcomeKind;

/// Draws a bar for each run, the newest at the right. Bad ones are taller, so that their colour is
/// not all that distinguishes them.
pub(super) fn outcomes(outcomes: &[OutcomeKind]) -> Markup {
    html! {
        @if !outcomes.is_empty() {
            svg.spark role="img" aria-label=(label(outcomes)) width=(outcomes.len() * STEP) height=(HEIGHT) {
                title { (label(outcomes)) }
                @for (place, outcome) in outcomes.iter().enumerate() {
                    @let height = height(*outcome);
                    rect.(class(*outcome)) x=(place * STEP) y=(HEIGHT - height) width=(STEP - 2) height=(height) {}
                }
            }
        }
    }
}

/// Writes `the last 20 runs: 17 completed, 3 failed`.
fn label(outcomes: &[OutcomeKind]) -> String {
    let runs = outcomes.len() as u64;
    let kinds = OutcomeKind::ALL.into_iter().filter_map(|kind| {
        let count = outcomes.iter().filter(|outcome| **outcome == kind).count();
        (count > 0).then(|| format!("{count} {}", kind.as_str().replace('_', " ")))
    });
    let kinds: Vec<String> = kinds.collect();
    let runs = quantity(runs, "run", "runs");
    format!("the last {runs}: {}", kinds.join(", "))
}

fn class(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Completed => "good",
        OutcomeKind::Failed | OutcomeKind::Crashed => "bad",
        OutcomeKind::Cancelled | OutcomeKind::TimedOut | OutcomeKind::ShuttingDown => "cut",
    }
}

fn height(outcome: OutcomeKind) -> usize {
    match class(outcome) {
        "good" => 6,
        "cut" => 9,
        _ => HEIGHT,
    }
}

/// Pixels.
const HEIGHT: usize = 14;
const STEP: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_says_what_it_shows() {
        let shown = outcomes(&[
            OutcomeKind::Completed,
            OutcomeKind::TimedOut,
            OutcomeKind::Completed,
        ]);

        let shown = shown.into_string();
        assert!(
            shown.contains("the last 3 runs: 2 completed, 1 timed out"),
            "{shown}"
        );
        assert_eq!(shown.matches("<rect").count(), 3);
        assert_eq!(outcomes(&[]).into_string(), "");
    }
}
