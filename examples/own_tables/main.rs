//! A host with tables of its own: the schema of the Python application that this crate replaces,
//! and two jobs over it.
//!
//! Each job is one file: `sqlite/session_cleaner.rs` and `sqlite/booking_expirer.rs`, or their like
//! in `postgres/` for a host on Postgres. The rest of this program is the application around them:
//! it makes the tables, fills them with rows on both sides of both cutoffs, has the housekeeper
//! preview and run, and then looks for itself.

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ractor::{ActorRef, call_t};
use ractor_housekeeper::config::{JobConfig, Pace, Schedule};
use ractor_housekeeper::job::{JobError, Page};
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, JobName, Scope, start,
};

use population::{Contents, Population};
use sqlite::SqliteApplication;

mod population;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
mod status;
mod walk;

const IDLE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
const EXPIRE_AFTER: Duration = Duration::from_secs(15 * 60);

const USAGE: &str = "\
usage: own_tables [--database-url URL]

  --database-url URL   an empty Postgres database, as in postgres://user:password@host/database;
                       without it, a temporary SQLite file
  --help               this text";

/// What differs between the databases.
#[async_trait]
trait Application {
    /// The application's jobs, on its own pool.
    fn housekeeper(&self) -> HousekeeperArguments;
    /// The database's clock.
    async fn now(&self) -> Result<DateTime<Utc>, JobError>;
    /// Makes the tables and fills them.
    async fn fill(&self, population: &Population) -> Result<(), JobError>;
    async fn contents(&self) -> Result<Contents, JobError>;
}

#[tokio::main]
async fn main() -> ExitCode {
    let url = match database_url(std::env::args().skip(1)) {
        Ok(Asked::Run { url }) => url,
        Ok(Asked::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match demonstrate(url.as_deref()).await {
        Ok(differences) if differences.is_empty() => {
            println!("exactly the right rows are gone or expired");
            ExitCode::SUCCESS
        }
        Ok(differences) => {
            eprintln!("{}", differences.join("\n"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

enum Asked {
    Run { url: Option<String> },
    Help,
}

fn database_url(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut url = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Asked::Help),
            "--database-url" => {
                url = Some(arguments.next().ok_or("--database-url needs a URL")?);
            }
            unknown => return Err(format!("unknown option {unknown}")),
        }
    }
    Ok(Asked::Run { url })
}

/// Returns what is not as it must be.
async fn demonstrate(url: Option<&str>) -> Result<Vec<String>, JobError> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("application.db");
    let application = open(url, &file.display().to_string()).await?;
    let population = Population::around_the_cutoffs(application.now().await?);
    application.fill(&population).await?;

    let arguments = application.housekeeper();
    let jobs: Vec<JobName> = arguments.jobs.iter().map(|job| job.name()).collect();
    let housekeeper = start(None, arguments.with_config(config()))
        .await?
        .housekeeper;
    preview(&housekeeper, &jobs).await?;
    run(&housekeeper).await?;
    call_t!(
        housekeeper,
        HousekeeperMsg::Shutdown,
        10_000,
        Duration::from_secs(5)
    )?;

    let contents = application.contents().await?;
    Ok(contents.differences(&population.expected()))
}

async fn open(url: Option<&str>, file: &str) -> Result<Box<dyn Application>, JobError> {
    match url {
        None => Ok(Box::new(SqliteApplication::open(file).await?)),
        #[cfg(feature = "postgres")]
        Some(url) => Ok(Box::new(postgres::PostgresApplication::connect(url).await?)),
        #[cfg(not(feature = "postgres"))]
        Some(_) => Err("this build knows SQLite only; add `--features postgres`".into()),
    }
}

/// The rows are to be previewed first, so nothing runs before it is asked.
fn config() -> HousekeeperConfig {
    HousekeeperConfig {
        job: JobConfig {
            schedule: Schedule {
                at_start: false,
                ..Schedule::default()
            },
            pace: Pace::fixed(const { NonZeroU32::new(100).expect("100 is not zero") }),
            ..JobConfig::default()
        },
        ..HousekeeperConfig::default()
    }
}

async fn preview(housekeeper: &ActorRef<HousekeeperMsg>, jobs: &[JobName]) -> Result<(), JobError> {
    let page = Page::first(const { NonZeroU32::new(3).expect("3 is not zero") });
    for job in jobs {
        let preview = call_t!(
            housekeeper,
            HousekeeperMsg::Preview,
            5_000,
            job.clone(),
            Scope::All,
            page.clone()
        )??;
        println!("{job} would handle {} rows, the oldest being", preview.due);
        for row in preview.rows {
            println!("  {} of {} {:?}", row.id, row.since, row.details);
        }
    }
    Ok(())
}

async fn run(housekeeper: &ActorRef<HousekeeperMsg>) -> Result<(), JobError> {
    let reports = call_t!(housekeeper, HousekeeperMsg::RunAll, 30_000)??;
    for report in reports {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}
