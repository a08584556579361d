//! How fast a backlog goes, beside what people would do instead. All contenders take turns in each round, on the same rows.
//!
//! `cargo bench --features postgres --bench sweep -- --rows 1000000 --rounds 5`
//!
//! A fifth of the rows is due. A ratio above 1 is faster than the single unbounded statement of the same round.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

mod database;
mod figures;
mod ours;
mod theirs;

use database::Database;
use figures::{Figures, target};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(std::env::args().skip(1))?;
    for mut database in Database::all(options.rows).await? {
        for job in [Job::Bookings, Job::Sessions] {
            let figures = measure(&mut database, job, options.rounds).await?;
            println!(
                "\n{} on {}, {} rows, a fifth of them due",
                job.name(),
                database.name(),
                options.rows
            );
            println!("{figures}");
            print_targets(&figures, &database, job);
        }
    }
    Ok(())
}

/// What a contender does to the rows that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Bookings,
    Sessions,
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Self::Bookings => "bookings",
            Self::Sessions => "sessions",
        }
    }
}

/// Every contender once a round, each on rows made anew.
async fn measure(database: &mut Database, job: Job, rounds: usize) -> Result<Figures> {
    let mut figures = Figures::new(ONE_STATEMENT);
    for round in 0..rounds {
        // The first is not always the same: what a contender leaves behind in caches must not favour another.
        let mut contenders = contenders(database);
        let places = contenders.len();
        contenders.rotate_left(round % places);
        for contender in contenders {
            database.fill(job).await?;
            let due = database.due(job).await?;
            let (took, handled) = contender.run(database, job).await?;
            // One that does not do all of it is compared by the row.
            figures.add(contender.name(), scaled(took, due, handled));
        }
    }
    Ok(figures)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    OneStatement,
    Housekeeper,
    BareLoop,
    TwoReplicas,
    TimerLoop,
    RowByRow,
}

fn contenders(database: &Database) -> Vec<Contender> {
    let mut contenders = vec![
        Contender::OneStatement,
        Contender::Housekeeper,
        Contender::BareLoop,
        Contender::TimerLoop,
        Contender::RowByRow,
    ];
    if database.has_replicas() {
        contenders.push(Contender::TwoReplicas);
    }
    contenders
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::OneStatement => ONE_STATEMENT,
            Self::Housekeeper => "housekeeper, full speed",
            Self::BareLoop => "its batches in a bare loop",
            Self::TwoReplicas => "two housekeepers",
            Self::TimerLoop => "timer loop, one statement",
            Self::RowByRow => "the replaced way, row by row",
        }
    }

    async fn run(self, database: &mut Database, job: Job) -> Result<(Duration, u64)> {
        match self {
            Self::OneStatement => theirs::one_statement(database, job).await,
            Self::TimerLoop => theirs::timer_loop(database, job).await,
            Self::RowByRow => theirs::row_by_row(database, job).await,
            Self::Housekeeper => ours::housekeepers(database, job, 1).await,
            Self::TwoReplicas => ours::housekeepers(database, job, 2).await,
            Self::BareLoop => ours::bare_loop(database, job).await,
        }
    }
}

fn print_targets(figures: &Figures, database: &Database, job: Job) {
    let at_least = match (database.name(), job) {
        ("Postgres", Job::Bookings) => 0.9,
        ("Postgres", Job::Sessions) => 0.75,
        (_, Job::Bookings) => 1.0,
        (_, Job::Sessions) => 0.7,
    };
    let of = |name: &str, base: &str| figures.ratios(name, base);
    let job = format!("{} on {}", job.name(), database.name());
    target(
        &format!("{job}: full speed against one statement"),
        at_least,
        &of("housekeeper, full speed", ONE_STATEMENT),
    );
    target(
        &format!("{job}: against the replaced way"),
        100.0,
        &of("housekeeper, full speed", "the replaced way, row by row"),
    );
    if database.has_replicas() {
        target(
            &format!("{job}: two replicas against one"),
            1.8,
            &of("two housekeepers", "housekeeper, full speed"),
        );
    }
}

fn scaled(took: Duration, due: u64, handled: u64) -> Duration {
    took.mul_f64(due as f64 / handled.max(1) as f64)
}

struct Options {
    rows: u64,
    rounds: usize,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut given: BTreeMap<String, u64> =
            BTreeMap::from([("--rows".into(), 50_000), ("--rounds".into(), 3)]);
        while let Some(name) = arguments.next() {
            // What `cargo bench` adds.
            if name == "--bench" {
                continue;
            }
            let value = arguments.next().and_then(|value| value.parse().ok());
            match (given.get_mut(&name), value) {
                (Some(option), Some(value)) if value > 0 => *option = value,
                _ => {
                    return Err(
                        format!("{name}: give --rows N or --rounds N, each more than 0").into(),
                    );
                }
            }
        }
        Ok(Self {
            rows: given["--rows"],
            rounds: usize::try_from(given["--rounds"])?,
        })
    }
}

const ONE_STATEMENT: &str = "one statement";
