//! Times and ratios, as medians with their spread.

use std::fmt;
use std::time::Duration;

/// The times of each contender, round by round.
pub(crate) struct Figures {
    base: &'static str,
    times: Vec<(&'static str, Vec<Duration>)>,
}

impl Figures {
    pub(crate) fn new(base: &'static str) -> Self {
        Self {
            base,
            times: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &'static str, took: Duration) {
        match self.times.iter_mut().find(|(other, _)| *other == name) {
            Some((_, times)) => times.push(took),
            None => self.times.push((name, vec![took])),
        }
    }

    /// How many times faster `name` was than `base`, in each round.
    pub(crate) fn ratios(&self, name: &str, base: &str) -> Vec<f64> {
        let base = self.of(base).iter();
        base.zip(self.of(name))
            .map(|(base, took)| base.as_secs_f64() / took.as_secs_f64())
            .collect()
    }

    fn of(&self, name: &str) -> &[Duration] {
        self.times
            .iter()
            .find(|(other, _)| *other == name)
            .map_or(&[], |(_, times)| times)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<30}{:>12}{:>10}{:>18}",
            "contender", "median ms", "ratio", "spread"
        )?;
        for (name, times) in &self.times {
            let milliseconds: Vec<f64> = times
                .iter()
                .map(|time| time.as_secs_f64() * 1_000.0)
                .collect();
            let ratios = Spread::of(&self.ratios(name, self.base));
            let Spread { low, median, high } = ratios;
            write!(
                f,
                "\n{name:<30}{:>12.1}{median:>10.3}{:>18}",
                Spread::of(&milliseconds).median,
                format!("{low:.3}-{high:.3}")
            )?;
        }
        Ok(())
    }
}

struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        Self {
            low: at(0),
            median: at(values.len() / 2),
            high: at(values.len().saturating_sub(1)),
        }
    }
}

/// Prints a target as a line that ends in `met` or `missed`.
pub(crate) fn target(name: &str, at_least: f64, seen: &[f64]) {
    let Spread { low, median, high } = Spread::of(seen);
    let word = if median >= at_least { "met" } else { "missed" };
    println!("{name}: target >= {at_least}, seen {median:.2} ({low:.2}-{high:.2}) {word}");
}
