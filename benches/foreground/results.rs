//! Results as a table, as targets and as a panel of the plot.

use crate::contender::{Contender, IDLE, POLITE, Sweep};
use crate::support::figures::{Bound, Spread, percentile, target};
use crate::support::plot::{Axis, Panel, Series, Shape};

/// The rounds of each contender.
pub(crate) struct Results {
    name: String,
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
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            contenders: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, contender: &Contender, round: Round) {
        let name = contender.name;
        match self.contenders.iter_mut().find(|(other, _)| *other == name) {
            Some((_, rounds)) => rounds.push(round),
            None => self.contenders.push((name, vec![round])),
        }
    }

    /// The table, and what the default pace should reach.
    pub(crate) fn print(&self, at_most: f64) {
        self.print_table();
        let of = |what: &str| format!("{}, default pace: {what}", self.name);
        let speed = self.seen(POLITE, |round| round.swept.speed());
        target(
            &of("rows handled"),
            Bound::AtLeast(5_000.0),
            "rows/s",
            &speed,
        );
        // A slower pace meets the target trivially, so it counts as missed.
        let ratios = self.ratios(POLITE).into_iter().zip(&speed);
        let ratios = ratios.map(|(ratio, speed)| {
            if *speed < 5_000.0 {
                f64::INFINITY
            } else {
                ratio
            }
        });
        target(
            &of("p99 against idle, at 5,000 rows/s and more"),
            Bound::AtMost(at_most),
            "x",
            &ratios.collect::<Vec<_>>(),
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
    pub(crate) fn print_waits(&self) {
        self.print_table();
        let name = format!("{}, default pace: a writer's p99", self.name);
        let waits = self.seen(POLITE, Round::p99);
        target(&name, Bound::AtMost(100.0), "ms", &waits);
    }

    /// 99th percentiles by contender.
    pub(crate) fn panel(&self) -> Panel {
        let names = self.contenders.iter().map(|(name, _)| *name);
        let p99 = |name| Spread::of(&self.seen(name, Round::p99));
        Panel {
            title: self.name.clone(),
            x: Axis::log("p99, ms"),
            series: vec![Series {
                name: String::new(),
                shape: Shape::dots(names.clone().map(p99)),
            }],
            y: Axis::names(names),
        }
    }

    fn print_table(&self) {
        println!(
            "\n{}\n{:<26}{:>9}{:>9}{:>9}{:>26}{:>9}{:>9}{:>12}",
            self.name,
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
