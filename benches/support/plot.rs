//! Plots as SVG, light on a white ground.

use std::fs;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Result;
use super::figures::Spread;
use super::scale::{Scale, label, ticks};

/// Panels, two side by side, under one title.
pub(crate) struct Picture {
    pub(crate) title: String,
    /// The day and the machine, see [`heading`](super::machine::heading).
    pub(crate) heading: String,
    pub(crate) panels: Vec<Panel>,
}

pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

pub(crate) struct Axis {
    /// The quantity and its unit.
    pub(crate) label: String,
    pub(crate) log: bool,
    /// Where the places 0, 1, 2 and so on stand for names, the first at the top of a `y`.
    pub(crate) names: Vec<String>,
}

pub(crate) struct Series {
    /// In the legend; an empty one is left out there.
    pub(crate) name: String,
    pub(crate) shape: Shape,
}

pub(crate) enum Shape {
    /// Points joined by a line.
    Line(Vec<(f64, f64)>),
    /// A dot for each median, on a bar from the lowest to the highest, at a place of `y`.
    Dots(Vec<(Spread, f64)>),
}

impl Shape {
    /// Dots at the places 0, 1, 2 and so on.
    pub(crate) fn dots(spreads: impl IntoIterator<Item = Spread>) -> Self {
        Self::Dots(spreads.into_iter().zip((0_u32..).map(f64::from)).collect())
    }
}

impl Picture {
    /// Writes the plot to a file, whose folders are made.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let columns = self.panels.len().min(2);
        let lines = self.panels.len().div_ceil(2);
        let tallest = self.panels.iter().map(Panel::rows).max().unwrap_or(0);
        let height = 300.max(100 + 34 * u32::try_from(tallest)?);
        let size = (WIDTH, HEAD + height * u32::try_from(lines)?);
        let root = SVGBackend::new(file, size).into_drawing_area();
        root.fill(&WHITE)?;
        root.draw(&Text::new(self.title.as_str(), (16, 12), font(22)))?;
        root.draw(&Text::new(
            self.heading.as_str(),
            (16, 40),
            font(15).color(&GREY),
        ))?;
        let (_, body) = root.split_vertically(HEAD);
        for (panel, area) in self.panels.iter().zip(body.split_evenly((lines, columns))) {
            panel.draw(&area)?;
        }
        root.present()?;
        println!("plot: {}", file.display());
        Ok(())
    }
}

impl Panel {
    fn rows(&self) -> usize {
        self.y.names.len()
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<()> {
        let (head, body) = area.split_vertically(48);
        head.draw(&Text::new(self.title.as_str(), (16, 4), font(18)))?;
        self.legend(&head)?;

        let (x, y) = (self.x.range(self.xs()), self.y.range(self.ys()));
        let names = self.y.names.iter().map(|name| 7 * name.len()).max();
        let labels = u32::try_from(names.map_or(48, |width| width + 14))?;
        let mut chart = ChartBuilder::on(&body)
            .margin_left(if self.y.label.is_empty() { 4 } else { 10 })
            .margin_right(24)
            .margin_bottom(6)
            .x_label_area_size(44)
            .y_label_area_size(labels)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GREY.mix(0.25))
            .axis_style(GREY)
            .label_style(font(15))
            .axis_desc_style(font(16))
            .x_desc(self.x.label.as_str())
            .y_desc(self.y.label.as_str())
            .x_label_formatter(&|tick| self.x.text(*tick))
            .y_label_formatter(&|tick| self.y.text(*tick))
            .draw()?;
        for (place, series) in self.series.iter().enumerate() {
            let color = COLORS[place % COLORS.len()];
            let at = |x: f64, y: f64| (self.x.place(x), self.y.place(y));
            match &series.shape {
                Shape::Line(points) => {
                    let points = points.iter().map(|(x, y)| at(*x, *y));
                    chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
                }
                Shape::Dots(dots) => {
                    for (spread, y) in dots {
                        let bar = vec![at(spread.low, *y), at(spread.high, *y)];
                        chart.draw_series([PathElement::new(bar, color.stroke_width(2))])?;
                        let middle = at(spread.median, *y);
                        chart.draw_series([Circle::new(middle, 5, color.filled())])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The names of the series in one row, each behind its colour.
    fn legend(&self, head: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<()> {
        let mut left = 16;
        let named = |series: &&(usize, &Series)| !series.1.name.is_empty();
        let all: Vec<_> = self.series.iter().enumerate().collect();
        for (place, series) in all.iter().filter(named) {
            let color = COLORS[place % COLORS.len()];
            head.draw(&Rectangle::new(
                [(left, 30), (left + 12, 34)],
                color.filled(),
            ))?;
            let style = font(15).pos(Pos::new(HPos::Left, VPos::Center));
            head.draw(&Text::new(series.name.as_str(), (left + 17, 32), style))?;
            left += 17 + 7 * i32::try_from(series.name.len())? + 12;
        }
        Ok(())
    }

    fn xs(&self) -> Vec<f64> {
        self.series
            .iter()
            .flat_map(|series| match &series.shape {
                Shape::Line(points) => points.iter().map(|(x, _)| *x).collect::<Vec<_>>(),
                Shape::Dots(dots) => dots.iter().flat_map(|(x, _)| [x.low, x.high]).collect(),
            })
            .collect()
    }

    fn ys(&self) -> Vec<f64> {
        self.series
            .iter()
            .flat_map(|series| match &series.shape {
                Shape::Line(points) => points.iter().map(|(_, y)| *y).collect::<Vec<_>>(),
                Shape::Dots(dots) => dots.iter().map(|(_, y)| *y).collect(),
            })
            .collect()
    }
}

impl Axis {
    pub(crate) fn linear(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            log: false,
            names: Vec::new(),
        }
    }

    pub(crate) fn log(label: &str) -> Self {
        Self {
            log: true,
            ..Self::linear(label)
        }
    }

    pub(crate) fn names(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            ..Self::linear("")
        }
    }

    /// Where a value stands. Zero has no place on a log axis and is put at its end.
    fn place(&self, value: f64) -> f64 {
        if self.log {
            value.max(1e-6).log10()
        } else {
            value
        }
    }

    fn range(&self, values: Vec<f64>) -> Scale {
        if !self.names.is_empty() {
            let places = self.names.iter().zip(0_u32..);
            let places: Vec<f64> = places.map(|(_, place)| place.into()).collect();
            let last = places.last().copied().unwrap_or(0.0);
            return Scale::new(last + 0.5, -0.5, places);
        }
        let placed = values
            .into_iter()
            .filter(|value| value.is_finite())
            .map(|value| self.place(value));
        let (low, high) = placed.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        // A linear axis shows the zero, or a small difference looks like a large one.
        let low = if self.log { low } else { low.min(0.0) };
        let room = ((high - low) * 0.05).max(0.02);
        let low = if self.log { low - room } else { low };
        let high = high + room;
        Scale::new(low, high, ticks(low, high, self.log))
    }

    fn text(&self, tick: f64) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "ticks of names are their places"
        )]
        match self.names.get(tick.round() as usize) {
            Some(name) => name.clone(),
            None => label(tick, self.log),
        }
    }
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK.mix(0.85))
}

const WIDTH: u32 = 980;
/// Height of the title and of the heading together.
const HEAD: u32 = 64;
const GREY: RGBColor = RGBColor(110, 110, 110);

/// Distinct for colour-blind readers too (Okabe and Ito).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
