//! The housekeeper, and its batches without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::{HousekeeperRef, JobName, Outcome, Scope};

use crate::support::Result;
use crate::support::database::Database;
use crate::support::job::{Job, start_manual};

/// Starts this many housekeepers over one table, and lets each run once.
pub(crate) async fn start(
    database: &Database,
    job: Job,
    replicas: usize,
) -> Result<Vec<HousekeeperRef>> {
    let mut running = Vec::new();
    for _ in 0..replicas {
        let swept = job.over(database.store().await?)?;
        running.push(started(swept).await?);
    }
    Ok(running)
}

/// A housekeeper at full speed that has checked its tables.
pub(crate) async fn started(job: Arc<dyn ractor_housekeeper::Job>) -> Result<HousekeeperRef> {
    let name = job.name();
    let housekeeper = start_manual(job, Pace::full_speed()).await?;
    let report = housekeeper.run_now(name, Scope::All).await?;
    match report.outcome {
        Outcome::Completed => Ok(housekeeper),
        _ => Err(report.message().into()),
    }
}

/// A job that has checked its tables.
pub(crate) async fn checked(
    database: &Database,
    job: Job,
) -> Result<Arc<dyn ractor_housekeeper::Job>> {
    let swept = job.over(database.store().await?)?;
    swept.check().await.map_err(|error| error.to_string())?;
    Ok(swept)
}

/// Runs a job on each of these at once and shuts them down. Returns the time, and the rows that
/// were handled.
pub(crate) async fn run_all(
    running: &[HousekeeperRef],
    job: &JobName,
    kind: &str,
) -> Result<(Duration, u64)> {
    let began = Instant::now();
    let runs: Vec<_> = running
        .iter()
        .cloned()
        .map(|housekeeper| {
            let job = job.clone();
            tokio::spawn(async move { housekeeper.run_now(job, Scope::All).await })
        })
        .collect();
    let mut handled = 0;
    for run in runs {
        let report = run.await??;
        if report.outcome != Outcome::Completed {
            return Err(report.message().into());
        }
        handled += report.counts.of(kind);
    }
    let took = began.elapsed();
    for housekeeper in running {
        housekeeper.shutdown(Duration::from_secs(5)).await;
    }
    Ok((took, handled))
}

/// Adds a table of the host's whose foreign key keeps sessions.
pub(crate) async fn add_invoices(database: &mut Database) -> Result<()> {
    database
        .execute("create table invoices (session_id text primary key references sessions (id))")
        .await
}

/// Runs beside invoices that keep one session in a hundred.
pub(crate) async fn beside_kept_rows(
    database: &mut Database,
    job: Job,
    running: &[HousekeeperRef],
) -> Result<(Duration, u64)> {
    database
        .execute(
            "insert into invoices select id from sessions where last_activity_at is null order by id limit
                (select count(*) / 100 from sessions where last_activity_at is null)",
        )
        .await?;
    let done = run_all(running, &job.name(), job.rows()).await;
    database.execute("drop table invoices").await?;
    done
}

/// Runs the same batches without a housekeeper.
pub(crate) async fn bare_loop(
    swept: &dyn ractor_housekeeper::Job,
    job: Job,
) -> Result<(Duration, u64)> {
    let pace = Pace::full_speed();

    let began = Instant::now();
    let bounds = swept.begin_run().await.map_err(|error| error.to_string())?;
    let mut after = None;
    let mut handled = 0;
    loop {
        let (scope, limit) = (Scope::All, pace.max_batch);
        let request = BatchRequest {
            scope,
            now: bounds.now,
            cutoff: bounds.cutoff,
            limit,
            after,
        };
        let batch = swept
            .batch(&request)
            .await
            .map_err(|error| error.to_string())?;
        handled += batch.counts.of(job.rows());
        if batch.next_cursor.is_none() {
            return Ok((began.elapsed(), handled));
        }
        after = batch.next_cursor;
    }
}
