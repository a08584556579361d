//! Times, processor times and ratios, as medians with their spread.

use std::fmt;
use std::time::Duration;

use crate::support::cpu::Cpu;
use crate::support::figures::Spread;
use crate::support::plot::{Axis, Panel, Series, Shape};

/// The times of each contender, round by round.
pub(crate) struct Figures {
    base: &'static str,
    times: Vec<(&'static str, Vec<Duration>)>,
    /// Microseconds of client and server per row.
    cpu: Vec<(&'static str, Vec<[f64; 2]>)>,
}

impl Figures {
    pub(crate) fn new(base: &'static str) -> Self {
        Self {
            base,
            times: Vec::new(),
            cpu: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &'static str, took: Duration, cpu: Cpu, rows: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a few million rows at most")]
        let per_row = [cpu.client, cpu.server].map(|seconds| seconds * 1e6 / rows.max(1) as f64);
        match self.cpu.iter_mut().find(|(other, _)| *other == name) {
            Some((_, cpu)) => cpu.push(per_row),
            None => self.cpu.push((name, vec![per_row])),
        }
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

    /// How many times the processor time per row of `base` it took `name`, in each round.
    pub(crate) fn cpu_ratios(&self, name: &str) -> Vec<f64> {
        let base = self.cpu_per_row(self.base);
        let total = |[client, server]: &[f64; 2]| client + server;
        let rounds = self.cpu_per_row(name).iter().zip(base);
        rounds
            .map(|(seen, base)| total(seen) / total(base))
            .collect()
    }

    fn cpu_per_row(&self, name: &str) -> &[[f64; 2]] {
        let of_name = self.cpu.iter().find(|(other, _)| *other == name);
        of_name.map_or(&[], |(_, cpu)| cpu)
    }

    /// The ratios of all contenders.
    pub(crate) fn panel(&self, title: &str) -> Panel {
        let ratios = |name: &str| Spread::of(&self.ratios(name, self.base));
        let dots = self.times.iter().map(|(name, _)| ratios(name));
        Panel {
            title: title.to_owned(),
            x: Axis::log(&format!("times as fast as {}", self.base)),
            y: Axis::names(self.times.iter().map(|(name, _)| *name)),
            series: vec![Series {
                name: String::new(),
                shape: Shape::dots(dots),
            }],
        }
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
            "{:<30}{:>12}{:>10}{:>18}{:>22}{:>10}",
            "contender", "median ms", "ratio", "spread", "us/row client+server", "ratio"
        )?;
        for (name, times) in &self.times {
            let milliseconds: Vec<f64> = times
                .iter()
                .map(|time| time.as_secs_f64() * 1_000.0)
                .collect();
            let cpu = |side: usize| {
                let rounds: Vec<f64> = self.cpu_per_row(name).iter().map(|cpu| cpu[side]).collect();
                Spread::of(&rounds).median
            };
            let ratios = Spread::of(&self.ratios(name, self.base));
            let Spread { low, median, high } = ratios;
            write!(
                f,
                "\n{name:<30}{:>12.1}{median:>10.3}{:>18}{:>22}{:>10.2}",
                Spread::of(&milliseconds).median,
                format!("{low:.3}-{high:.3}"),
                format!("{:.1}+{:.1}", cpu(0), cpu(1)),
                Spread::of(&self.cpu_ratios(name)).median,
            )?;
        }
        Ok(())
    }
}
