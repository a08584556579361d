//! Figures as medians with their spread, and what they should be.

use std::fmt;

/// Results over all rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let negated: Vec<f64> = values.iter().map(|value| -value).collect();
        Self {
            low: percentile(values, 0.0),
            // Of an even number, between the two in the middle.
            median: f64::midpoint(percentile(values, 50.0), -percentile(&negated, 50.0)),
            high: percentile(values, 100.0),
        }
    }
}

impl fmt::Display for Spread {
    /// Writes `1.18 (1.10-1.31)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: f64| match value.abs() {
            // Two digits that say something, for microseconds as well as for megabytes.
            100.0.. => format!("{value:.0}"),
            10.0.. => format!("{value:.1}"),
            0.1.. => format!("{value:.2}"),
            _ => format!("{value:.4}"),
        };
        let Self { low, median, high } = *self;
        f.pad(&format!("{} ({}-{})", text(median), text(low), text(high)))
    }
}

/// The smallest of the values that `percent` of them do not exceed; of none there is none, which is
/// `NaN`.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    let place = (percent / 100.0 * values.len() as f64).ceil() as usize;
    let last = values.len().saturating_sub(1);
    values
        .get(place.saturating_sub(1).min(last))
        .copied()
        .unwrap_or(f64::NAN)
}

/// On which side of a target the figure should lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// Prints a target as a line that ends in `met` or `missed`. The median of what was seen decides.
pub(crate) fn target(name: &str, bound: Bound, unit: &str, seen: &[f64]) {
    let spread = Spread::of(seen);
    let (sign, limit, is_met) = match bound {
        Bound::AtLeast(limit) => (">=", limit, spread.median >= limit),
        Bound::AtMost(limit) => ("<=", limit, spread.median <= limit),
    };
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    };
    let word = if is_met { "met" } else { "missed" };
    println!("{name}: target {sign} {limit}{unit}, seen {spread}{unit} {word}");
}
