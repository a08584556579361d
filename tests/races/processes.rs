//! Housekeepers of two processes on one SQLite file. On Postgres `examples/replicas` does the like, killing included.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::store::Timeouts;
use ractor_housekeeper::{Report, Scope, SqliteStore};
use serde_json::{from_str, to_string};

use crate::audit::gone;
use crate::bookings::{AGE, fill, user};
use crate::database::{Database, PATIENCE};
use crate::replica::{Emitted, Replica, messages_only};
use crate::{TestResult, rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_expire_each_row_once() -> TestResult {
    let database = Database::sqlite().await?.ok_or("it is built in")?;
    let rows = rows(10);
    let due = Utc::now() - AGE - TimeDelta::hours(1);
    fill(&database, rows, due, TimeDelta::microseconds(1), |_| None).await?;
    let replica = replica(&database.address()).await?;
    let mut other = ChildProcess::start(&database.address())?;

    // Each has some rows for sure, whoever is faster at the rest.
    replica.run(Scope::user(user(OURS))).await?;
    other.go_on()?;
    other.line()?;
    other.go_on()?;
    replica.run_until(|| true).await?;
    let emitted = [replica.shut_down().await?, other.shut_down()?];

    assert_eq!(gone(&database, "bookings", &emitted).await?.len(), rows);
    let shares = emitted.each_ref().map(|emitted| emitted.ids.len());
    println!("sqlite, two processes: {rows} rows, housekeepers won {shares:?}");
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    Ok(())
}

/// What the other process runs. In this one it is told nothing and does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process_runs_a_housekeeper() -> TestResult {
    let Ok(address) = std::env::var(FILE) else {
        return Ok(());
    };
    let mut input = std::io::stdin().lines();
    let replica = replica(&address).await?;

    input.next().ok_or("an order")??;
    replica.run(Scope::user(user(THEIRS))).await?;
    println!("{MARK}");
    input.next().ok_or("an order")??;
    replica.run_until(|| true).await?;

    let Emitted { ids, reports, .. } = replica.shut_down().await?;
    println!("{MARK}{}", to_string(&ids)?);
    println!("{MARK}{}", to_string(&reports)?);
    Ok(())
}

async fn replica(address: &str) -> TestResult<Replica> {
    let limits = Timeouts {
        lock: PATIENCE,
        ..Timeouts::default()
    };
    let store = SqliteStore::open(address).await?.with_limits(limits)?;
    let job = BookingExpirer::new(Arc::new(store), Some(AGE))?;
    Replica::start(Arc::new(job), messages_only()).await
}

/// This very program, started again with a housekeeper of its own.
struct ChildProcess {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl ChildProcess {
    fn start(address: &str) -> TestResult<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args([
                "--exact",
                "processes::child_process_runs_a_housekeeper",
                "--nocapture",
            ])
            .env(FILE, address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("it is piped")?;
        let lines = BufReader::new(output).lines();
        Ok(Self { process, lines })
    }

    fn go_on(&mut self) -> TestResult {
        let input = self.process.stdin.as_mut().ok_or("it is piped")?;
        Ok(writeln!(input)?)
    }

    /// The next that it says for us, among what the tests of any program say.
    fn line(&mut self) -> TestResult<String> {
        for line in &mut self.lines {
            if let Some((_, ours)) = line?.split_once(MARK) {
                return Ok(ours.to_owned());
            }
        }
        Err("the other process has failed".into())
    }

    fn shut_down(mut self) -> TestResult<Emitted> {
        let ids: Vec<String> = from_str(&self.line()?)?;
        let reports: Vec<Report> = from_str(&self.line()?)?;
        self.lines.by_ref().for_each(drop);
        assert!(self.process.wait()?.success());
        Ok(Emitted {
            ids,
            reports,
            ..Emitted::default()
        })
    }
}

impl Drop for ChildProcess {
    /// A test that fails leaves nobody behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const FILE: &str = "HOUSEKEEPER_RACE_FILE";
const MARK: &str = "the other process says: ";

/// Users whose bookings are expired by one process alone.
const OURS: usize = 0;
const THEIRS: usize = 1;
