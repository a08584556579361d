//! Several processes, each with a housekeeper, share a backlog in one Postgres database. The
//! program kills one of them midway.
//!
//! The program starts copies of itself. Triggers record which replica changed which row, and each
//! replica writes its events to standard output. The audit compares the two: every row is changed
//! once, none is left, and the events add up to the triggers' record, except for one batch that a
//! killed replica may have committed unreported. The exit status is the result of the audit.

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use audit::Audit;
use database::Database;
use options::{Command, Options, USAGE, parse};
use replicas::Replicas;

mod audit;
mod child;
mod database;
mod options;
mod protocol;
mod replica;
mod replicas;

type Error = Box<dyn std::error::Error + Send + Sync>;

// One thread, in a replica too: it reports a batch before it can commit the next.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let done = match parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => tokio::select! {
            faults = share_backlog(&options) => faults,
            // Dropping the future kills the replicas and stops a private server.
            _ = tokio::signal::ctrl_c() => Err("stopped".into()),
        },
        Ok(Command::Replica) => replica::run().await.map(|()| Vec::new()),
        Ok(Command::Help) => {
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
            eprintln!("the audit failed:\n  {}", faults.join("\n  "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Lets the replicas share a backlog. Returns the faults that the audit found.
async fn share_backlog(options: &Options) -> Result<Vec<String>, Error> {
    let mut database = Database::open(options.database_url.as_deref()).await?;
    println!("making {} overdue rows for each job", options.rows);
    let rows = database.fill(options).await?;

    println!("starting {} replicas", options.replicas);
    let replicas = Replicas::start(options, database.url())?;
    let replicas = replicas.work(options, rows).await?;

    let audit = Audit {
        rows,
        max_batch: options.max_batch(),
        replicas: &replicas,
        triggers: &database.trigger_record().await?,
    };
    println!("\n{audit}");
    let faults = audit.faults();
    if faults.is_empty() {
        println!("the audit passed");
    }
    Ok(faults)
}
