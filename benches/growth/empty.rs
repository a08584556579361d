//! A run that finds nothing due, and an ask for status, beside tables of live rows.

use std::time::{Duration, Instant};

use ractor::call;
use ractor_housekeeper::{HousekeeperMsg, HousekeeperRef};

use crate::rows::fill_with_live;
use crate::support::Result;
use crate::support::database::{Database, Kind};
use crate::support::figures::{Bound, Spread, percentile, target};
use crate::support::job::Job;
use crate::support::plot::Series;
use crate::{float, housekeeper, line, run};

/// Results beside one table, per round.
#[derive(Default)]
struct Seen {
    run_ms: Vec<f64>,
    /// Of Postgres as the server counts it; SQLite is all there is to a run.
    database_ms: Vec<f64>,
    status_us: Vec<f64>,
}

/// Both jobs beside tables of each size, each in a new database of this kind.
pub(crate) async fn measure(
    kind: &Kind,
    sizes: &[u64],
    rounds: usize,
    runs: u32,
) -> Result<Vec<Series>> {
    let mut databases = Vec::new();
    for size in sizes {
        let mut database = another(kind).await?;
        fill_with_live(&mut database, *size).await?;
        databases.push(database);
    }
    let name = databases.first().map_or("nothing", Database::name);
    let mut lines = Vec::new();
    for job in Job::ALL {
        let mut seen: Vec<Seen> = sizes.iter().map(|_| Seen::default()).collect();
        for _ in 0..rounds {
            for (database, seen) in databases.iter_mut().zip(&mut seen) {
                look(database, job, runs, seen).await?;
            }
        }
        println!("\nempty run of {} on {name}", job.rows());
        print(sizes, &seen);
        targets(&format!("empty run of {} on {name}", job.rows()), &seen);
        let points = sizes.iter().zip(&seen);
        let points = points.map(|(size, seen)| (float(*size), Spread::of(&seen.run_ms).median));
        lines.push(line(format!("{}, {name}", job.rows()), points.collect()));
    }
    Ok(lines)
}

async fn another(kind: &Kind) -> Result<Database> {
    match kind {
        Kind::Sqlite { .. } => Database::sqlite().await,
        Kind::Postgres { .. } => Database::postgres()
            .await?
            .ok_or_else(|| "Postgres is gone".into()),
    }
}

async fn look(database: &mut Database, job: Job, runs: u32, seen: &mut Seen) -> Result<()> {
    // The cost of connecting and of the schema check is in both and cancels out.
    let before = time_in_server(database).await?;
    empty_runs(database, job, 1).await?;
    let once = time_in_server(database).await?;
    let (run_ms, status_us) = empty_runs(database, job, 1 + runs).await?;
    let after = time_in_server(database).await?;

    seen.run_ms.push(run_ms);
    seen.status_us.push(status_us);
    seen.database_ms.push(match (before, once, after) {
        (Some(before), Some(once), Some(after)) => {
            ((after - once) - (once - before)) / f64::from(runs)
        }
        _ => run_ms,
    });
    Ok(())
}

/// Medians of a run in milliseconds and of an ask for status in microseconds.
async fn empty_runs(database: &Database, job: Job, runs: u32) -> Result<(f64, f64)> {
    let housekeeper = housekeeper(database, job).await?;
    // The first connects.
    median_ms(&housekeeper, job, 1).await?;
    let run_ms = median_ms(&housekeeper, job, runs - 1).await?;
    let status_us = status_us(&housekeeper).await?;
    let grace = Duration::from_secs(5);
    call!(housekeeper, HousekeeperMsg::Shutdown, grace)?;
    Ok((run_ms, status_us))
}

/// The median of empty runs in milliseconds, by their own account.
async fn median_ms(housekeeper: &HousekeeperRef, job: Job, runs: u32) -> Result<f64> {
    let mut run_ms = Vec::new();
    for _ in 0..runs {
        let report = run(housekeeper, job).await?;
        if report.counts.total() > 0 {
            return Err(format!("a live row was handled: {report}").into());
        }
        run_ms.push(report.elapsed.as_secs_f64() * 1e3);
    }
    Ok(percentile(&run_ms, 50.0))
}

async fn status_us(housekeeper: &HousekeeperRef) -> Result<f64> {
    let mut took_us = Vec::new();
    for _ in 0..500 {
        let asked = Instant::now();
        call!(housekeeper, HousekeeperMsg::Status)?;
        took_us.push(asked.elapsed().as_secs_f64() * 1e6);
    }
    Ok(percentile(&took_us, 50.0))
}

/// Milliseconds that the server has spent on statements in this database; `None` where there is no
/// server.
///
/// Its processes report with a delay, and at their end at the latest: this waits until only ours is
/// left.
async fn time_in_server(database: &mut Database) -> Result<Option<f64>> {
    if let Kind::Sqlite { .. } = database.kind {
        return Ok(None);
    }
    let asked = Instant::now();
    while database.number(OTHERS).await? > 0 {
        if asked.elapsed() > Duration::from_secs(10) {
            return Err("a housekeeper that was shut down is still connected".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Our own process reports now, or what it did to fill the tables would be counted as the next
    // run's.
    database.number(REPORT).await?;
    let spent_us = database.number(SPENT_US).await?;
    Ok(Some(float(spent_us.unsigned_abs()) / 1e3))
}

fn print(sizes: &[u64], seen: &[Seen]) {
    println!(
        "{:>12} {:>26} {:>26} {:>26}",
        "live rows", "run, ms", "in the database, ms", "status, us"
    );
    for (size, seen) in sizes.iter().zip(seen) {
        let of = |values: &[f64]| Spread::of(values).to_string();
        let (run, database) = (of(&seen.run_ms), of(&seen.database_ms));
        let status = of(&seen.status_us);
        println!("{size:>12} {run:>26} {database:>26} {status:>26}");
    }
}

fn targets(name: &str, seen: &[Seen]) {
    let (Some(smallest), Some(largest)) = (seen.first(), seen.last()) else {
        return;
    };
    let rounds = smallest.database_ms.iter().zip(&largest.database_ms);
    let ratios: Vec<f64> = rounds
        .map(|(smallest, largest)| largest / smallest)
        .collect();
    let beside = format!("{name}: beside the largest table against the smallest");
    target(&beside, Bound::AtMost(1.5), "", &ratios);
    let in_database = format!("{name}: time in the database beside the largest table");
    target(&in_database, Bound::AtMost(1.0), "ms", &largest.database_ms);
}

const OTHERS: &str = "select count(*) as value from pg_stat_activity \
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";

const REPORT: &str =
    "select count(*) as value from (select pg_stat_force_next_flush()) as reported";

const SPENT_US: &str = "select (active_time * 1000)::bigint as value from pg_stat_database where datname = current_database()";
