//! How late bookings expire: an actual housekeeper at its default pace, while bookings arrive at 1,
//! 100 and 1,000 a second.
//!
//! `cargo bench --features postgres --bench lateness -- --seconds 10 --rounds 3 --plot
//! docs/plots/lateness.svg`
//!
//! Bookings arrive at random, whether or not the database keeps up. Each falls due at `created_at`,
//! which the database sets, plus the age; it counts as expired when a subscriber receives its
//! batch. Both instants are read from this machine's wall clock, which is the
//! database's as well. Lateness is bounded by the minimum interval of the schedule (a deadline run
//! at most once a second), so at many arrivals it spreads evenly over it. Then come a burst of
//! bookings that are due at one instant, and how little is sent while idle.

use std::time::Duration;

mod arrivals;
mod housekeeper;
mod quiet;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what benches share is more than one needs")]
mod support;

use support::Result;
use support::database::Database;
use support::figures::{Bound, percentile, target};
use support::machine::heading;
use support::options::Options;
use support::plot::{Axis, Panel, Picture, Series, Shape};

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(&[
        ("seconds", 10),
        ("rounds", 3),
        ("burst", 5_000),
        ("idle", 15),
        ("age-ms", 2_000),
        ("min_interval-ms", 1_000),
    ])?;
    let plan = Plan {
        length: Duration::from_secs(options.number("seconds")?),
        rounds: options.number("rounds")?,
        burst: options.number("burst")?,
        idle: Duration::from_secs(options.number("idle")?),
        age: Duration::from_millis(options.number("age-ms")?),
        min_interval: Duration::from_millis(options.number("min_interval-ms")?),
    };
    let mut databases = Database::all().await?;
    let mut versions = Vec::new();
    for database in &mut databases {
        versions.push(database.version().await?);
    }
    let heading = heading("lateness", &versions);
    println!("{heading}");

    let mut panels = Vec::new();
    for database in &mut databases {
        panels.push(arriving(database, &plan).await?);
        quiet::burst(database, &plan).await?;
        quiet::idle(database, &plan).await?;
    }
    if let Some(file) = &options.plot {
        let title = format!(
            "How late bookings expire (min_interval {:?})",
            plan.min_interval
        );
        Picture {
            title,
            heading,
            panels,
        }
        .write(file)?;
    }
    Ok(())
}

struct Plan {
    length: Duration,
    rounds: usize,
    burst: u32,
    idle: Duration,
    age: Duration,
    min_interval: Duration,
}

/// All rates in each round.
async fn arriving(database: &mut Database, plan: &Plan) -> Result<Panel> {
    let mut late: [Vec<Vec<f64>>; 3] = Default::default();
    for _ in 0..plan.rounds {
        for (rate, rounds) in RATES.iter().zip(&mut late) {
            rounds.push(arrivals::lateness(database, plan, *rate).await?);
        }
    }

    let name = database.name();
    println!(
        "\n{name}: seconds late\n{:>10}{:>10}{:>10}{:>10}{:>10}",
        "per second", "bookings", "p50", "p99", "max"
    );
    for (rate, rounds) in RATES.iter().zip(&late) {
        let all = rounds.concat();
        let at = |percent| percentile(&all, percent);
        println!(
            "{rate:>10}{:>10}{:>10.3}{:>10.3}{:>10.3}",
            all.len(),
            at(50.0),
            at(99.0),
            at(100.0)
        );
    }
    let min_interval = plan.min_interval.as_secs_f64();
    for (rate, rounds) in RATES.iter().zip(&late) {
        let at = |percent| -> Vec<f64> {
            let rounds = rounds.iter();
            rounds.map(|late| percentile(late, percent)).collect()
        };
        let target = |what: &str, limit: f64, seen: &[f64]| {
            let name = format!("lateness on {name} at {rate}/s, {what}");
            target(&name, Bound::AtMost(limit), "s", seen);
        };
        if *rate == 100 {
            target("p50", 0.6 * min_interval, &at(50.0));
        }
        target("p99", min_interval + 0.2, &at(99.0));
    }
    let series = RATES.iter().zip(&late).map(|(rate, rounds)| Series {
        name: format!("{rate}/s"),
        shape: Shape::Line(distribution(&rounds.concat())),
    });
    Ok(Panel {
        title: name.to_owned(),
        x: Axis::linear("seconds late"),
        y: Axis::linear("percent of bookings"),
        series: series.collect(),
    })
}

/// How many percent were late by at most so much.
fn distribution(late: &[f64]) -> Vec<(f64, f64)> {
    let percents = (0..=200_u32).map(|half| f64::from(half) / 2.0);
    percents
        .map(|percent| (percentile(late, percent), percent))
        .collect()
}

/// Bookings a second.
const RATES: [u32; 3] = [1, 100, 1_000];
