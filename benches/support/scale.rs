//! Where the marks of an axis stand.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;

/// A linear scale whose ticks are ours: those of plotters stand at fractions of a power of ten,
/// which a log axis cannot show.
pub(crate) struct Scale {
    line: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Scale {
    pub(crate) fn new(from: f64, to: f64, ticks: Vec<f64>) -> Self {
        let line = (from..to).into();
        Self { line, ticks }
    }
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.line.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.line.range()
    }
}

/// The ticks between two values, at 1, 2 and 5 times a power of ten; on a log axis as logarithms.
pub(crate) fn ticks(low: f64, high: f64, log: bool) -> Vec<f64> {
    if log {
        let decades = (high - low).max(0.1);
        let steps: &[f64] = if decades > 1.5 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        return powers(low.floor(), high.ceil())
            .flat_map(|power| steps.iter().map(move |step| power + step.log10()))
            .filter(|tick| (low - 1e-9..=high + 1e-9).contains(tick))
            .collect();
    }
    let rough = (high - low) / 6.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil() * step;
    std::iter::successors(Some(first), |tick| Some(tick + step))
        .take_while(|tick| *tick <= high + step * 1e-9)
        .collect()
}

fn powers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(low), |power| Some(power + 1.0))
        .take_while(move |power| *power <= high)
}

/// A tick as text without more digits than it needs.
pub(crate) fn label(tick: f64, log: bool) -> String {
    let value = if log { 10_f64.powf(tick) } else { tick };
    let rounded = (value * 1e6).round() / 1e6;
    match rounded {
        1e6.. => format!("{}M", rounded / 1e6),
        1e3.. => format!("{}k", rounded / 1e3),
        _ => rounded.to_string(),
    }
}
