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

/// Both jobs, all contenders in each round.
pub(crate) async fn all(
    database: &mut Database,
    plan: &Plan,
    contenders: &[Contender],
) -> Result<Vec<Results>> {
    let Kind::Sqlite { file, .. } = &database.kind else {
        return Err("this part is of SQLite".into());
    };
    let file = file.clone();
    let mut all = Vec::new();
    for (job, name) in [
        (
            Job::Bookings,
            "SQLite, messages inserted while bookings expire",
        ),
        (Job::Sessions, "SQLite, messages inserted while sessions go"),
    ] {
        let mut results = Results::new(name);
        for _ in 0..plan.rounds {
            for contender in contenders {
                rows::fill(database, job, plan.rows).await?;
                let ended = Arc::new(OnceLock::new());
                let (file, rate, told) = (file.clone(), plan.rate, ended.clone());
                // A thread of its own: each write blocks.
                let writer = std::thread::spawn(move || write(&file, rate, &told));
                let swept = contender
                    .sweep(database, job, plan, &Frontier::default())
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
        all.push(results);
    }
    Ok(all)
}

/// Inserts a message at each instant of a schedule, or as soon after as it may: when it was to be,
/// and what it took from then.
fn write(file: &str, rate: u32, ended: &OnceLock<Instant>) -> Result<Vec<(Instant, Duration)>> {
    let mut connection = SqliteConnection::establish(file)?;
    connection.batch_execute("pragma synchronous = normal; pragma busy_timeout = 60000")?;
    let gap = Duration::from_secs(1) / rate;
    let mut scheduled = Instant::now();
    let mut writes = Vec::new();
    while ended.get().is_none_or(|ended| scheduled <= *ended) {
        std::thread::sleep(scheduled.saturating_duration_since(Instant::now()));
        connection.batch_execute(
            "insert into messages (id, user_id, sender)
             values (lower(hex(randomblob(16))), '00000000-0000-4000-8000-000000000001', 'user')",
        )?;
        writes.push((scheduled, scheduled.elapsed()));
        scheduled += gap;
    }
    Ok(writes)
}
