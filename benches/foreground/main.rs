//! Load on others while a backlog is worked off: latencies of clients that keep their rate whatever
//! the database does.
//!
//! `cargo bench --features postgres --bench foreground -- --rows 100_000 --rounds 5 --plot
//! docs/plots/foreground.svg`
//!
//! A fifth of the rows is due. Each contender works it off while clients send requests at 10, 50
//! and 80 percent of the rate that the database bears, which is measured first; `--load 5` measures
//! one load. A latency counts from the instant at which a request was to be sent, so one that had
//! to queue behind slow ones is slow too. Only requests of the time of the sweep count. A
//! housekeeper runs once before the clients come, over a few rows: it knows how fast an idle
//! database is. A session counts as three rows: itself, an image and a video record. Ratios are of
//! the 99th percentile to that of the same round without housekeeping. On SQLite one writer is
//! beside the housekeeper. Last comes the cost of the trigger on messages. `--only 1` measures
//! SQLite alone, `--only 2` Postgres. With `--tried 1` other paces take the place of the
//! contenders.

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
use support::database::Database;
use support::machine::heading;
use support::options::Options;
use support::plot::{Axis, Panel, Picture};

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(&[
        ("rows", 100_000),
        ("rounds", 2),
        ("load", 0),
        ("idle", 4),
        ("sqlite-rows", 50_000),
        ("trigger-seconds", 3),
        ("only", 0),
        ("tried", 0),
    ])?;
    let rounds = options.number("rounds")?;
    let idle = Duration::from_secs(options.number("idle")?);
    let loads = match options.number("load")? {
        0 => vec![10, 50, 80],
        load => vec![load],
    };
    let only = options.number::<u64>("only")?;
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
    for request in Request::ALL.into_iter().filter(|_| only != 1) {
        let rows = options.number("rows")?;
        rows::fill(&mut database, request.job(), rows).await?;
        let bears = clients::capacity(database.url()?, request.measured(), rows).await?;
        let mut panel = Loads::new(request.name(), bears);
        for load in loads.iter().filter(|load| **load <= request.max_load()) {
            let (name, rate) = panel.at(*load);
            let plan = Plan {
                rows,
                rounds,
                rate,
                idle,
            };
            let results = postgres(&mut database, &plan, request, &contenders).await?;
            results.print(&name, *load, request.target());
            panel.add(*load, &results);
        }
        panels.push(panel.panel);
    }
    if !tried && only != 1 {
        trigger::cost(
            &mut database,
            rounds,
            Duration::from_secs(options.number("trigger-seconds")?),
        )
        .await?;
    }
    for (job, name) in sqlite::ALL.into_iter().filter(|_| only != 2) {
        let mut panel = Loads::new(name, sqlite::capacity(&lite)?);
        for load in &loads {
            let (name, rate) = panel.at(*load);
            let plan = Plan {
                rows: options.number("sqlite-rows")?,
                rounds,
                rate,
                idle,
            };
            let results = sqlite::measure(&mut lite, job, &plan, &contenders).await?;
            results.print_waits(&name);
            panel.add(*load, &results);
        }
        panels.push(panel.panel);
    }
    if let Some(file) = &options.plot {
        let title = "Load on others: 99th percentile of their latency while a backlog goes";
        let title = title.to_owned();
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

/// One kind of request at several loads.
struct Loads {
    bears: f64,
    panel: Panel,
}

impl Loads {
    /// `bears` is the rate of requests that the database bears, a second.
    fn new(name: &str, bears: f64) -> Self {
        Self {
            bears,
            panel: Panel {
                title: name.to_owned(),
                x: Axis::log("p99 against that without housekeeping"),
                y: Axis::names(Vec::<String>::new()),
                series: Vec::new(),
            },
        }
    }

    /// Returns a heading for this percentage, and its requests a second.
    fn at(&self, load: u32) -> (String, u32) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate lies far within the range"
        )]
        let rate = (self.bears * f64::from(load) / 100.0).max(1.0) as u32;
        let title = &self.panel.title;
        (format!("{title}, {rate}/s ({load} %)"), rate)
    }

    fn add(&mut self, load: u32, results: &Results) {
        let place = self.panel.series.len();
        self.panel.y = Axis::names(results.names());
        self.panel
            .series
            .push(results.series(format!("load {load} %"), place));
    }
}

/// All contenders in each round, each on rows made anew.
async fn postgres(
    database: &mut Database,
    plan: &Plan,
    request: Request,
    contenders: &[Contender],
) -> Result<Results> {
    let url = database.url()?.to_owned();
    let mut results = Results::default();
    for _ in 0..plan.rounds {
        for contender in contenders {
            let ready = contender.prepare(database, request.job()).await?;
            rows::fill(database, request.job(), plan.rows).await?;
            let clients = clients::start(&url, request, plan).await?;
            let swept = contender
                .sweep(database, request.job(), plan, ready, &clients.swept)
                .await?;
            let latencies = clients.finish(&swept).await?;
            results.add(contender, Round { latencies, swept });
        }
    }
    Ok(results)
}
