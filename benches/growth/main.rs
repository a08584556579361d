//! Growth with the number of rows: an empty run and a request for the status beside tables of live
//! rows, and the time and memory of a run over a backlog.
//!
//! `cargo bench --features postgres --bench growth -- --rows 10_000_000 --backlog 1_000_000 --plot
//! docs/plots/growth.svg`
//!
//! `--rows` is the largest table and `--backlog` the largest backlog; the others are a tenth of the
//! next, down to 10,000 and 1,000. On Postgres follow empty runs beside `--dead` entries that an
//! old snapshot keeps, and backlogs of as many rows in tables without statistics. `--only 1`
//! measures SQLite alone, `--only 2` Postgres; `--part 1` measures backlogs alone, `--part 2` empty
//! runs, `--part 3` the rest.

use peak_alloc::PeakAlloc;
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::{HousekeeperRef, Outcome, Report, Scope};

mod backlog;
mod empty;
mod memory;
mod rows;
mod snapshot;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what benches share is more than one needs")]
mod support;

use support::Result;
use support::database::Database;
use support::job::{Job, start_manual};
use support::machine::heading;
use support::options::Options;
use support::plot::{Axis, Panel, Picture, Series, Shape};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(&[
        ("rows", 1_000_000),
        ("backlog", 100_000),
        ("rounds", 3),
        ("runs", 30),
        ("dead", 300_000),
        ("only", 0),
        ("part", 0),
    ])?;
    let rounds = options.number("rounds")?;
    let (only, part) = (
        options.number::<u64>("only")?,
        options.number::<u64>("part")?,
    );
    let mut databases = Vec::new();
    if only != 2 {
        databases.push(Database::sqlite().await?);
    }
    if only != 1 {
        databases.extend(Database::postgres().await?);
    }
    let mut versions = Vec::new();
    for database in &mut databases {
        versions.push(database.version().await?);
    }
    let heading = heading("growth", &versions);
    println!("{heading}");

    let (mut empty_runs, mut peaks) = (Vec::new(), Vec::new());
    let runs = options.number("runs")?;
    for mut database in databases {
        for job in Job::ALL.into_iter().filter(|_| part < 2) {
            let sizes = decades(1_000, options.number("backlog")?);
            peaks.push(backlog::measure(&mut database, job, &sizes, rounds).await?);
        }
        if part == 0 || part == 2 {
            let sizes = decades(10_000, options.number("rows")?);
            empty_runs.extend(empty::measure(&database.kind, &sizes, rounds, runs).await?);
        }
        if (part == 0 || part == 3) && database.url().is_ok() {
            let dead = options.number("dead")?;
            snapshot::dead_entries(&mut database, dead, rounds, runs).await?;
            snapshot::without_statistics(&mut database, dead, rounds).await?;
        }
    }
    if let Some(file) = &options.plot {
        let panels = vec![
            Panel {
                title: "An empty run".to_owned(),
                x: Axis::log("live rows"),
                y: Axis::log("ms"),
                series: empty_runs,
            },
            Panel {
                title: "Memory at its peak, above that before the run".to_owned(),
                x: Axis::log("rows due"),
                y: Axis::log("MB"),
                series: peaks,
            },
        ];
        let title = "Growth with the rows".to_owned();
        let picture = Picture {
            title,
            heading,
            panels,
        };
        picture.write(file)?;
    }
    Ok(())
}

/// A housekeeper with one job, at full speed.
async fn housekeeper(database: &Database, job: Job) -> Result<HousekeeperRef> {
    start_manual(job.over(database.store().await?)?, Pace::full_speed()).await
}

async fn run(housekeeper: &HousekeeperRef, job: Job) -> Result<Report> {
    let report = housekeeper.run_now(job.name(), Scope::All).await?;
    match report.outcome {
        Outcome::Completed => Ok(report),
        _ => Err(report.message().into()),
    }
}

/// Sizes ten times apart, up to the largest.
fn decades(smallest: u64, largest: u64) -> Vec<u64> {
    let mut sizes: Vec<u64> = std::iter::successors(Some(largest), |size| Some(size / 10))
        .take_while(|size| *size >= smallest)
        .collect();
    sizes.reverse();
    sizes
}

fn line(name: String, points: Vec<(f64, f64)>) -> Series {
    Series {
        name,
        shape: Shape::Line(points),
    }
}

/// For plots and tables, where the last digit does not matter.
#[expect(clippy::cast_precision_loss, reason = "sizes lie far below 2^53")]
fn float(size: u64) -> f64 {
    size as f64
}
