//! Housekeepers of two processes on one SQLite file. `examples/replicas` does the same on Postgres,
//! with a kill.

use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::store::Timeouts;
use ractor_housekeeper::{Report, Scope, SqliteStore};
use serde::{Deserialize, Serialize};

use crate::audit::gone;
use crate::bookings::{AGE, fill, user};
use crate::database::{Database, PATIENCE};
use crate::replica::{Emitted, Replica, messages_only};
use crate::{TestResult, rows};
use child::{ChildProcess, messages, write_message};

#[path = "../../examples/replicas/child.rs"]
#[expect(dead_code, reason = "the example kills a child")]
mod child;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_expire_each_row_once() -> TestResult {
    let database = Database::sqlite().await?.ok_or("it is built in")?;
    let rows = rows(10);
    let due = Utc::now() - AGE - TimeDelta::hours(1);
    fill(&database, rows, due, TimeDelta::microseconds(1), |_| None).await?;
    let replica = replica(&database.address()).await?;
    let (mut other, output) =
        ChildProcess::start(|command| command.args(CHILD_TEST).env(FILE, database.address()))?;
    let mut lines = messages(output);

    // Each process expires the rows of one user, whichever is faster at the rest.
    replica.run(Scope::user(user(OURS))).await?;
    other.send(&())?;
    assert!(matches!(lines.next(), Some(ChildEvent::ExpiredItsUser)));
    other.send(&())?;
    replica.run_until(|| true).await?;
    let ours = replica.shut_down().await?;
    let Some(ChildEvent::ShutDown { ids, reports }) = lines.next() else {
        return Err("the other process has failed".into());
    };
    lines.for_each(drop);
    assert!(other.wait()?.success());
    let theirs = Emitted {
        ids,
        reports,
        ..Emitted::default()
    };
    let emitted = [ours, theirs];

    assert_eq!(gone(&database, "bookings", &emitted).await?.len(), rows);
    let shares = emitted.each_ref().map(|emitted| emitted.ids.len());
    println!("sqlite, two processes: {rows} rows, housekeepers won {shares:?}");
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    Ok(())
}

/// The test that the other process runs. In the first process it has no file and does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_process_runs_a_housekeeper() -> TestResult {
    let Ok(address) = std::env::var(FILE) else {
        return Ok(());
    };
    let mut input = std::io::stdin().lines();
    let replica = replica(&address).await?;

    input.next().ok_or("a line")??;
    replica.run(Scope::user(user(THEIRS))).await?;
    // Ends the line that the test program began.
    println!();
    write_message(&ChildEvent::ExpiredItsUser)?;
    input.next().ok_or("a line")??;
    replica.run_until(|| true).await?;

    let Emitted { ids, reports, .. } = replica.shut_down().await?;
    write_message(&ChildEvent::ShutDown { ids, reports })?;
    Ok(())
}

#[derive(Serialize, Deserialize)]
enum ChildEvent {
    ExpiredItsUser,
    ShutDown {
        ids: Vec<String>,
        reports: Vec<Report>,
    },
}

async fn replica(address: &str) -> TestResult<Replica> {
    let timeouts = Timeouts {
        lock: PATIENCE,
        ..Timeouts::default()
    };
    let store = SqliteStore::open(address).await?.with_timeouts(timeouts)?;
    let job = BookingExpirer::new(Arc::new(store), Some(AGE))?;
    Replica::start(Arc::new(job), messages_only()).await
}

const FILE: &str = "HOUSEKEEPER_RACE_FILE";

/// Arguments that run the child's test alone.
const CHILD_TEST: [&str; 3] = [
    "--exact",
    "processes::child_process_runs_a_housekeeper",
    "--nocapture",
];

/// Users whose bookings are expired by one process alone.
const OURS: usize = 0;
const THEIRS: usize = 1;
