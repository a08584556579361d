//! Load on others while a backlog is worked off: latencies of clients that keep their rate whatever
//! the database does.
//!
//! `cargo bench --features postgres --bench foreground -- --rows 100_000 --rate 500 --rounds 2
//! --plot docs/plots/foreground.svg`
//!
//! A fifth of the rows is due. Each contender works it off while clients send requests at a fixed
//! rate; a latency counts from the instant at which a request was to be sent, so one that had to
//! queue behind slow ones is slow too. Only requests of the time of the sweep count. A session
//! counts as three rows: itself, an image and a video record. Ratios are of the 99th percentile to
//! that of the same round without housekeeping. Then SQLite, with one writer beside the
//! housekeeper, and what the trigger on messages costs. With `--tried 1` other paces take the place
//! of the contenders.

use std::time::Duration;

mod clients;
mod contender;
mod requests;
mod results;
mod rows;
mod sqlite;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what benches share is more than one needs")]
mod support;
mod trigger;

use contender::Contender;
use requests::Request;
use results::{Results, Round};
use support::Result;
use support::database::{Database, Kind};
use support::machine::heading;
use support::options::Options;
use support::plot::Picture;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(&[
        ("rows", 100_000),
        ("rounds", 2),
        ("rate", 500),
        ("idle", 4),
        ("sqlite-rows", 50_000),
        ("sqlite-rate", 50),
        ("trigger-seconds", 3),
        ("tried", 0),
    ])?;
    let plan = Plan {
        rows: options.number("rows")?,
        rounds: options.number("rounds")?,
        rate: options.number("rate")?,
        idle: Duration::from_secs(options.number("idle")?),
    };
    let on_sqlite = Plan {
        rows: options.number("sqlite-rows")?,
        rate: options.number("sqlite-rate")?,
        ..plan
    };
    let mut lite = Database::sqlite().await?;
    let Some(mut database) = Database::postgres().await? else {
        return Ok(());
    };
    let heading = heading(
        "foreground",
        &[database.version().await?, lite.version().await?],
    );
    println!("{heading}");
    let tried = options.number::<u64>("tried")? > 0;
    let contenders = if tried {
        Contender::tried()
    } else {
        Contender::all()
    };

    let mut panels = Vec::new();
    for request in Request::ALL {
        let results = postgres(&mut database, &plan, request, &contenders).await?;
        results.print(request.target());
        panels.push(results.panel());
    }
    if !tried {
        trigger::cost(
            &mut database,
            plan.rounds,
            Duration::from_secs(options.number("trigger-seconds")?),
        )
        .await?;
    }
    for results in sqlite::all(&mut lite, &on_sqlite, &contenders).await? {
        results.print_waits();
    }
    if let Some(file) = &options.plot {
        let title = format!(
            "Load on others: 99th percentile of latency at {} requests/s while a backlog goes",
            plan.rate
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

#[derive(Debug, Clone, Copy)]
struct Plan {
    rows: u64,
    rounds: usize,
    /// Requests a second.
    rate: u32,
    /// How long the clients run without housekeeping.
    idle: Duration,
}

/// All contenders in each round, each on rows made anew.
async fn postgres(
    database: &mut Database,
    plan: &Plan,
    request: Request,
    contenders: &[Contender],
) -> Result<Results> {
    let Kind::Postgres { url, .. } = &database.kind else {
        return Err("this part is of Postgres".into());
    };
    let url = url.clone();
    let mut results = Results::new(request.name());
    for _ in 0..plan.rounds {
        for contender in contenders {
            rows::fill(database, request.job(), plan.rows).await?;
            let clients = clients::start(&url, request, plan).await?;
            let swept = contender
                .sweep(database, request.job(), plan, &clients.swept)
                .await?;
            let latencies = clients.finish(&swept).await?;
            results.add(contender, Round { latencies, swept });
        }
    }
    Ok(results)
}
