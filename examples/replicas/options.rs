//! The command line.

use std::str::FromStr;

use ractor_housekeeper::JobName;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::Pace;

pub(crate) const USAGE: &str = "\
usage: replicas [options]

  --replicas N         processes that share the backlog, 1 to 32; 4 if not given
  --rows N             overdue bookings, or idle sessions, 10000 to 10000000; 100000 if not given
  --job JOB            bookings, sessions or both; bookings if not given
  --full-speed         without pauses and in larger batches; at the default pace if not given
  --no-kill            kills no replica; if not given, one is killed after a third of the rows
  --database-url URL   an empty Postgres database, as in postgres://user:password@host/database;
                       without it, a private server where Postgres is installed
  --help               this text";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) replicas: u32,
    pub(crate) rows: u32,
    pub(crate) jobs: Vec<JobName>,
    pub(crate) full_speed: bool,
    pub(crate) kill: bool,
    pub(crate) database_url: Option<String>,
}

pub(crate) enum Command {
    Run(Options),
    /// A copy that the program started. Its settings come over standard input.
    Replica,
    Help,
}

pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        replicas: 4,
        rows: 100_000,
        jobs: vec![BookingExpirer::NAME],
        full_speed: false,
        kill: true,
        database_url: None,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            REPLICA => return Ok(Command::Replica),
            "--replicas" => options.replicas = number(&argument, arguments.next())?,
            "--rows" => options.rows = number(&argument, arguments.next())?,
            "--job" => options.jobs = jobs(arguments.next().as_deref())?,
            "--full-speed" => options.full_speed = true,
            "--no-kill" => options.kill = false,
            "--database-url" => options.database_url = Some(url(arguments.next())?),
            unknown => return Err(format!("unknown option {unknown}")),
        }
    }
    options.check()?;
    Ok(Command::Run(options))
}

impl Options {
    pub(crate) fn pace(&self) -> Pace {
        if self.full_speed {
            Pace::full_speed()
        } else {
            Pace::default()
        }
    }

    /// The most rows one batch of each job changes.
    pub(crate) fn max_batch(&self) -> u64 {
        let with_records: u64 = self.jobs.iter().map(rows_of_one).sum();
        with_records * u64::from(self.pace().max_batch.get())
    }

    fn check(&self) -> Result<(), String> {
        if !(1..=32).contains(&self.replicas) {
            return Err("--replicas must be from 1 to 32".to_owned());
        }
        if !(10_000..=10_000_000).contains(&self.rows) {
            return Err("--rows must be from 10000 to 10000000: one replica may finish fewer before the others start".to_owned());
        }
        if self.kill && self.replicas == 1 {
            return Err(
                "the kill leaves no replica: give --no-kill, or --replicas 2 or more".to_owned(),
            );
        }
        Ok(())
    }
}

/// Rows changed with one row of the job: a session has an image and a video record.
pub(crate) fn rows_of_one(job: &JobName) -> u64 {
    if *job == SessionCleaner::NAME { 3 } else { 1 }
}

fn jobs(value: Option<&str>) -> Result<Vec<JobName>, String> {
    match value {
        Some("bookings") => Ok(vec![BookingExpirer::NAME]),
        Some("sessions") => Ok(vec![SessionCleaner::NAME]),
        Some("both") => Ok(vec![BookingExpirer::NAME, SessionCleaner::NAME]),
        _ => Err("--job must be bookings, sessions or both".to_owned()),
    }
}

fn url(value: Option<String>) -> Result<String, String> {
    let is_postgres = |url: &String| {
        ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
    };
    value
        .filter(is_postgres)
        .ok_or_else(|| "--database-url needs a URL that begins with postgres://".to_owned())
}

fn number<N: FromStr>(option: &str, value: Option<String>) -> Result<N, String> {
    let value = value.ok_or_else(|| format!("{option} needs a number"))?;
    value
        .parse()
        .map_err(|_| format!("{option} needs a whole number, not {value:?}"))
}

/// The argument that starts a replica.
pub(crate) const REPLICA: &str = "--replica";
