//! Plots as SVG that is sharp and legible at any width: what lies along the time is in per cent,
//! all else in pixels.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::fmt::{quantity, thousands};
use crate::web::format;

/// Values over time.
pub(super) struct Plot {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// In the order of time.
    pub(super) points: Vec<Point>,
    /// A value as people read it.
    pub(super) format_value: fn(f64) -> String,
}

pub(super) struct Point {
    pub(super) at: DateTime<Utc>,
    pub(super) value: f64,
    pub(super) good: bool,
    pub(super) label: String,
}

impl Plot {
    /// A stem with a dot for each point: runs are far apart at times, and a line between two would
    /// tell of what was not.
    pub(super) fn draw(&self) -> Markup {
        let (title, description) = (format!("{}-title", self.id), format!("{}-text", self.id));
        let top = self.top();
        html! {
            figure.plot {
                figcaption { (self.title) }
                svg role="img" aria-labelledby=(title) aria-describedby=(description) width="100%" height=(HEIGHT) {
                    title id=(title) { (self.title) }
                    desc id=(description) { (self.description()) }
                    @for (part, label) in self.labels() {
                        @let y = height(part);
                        line.grid.base[part == 0.0] x1="0" x2="100%" y1=(y) y2=(y) {}
                        @if let Some(label) = label {
                            text.axis x="0" y=(y - 4.0) { (label) }
                        }
                    }
                    @for point in &self.points {
                        @let (x, y) = (percent(self.place(point.at)), height(point.value / top));
                        g.point.bad[!point.good] {
                            title { (point.label) }
                            line x1=(x) x2=(x) y1=(height(0.0)) y2=(y) {}
                            circle cx=(x) cy=(y) r="2.5" {}
                        }
                    }
                    @if let [first, .., last] = self.points.as_slice() {
                        text.axis x="10%" y=(HEIGHT - 4.0) { (clock(first.at)) }
                        text.axis.end x="99%" y=(HEIGHT - 4.0) { (clock(last.at)) }
                    }
                }
            }
        }
    }

    /// The labels of the scale, by their parts of it. The middle has none if it would read as an
    /// end does.
    fn labels(&self) -> [(f64, Option<String>); 3] {
        let top = self.top();
        let [low, middle, high] = [0.0, 0.5, 1.0].map(|part| (self.format_value)(top * part));
        let middle = (middle != low && middle != high).then_some(middle);
        [(0.0, Some(low)), (0.5, middle), (1.0, Some(high))]
    }

    /// For those who do not see it.
    fn description(&self) -> String {
        let mut values: Vec<f64> = self.points.iter().map(|point| point.value).collect();
        values.sort_by(f64::total_cmp);
        let ([first, ..], [.., last]) = (self.points.as_slice(), self.points.as_slice()) else {
            return "Nothing to show.".to_owned();
        };
        let bad = self.points.iter().filter(|point| !point.good).count() as u64;
        format!(
            "{} from {} to {}: half of them at most {}, the largest {}, {} not completed.",
            quantity(values.len() as u64, "point", "points"),
            format::utc(first.at),
            format::utc(last.at),
            (self.format_value)(values[values.len() / 2]),
            (self.format_value)(values[values.len() - 1]),
            thousands(bad),
        )
    }

    /// Where an instant lies between the first and the last, 0 to 1.
    fn place(&self, at: DateTime<Utc>) -> f64 {
        let ([first, ..], [.., last]) = (self.points.as_slice(), self.points.as_slice()) else {
            return 1.0;
        };
        let whole = (last.at - first.at).as_seconds_f64();
        if whole <= 0.0 {
            return 1.0;
        }
        ((at - first.at).as_seconds_f64() / whole).clamp(0.0, 1.0)
    }

    /// The upper end of the scale: a round number at or above the largest value, and not far above
    /// it.
    fn top(&self) -> f64 {
        let largest = self
            .points
            .iter()
            .map(|point| point.value)
            .fold(0.0, f64::max);
        if largest <= 0.0 {
            return 1.0;
        }
        let power = 10_f64.powf(largest.log10().floor());
        let steps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|step| step * power);
        steps
            .into_iter()
            .find(|step| *step >= largest)
            .unwrap_or(largest)
    }
}

/// The left tenth is for the labels of the scale.
fn percent(place: f64) -> String {
    format!("{:.2}%", 10.0 + 89.0 * place)
}

/// Pixels from above, for a part of the scale.
fn height(part: f64) -> f64 {
    let scale = HEIGHT - ABOVE - BELOW;
    ((ABOVE + scale * (1.0 - part.clamp(0.0, 1.0))) * 10.0).round() / 10.0
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%b %-d, %H:%M:%S").to_string()
}

const HEIGHT: f64 = 150.0;
const ABOVE: f64 = 18.0;
const BELOW: f64 = 22.0;

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_scale_ends_at_a_round_number_above_the_largest_value() {
        let table = [
            (0.0, 1.0),
            (0.003, 0.003),
            (0.0031, 0.004),
            (1.0, 1.0),
            (217.0, 300.0),
            (9_500.0, 10_000.0),
        ];

        for (largest, expected) in table {
            let top = plot(&[0.0, largest]).top();
            assert!((top - expected).abs() < expected * 1e-9, "{largest}: {top}");
        }
    }

    #[test]
    fn points_lie_between_the_first_and_the_last_by_their_time() {
        let plot = plot(&[1.0, 2.0, 3.0]);

        let places: Vec<f64> = plot
            .points
            .iter()
            .map(|point| plot.place(point.at))
            .collect();

        let shown = places.iter().map(f64::to_string).collect::<Vec<_>>();
        assert_eq!(shown, ["0", "0.5", "1"]);
        assert_eq!([0.0, 1.0].map(percent), ["10.00%", "99.00%"]);
        let heights = [0.0, 1.0, 2.0].map(|part| height(part).to_string());
        assert_eq!(heights, ["128", "18", "18"]);
    }

    #[test]
    fn a_plot_has_a_description_in_words() {
        let shown = plot(&[1.0, 5.0, 3.0]).description();

        assert_eq!(
            shown,
            "3 points from 1970-01-01 00:00:00 UTC to 1970-01-01 00:02:00 UTC: \
             half of them at most 3, the largest 5, 0 not completed."
        );
        assert_eq!(plot(&[]).description(), "Nothing to show.");
        assert_eq!(
            plot(&[7.0]).draw().into_string().matches("<circle").count(),
            1
        );
    }

    #[test]
    fn no_two_labels_of_a_scale_read_alike() {
        let labels = |largest| {
            let mut plot = plot(&[largest]);
            plot.format_value = |value| value.round().to_string();
            plot.labels().map(|(_, label)| label)
        };
        let read = |label: &str| Some(label.to_owned());

        assert_eq!(labels(1.0), [read("0"), None, read("1")]);
        assert_eq!(labels(2.0), [read("0"), read("1"), read("2")]);
    }

    fn plot(values: &[f64]) -> Plot {
        let points = values.iter().zip(0..).map(|(value, minute)| Point {
            at: DateTime::UNIX_EPOCH + TimeDelta::minutes(minute),
            value: *value,
            good: true,
            label: String::new(),
        });
        Plot {
            id: "plot",
            title: "Plot",
            points: points.collect(),
            format_value: |value| value.to_string(),
        }
    }
}
