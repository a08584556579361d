//! How fast a backlog goes, beside what people would do instead. All contenders take turns in each
//! round, on the same rows.
//!
//! `cargo bench --features postgres --bench sweep -- --rows 1_000_000 --rounds 5 --plot
//! docs/plots/sweep.svg`
//!
//! A fifth of the rows is due. They lie in the order in which they were made, as bookings and
//! sessions do; `--scattered 1` throws them about, which favours contenders that walk the table in
//! physical order. `--only 1` measures the tables of the built-in jobs alone, `--only 2` those of
//! public projects. The housekeeper is started, and checks the tables, before there are rows: it
//! runs all the time. A ratio above 1 is faster than the single unbounded statement of the same
//! round.

use std::sync::Arc;
use std::time::Duration;

use ractor_housekeeper::HousekeeperRef;
use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::rule::related;

mod figures;
mod ours;
mod public;
mod rows;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what benches share is more than one needs")]
mod support;
mod theirs;

use figures::Figures;
use public::Public;
use rows::Order;
use support::Result;
use support::cpu::Mark;
use support::database::Database;
use support::figures::{Bound, target};
use support::job::{AGE, Job};
use support::machine::heading;
use support::options::Options;
use support::plot::Picture;

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read(&[
        ("rows", 50_000),
        ("rounds", 3),
        ("scattered", 0),
        ("only", 0),
    ])?;
    let (rows, rounds) = (options.number("rows")?, options.number("rounds")?);
    let only: u64 = options.number("only")?;
    let order = if options.number::<u64>("scattered")? > 0 {
        Order::Scattered
    } else {
        Order::AsMade
    };
    let mut databases = Database::all().await?;
    let mut versions = Vec::new();
    for database in &mut databases {
        versions.push(database.version().await?);
    }
    let heading = heading("sweep", &versions);
    println!("{heading}");

    let mut panels = Vec::new();
    for database in &mut databases {
        for job in Job::ALL.into_iter().filter(|_| only != 2) {
            let figures = measure(database, job, rows, rounds, order).await?;
            let title = format!("{} on {}", job.rows(), database.name());
            println!("\n{title}, {rows} rows, a fifth of them due\n{figures}");
            print_targets(&figures, database, job);
            panels.push(figures.panel(&title));
        }
        for public in Public::ALL.into_iter().filter(|_| only != 1) {
            let figures = public::measure(database, public, rows, rounds).await?;
            let title = format!("{} on {}", public.table(), database.name());
            println!("\n{title}, {rows} rows, a fifth of them due\n{figures}");
            target(
                &format!("{title}: a rule against one statement"),
                Bound::AtLeast(0.8),
                "x",
                &figures.ratios(public::RULE, ONE_STATEMENT),
            );
            panels.push(figures.panel(&title));
        }
    }
    if let Some(file) = &options.plot {
        let title = format!("How fast a backlog goes: {rows} rows, a fifth of them due");
        Picture {
            title,
            heading,
            panels,
        }
        .write(file)?;
    }
    Ok(())
}

/// Every contender once a round, each on rows made anew.
async fn measure(
    database: &mut Database,
    job: Job,
    rows: u64,
    rounds: usize,
    order: Order,
) -> Result<Figures> {
    let mut figures = Figures::new(ONE_STATEMENT);
    for round in 0..rounds {
        // The first is not always the same: what a contender leaves behind in caches must not
        // favour another.
        let mut contenders = contenders(database, job);
        let places = contenders.len();
        contenders.rotate_left(round % places);
        for contender in contenders {
            rows::clear(database, job).await?;
            let ready = contender.prepare(database, job).await?;
            rows::fill(database, job, rows, order).await?;
            let due = rows::due(database, job).await?;
            let mark = Mark::now(database);
            let (took, handled) = contender.run(database, job, ready).await?;
            let cpu = mark.elapsed();
            // One that does not do all of it is compared by the row.
            figures.add(contender.name(), scaled(took, due, handled)?, cpu, handled);
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
    KeptRows,
    DeclaredRows,
}

/// A contender that runs all the time.
enum Ready {
    None,
    Housekeepers(Vec<HousekeeperRef>),
    Job(Arc<dyn ractor_housekeeper::Job>),
}

fn contenders(database: &Database, job: Job) -> Vec<Contender> {
    let mut contenders = vec![
        Contender::OneStatement,
        Contender::Housekeeper,
        Contender::BareLoop,
        Contender::TimerLoop,
        Contender::RowByRow,
    ];
    if has_replicas(database) {
        contenders.push(Contender::TwoReplicas);
    }
    if job == Job::Sessions {
        contenders.extend([Contender::KeptRows, Contender::DeclaredRows]);
    }
    contenders
}

fn has_replicas(database: &Database) -> bool {
    database.name() == "Postgres"
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
            Self::KeptRows => KEPT,
            Self::DeclaredRows => DECLARED,
        }
    }

    /// Starts what runs all the time, before there are rows. Its first run checks the tables.
    async fn prepare(self, database: &mut Database, job: Job) -> Result<Ready> {
        Ok(match self {
            Self::OneStatement | Self::TimerLoop | Self::RowByRow => Ready::None,
            Self::Housekeeper => Ready::Housekeepers(ours::start(database, job, 1).await?),
            Self::TwoReplicas => Ready::Housekeepers(ours::start(database, job, 2).await?),
            Self::BareLoop => Ready::Job(ours::checked(database, job).await?),
            Self::KeptRows => {
                ours::add_invoices(database).await?;
                Ready::Housekeepers(ours::start(database, job, 1).await?)
            }
            Self::DeclaredRows => {
                ours::add_invoices(database).await?;
                let rule = SessionCleaner::rule(AGE).keeps(related("invoices", "session_id"));
                let declared = database.store().await?.job(rule)?;
                Ready::Housekeepers(vec![ours::started(declared).await?])
            }
        })
    }

    async fn run(self, database: &mut Database, job: Job, ready: Ready) -> Result<(Duration, u64)> {
        match ready {
            Ready::Job(swept) => ours::bare_loop(&*swept, job).await,
            Ready::Housekeepers(running) if matches!(self, Self::KeptRows | Self::DeclaredRows) => {
                ours::beside_kept_rows(database, job, &running).await
            }
            Ready::Housekeepers(running) => ours::run_all(&running, &job.name(), job.rows()).await,
            Ready::None if self == Self::OneStatement => theirs::one_statement(database, job).await,
            Ready::None if self == Self::TimerLoop => theirs::timer_loop(database, job).await,
            Ready::None => theirs::row_by_row(database, job).await,
        }
    }
}

fn print_targets(figures: &Figures, database: &Database, swept: Job) {
    let at_least = match (database.name(), swept) {
        ("Postgres", Job::Bookings) => 0.95,
        ("Postgres", Job::Sessions) => 0.9,
        _ => 1.0,
    };
    let of = |name: &str, base: &str| figures.ratios(name, base);
    let job = format!("{} on {}", swept.rows(), database.name());
    target(
        &format!("{job}: full speed against one statement"),
        Bound::AtLeast(at_least),
        "x",
        &of("housekeeper, full speed", ONE_STATEMENT),
    );
    target(
        &format!("{job}: against the replaced way"),
        Bound::AtLeast(100.0),
        "x",
        &of("housekeeper, full speed", "the replaced way, row by row"),
    );
    let at_most = if has_replicas(database) { 1.15 } else { 1.1 };
    target(
        &format!("{job}: processor time per row against one statement"),
        Bound::AtMost(at_most),
        "x",
        &figures.cpu_ratios("housekeeper, full speed"),
    );
    if swept == Job::Sessions {
        for (name, at_least) in [(KEPT, 0.7), (DECLARED, 0.85)] {
            target(
                &format!("{job}: {name}, against one statement without such rows"),
                Bound::AtLeast(at_least),
                "x",
                &of(name, ONE_STATEMENT),
            );
        }
    }
    if has_replicas(database) {
        let at_least = if swept == Job::Bookings { 1.3 } else { 1.2 };
        target(
            &format!("{job}: two replicas against one statement"),
            Bound::AtLeast(at_least),
            "x",
            &of("two housekeepers", ONE_STATEMENT),
        );
    }
}

fn scaled(took: Duration, due: u64, handled: u64) -> Result<Duration> {
    Ok(took * u32::try_from(due)? / u32::try_from(handled.max(1))?)
}

const ONE_STATEMENT: &str = "one statement";
const KEPT: &str = "1 % kept";
const DECLARED: &str = "1 % kept, declared";
