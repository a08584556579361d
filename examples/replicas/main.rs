//! Several processes with a housekeeper each, on one Postgres, share a backlog. One of them is
//! killed on the way.
//!
//! The program starts itself again as often as it is told. Triggers note who changed which row, and
//! each replica says on its standard output what it did. In the end the two are compared: every row
//! is handled once, nothing is left, and the replicas' own accounts add up to what the database
//! saw, but for the one batch of which a killed replica could not tell. The exit status says
//! whether it holds.

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use balance::Balance;
use crew::Crew;
use database::Database;
use options::{Asked, Options, USAGE, asked};

mod balance;
mod crew;
mod database;
mod line;
mod options;
mod replica;

type Error = Box<dyn std::error::Error + Send + Sync>;

// One thread, also for a replica: what a batch did is then told before the next one can have been
// committed.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let done = match asked(std::env::args().skip(1)) {
        Ok(Asked::Run(options)) => tokio::select! {
            faults = share(&options) => faults,
            // Everything goes with its owner: the replicas, and a private server.
            _ = tokio::signal::ctrl_c() => Err("stopped".into()),
        },
        Ok(Asked::Replica) => replica::run().await.map(|()| Vec::new()),
        Ok(Asked::Help) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            eprintln!("the balance does not hold:\n  {}", faults.join("\n  "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Has the replicas share a backlog. Returns what is wrong with the balance.
async fn share(options: &Options) -> Result<Vec<String>, Error> {
    let mut database = Database::open(options.database_url.as_deref()).await?;
    println!("making {} overdue rows for each job", options.rows);
    let rows = database.fill(options).await?;

    println!("starting {} replicas", options.replicas);
    let crew = Crew::start(options, database.url())?;
    let accounts = crew.work(options, rows).await?;

    let balance = Balance {
        rows,
        max_batch: options.max_batch(),
        accounts: &accounts,
        audit: &database.audit().await?,
    };
    println!("\n{balance}");
    let faults = balance.faults();
    if faults.is_empty() {
        println!("the balance holds");
    }
    Ok(faults)
}
