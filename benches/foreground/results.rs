//! Results as a table, as targets and as a series of the plot.

use crate::contender::{Contender, IDLE, POLITE, Sweep};
use crate::support::figures::{Bound, Spread, percentile, target};
use crate::support::plot::{Series, Shape};

/// The rounds of each contender.
#[derive(Default)]
pub(crate) struct Results {
    contenders: Vec<(&'static str, Vec<Round>)>,
}

pub(crate) struct Round {
    /// Milliseconds of the requests during the sweep.
    pub(crate) latencies: Vec<f64>,
    pub(crate) swept: Sweep,
}

impl Round {
    fn p99(&self) -> f64 {
        percentile(&self.latencies, 99.0)
    }
}

impl Results {
    pub(crate) fn add(&mut self, contender: &Contender, round: Round) {
        let name = contender.name;
        match self.contenders.iter_mut().find(|(other, _)| *other == name) {
            Some((_, rounds)) => rounds.push(round),
            None => self.contenders.push((name, vec![round])),
        }
    }

    /// The table, and what the default pace should reach. The load is in percent.
    pub(crate) fn print(&self, name: &str, load: u32, at_most: f64) {
        self.print_table(name);
        let of = |what: &str| format!("{name}, default pace: {what}");
        let speed = self.seen(POLITE, |round| round.swept.speed());
        // Beside more load the pace falls to its floor, as it should.
        if load <= 50 {
            target(
                &of("rows handled"),
                Bound::AtLeast(5_000.0),
                "rows/s",
                &speed,
            );
        }
        target(
            &of("p99 against idle"),
            Bound::AtMost(at_most),
            "x",
            &self.ratios(POLITE),
        );
        let longest = self.seen(POLITE, |round| percentile(&round.swept.batches, 99.0));
        target(
            &of("p99 of transactions"),
            Bound::AtMost(100.0),
            "ms",
            &longest,
        );
    }

    /// The table, and how long a writer may wait beside the default pace.
    pub(crate) fn print_waits(&self, name: &str) {
        self.print_table(name);
        let waits = self.seen(POLITE, Round::p99);
        target(
            &format!("{name}, default pace: a writer's p99"),
            Bound::AtMost(25.0),
            "ms",
            &waits,
        );
    }

    /// Ratios of all contenders, each a little below the same one's of the series before.
    pub(crate) fn series(&self, name: String, place: usize) -> Series {
        let dots = self.contenders.iter().zip(0_u32..);
        let shift = [-0.22, 0.0, 0.22][place % 3];
        let dots =
            dots.map(|((name, _), at)| (Spread::of(&self.ratios(name)), f64::from(at) + shift));
        Series {
            name,
            shape: Shape::Dots(dots.collect()),
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.contenders.iter().map(|(name, _)| *name)
    }

    fn print_table(&self, name: &str) {
        println!(
            "\n{}\n{:<26}{:>9}{:>9}{:>9}{:>26}{:>9}{:>9}{:>12}",
            name,
            "",
            "p50 ms",
            "p99 ms",
            "max ms",
            "p99 against idle",
            "rows/s",
            "batches",
            "their p99"
        );
        for (name, rounds) in &self.contenders {
            let median = |figure: &dyn Fn(&Round) -> f64| {
                let seen: Vec<f64> = rounds.iter().map(figure).collect();
                Spread::of(&seen).median
            };
            let batches: usize = rounds.iter().map(|round| round.swept.batches.len()).sum();
            let longest = median(&|round| percentile(&round.swept.batches, 99.0));
            let longest = if longest.is_nan() {
                "-".to_owned()
            } else {
                format!("{longest:.1}")
            };
            println!(
                "{name:<26}{:>9.1}{:>9.1}{:>9.1}{:>26}{:>9.0}{:>9}{longest:>12}",
                median(&|round| percentile(&round.latencies, 50.0)),
                median(&Round::p99),
                median(&|round| percentile(&round.latencies, 100.0)),
                Spread::of(&self.ratios(name)),
                median(&|round| round.swept.speed()),
                batches / rounds.len(),
            );
        }
    }

    /// The 99th percentile of each round against that of the idle one.
    fn ratios(&self, name: &str) -> Vec<f64> {
        let idle = self.seen(IDLE, Round::p99);
        let seen = self.seen(name, Round::p99).into_iter();
        seen.zip(idle).map(|(seen, idle)| seen / idle).collect()
    }

    fn seen(&self, name: &str, figure: impl Fn(&Round) -> f64) -> Vec<f64> {
        let rounds = self.contenders.iter().find(|(other, _)| *other == name);
        rounds.map_or(Vec::new(), |(_, rounds)| {
            rounds.iter().map(figure).collect()
        })
    }
}
