//! One writer beside the housekeeper on a SQLite file.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};

use crate::contender::{Contender, Frontier};
use crate::results::{Results, Round};
use crate::support::Result;
use crate::support::database::{Database, Kind};
use crate::support::job::Job;
use crate::{Plan, rows};

pub(crate) const ALL: [(Job, &str); 2] = [
    (
        Job::Bookings,
        "SQLite, messages inserted while bookings expire",
    ),
    (Job::Sessions, "SQLite, messages inserted while sessions go"),
];

/// All contenders in each round.
pub(crate) async fn measure(
    database: &mut Database,
    job: Job,
    plan: &Plan,
    contenders: &[Contender],
) -> Result<Results> {
    let file = file(database)?.to_owned();
    let mut results = Results::default();
    for _ in 0..plan.rounds {
        for contender in contenders {
            let ready = contender.prepare(database, job).await?;
            rows::fill(database, job, plan.rows).await?;
            let ended = Arc::new(OnceLock::new());
            let (file, rate, told) = (file.clone(), plan.rate, ended.clone());
            // A thread of its own: each write blocks.
            let writer = std::thread::spawn(move || write(&file, rate, &told));
            let swept = contender
                .sweep(database, job, plan, ready, &Frontier::default())
                .await;
            ended.get_or_init(Instant::now);
            let written = writer.join().map_err(|_| "the writer panicked")??;
            let swept = swept?;
            let during = |at: &Instant| (swept.began..=swept.ended).contains(at);
            let latencies = written
                .iter()
                .filter(|(at, _)| during(at))
                .map(|(_, took)| took.as_secs_f64() * 1_000.0)
                .collect();
            results.add(contender, Round { latencies, swept });
        }
    }
    Ok(results)
}

/// Messages a second that one writer inserts, each once the last is written.
pub(crate) fn capacity(database: &Database) -> Result<f64> {
    let mut connection = connect(file(database)?)?;
    let began = Instant::now();
    let mut written = 0_u32;
    while began.elapsed() < Duration::from_secs(2) {
        connection.batch_execute(INSERT)?;
        written += 1;
    }
    Ok(f64::from(written) / began.elapsed().as_secs_f64())
}

fn file(database: &Database) -> Result<&str> {
    match &database.kind {
        Kind::Sqlite { file, .. } => Ok(file),
        Kind::Postgres { .. } => Err("this part is of SQLite".into()),
    }
}

fn connect(file: &str) -> Result<SqliteConnection> {
    let mut connection = SqliteConnection::establish(file)?;
    connection.batch_execute("pragma synchronous = normal; pragma busy_timeout = 60000")?;
    Ok(connection)
}

/// Inserts a message at each instant of a schedule, or as soon after as it may: when it was to be,
/// and what it took from then.
fn write(file: &str, rate: u32, ended: &OnceLock<Instant>) -> Result<Vec<(Instant, Duration)>> {
    let mut connection = connect(file)?;
    let gap = Duration::from_secs(1) / rate;
    let mut scheduled = Instant::now();
    let mut writes = Vec::new();
    while ended.get().is_none_or(|ended| scheduled <= *ended) {
        std::thread::sleep(scheduled.saturating_duration_since(Instant::now()));
        connection.batch_execute(INSERT)?;
        writes.push((scheduled, scheduled.elapsed()));
        scheduled += gap;
    }
    Ok(writes)
}

const INSERT: &str = "insert into messages (id, user_id, sender)
    values (lower(hex(randomblob(16))), '00000000-0000-4000-8000-000000000001', 'user')";
