//! Costs of an old snapshot, and of missing statistics, on Postgres.

use std::time::{Duration, Instant};

use ractor_housekeeper::Scope;
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::{BatchRequest, JobError};
use tokio_postgres::NoTls;

use crate::rows::fill_with_due;
use crate::support::Result;
use crate::support::database::Database;
use crate::support::figures::{Bound, Spread, percentile, target};
use crate::support::job::Job;
use crate::{housekeeper, run};

/// An empty run beside the entries of `rows` handled rows, which a snapshot keeps from being
/// removed, against one behind a vacuum: a deadline run, and one that begins at the start, as ticks
/// do.
pub(crate) async fn dead_entries(
    database: &mut Database,
    rows: u64,
    rounds: usize,
    runs: u32,
) -> Result<()> {
    for job in Job::ALL {
        let (mut deadline, mut ratios, mut ticks) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            fill_with_due(database, job, rows).await?;
            let (old, connection) = tokio_postgres::connect(database.url()?, NoTls).await?;
            tokio::spawn(connection);
            old.batch_execute("begin isolation level repeatable read; select 1")
                .await?;
            let housekeeper = housekeeper(database, job).await?;
            run(&housekeeper, job).await?;
            housekeeper.shutdown(Duration::from_secs(5)).await;

            let swept = job.over(database.store().await?)?;
            swept.check().await.map_err(|error| error.to_string())?;
            ticks.push(empty_run_ms(&*swept, true).await?);
            let beside = median_ms(&*swept, runs).await?;
            old.batch_execute("commit").await?;
            database.settle().await?;
            let without = median_ms(&*swept, runs).await?;
            deadline.push(beside);
            ratios.push(beside / without);
        }
        let name = format!(
            "empty deadline run of {} beside {rows} dead entries",
            job.rows()
        );
        println!();
        println!("{name}: {} ms", Spread::of(&deadline));
        println!("empty tick beside them: {} ms", Spread::of(&ticks));
        target(
            &format!("{name}, against one behind a vacuum"),
            Bound::AtMost(2.0),
            "x",
            &ratios,
        );
    }
    Ok(())
}

/// The median of empty deadline runs in milliseconds.
async fn median_ms(job: &dyn ractor_housekeeper::Job, runs: u32) -> Result<f64> {
    let mut seen = Vec::new();
    for _ in 0..runs {
        seen.push(empty_run_ms(job, false).await?);
    }
    Ok(percentile(&seen, 50.0))
}

/// Milliseconds of the steps of an empty run.
async fn empty_run_ms(job: &dyn ractor_housekeeper::Job, from_start: bool) -> Result<f64> {
    let began = Instant::now();
    job.prepare_run(from_start);
    let failed = |error: JobError| error.to_string();
    let bounds = job.begin_run().await.map_err(failed)?;
    let request = BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: Pace::full_speed().max_batch,
        after: None,
    };
    let batch = job.batch(&request).await.map_err(failed)?;
    job.forecast(&[]).await.map_err(failed)?;
    let took = began.elapsed();
    if batch.counts.total() > 0 {
        return Err("a row was due".into());
    }
    Ok(took.as_secs_f64() * 1e3)
}

/// A backlog in a table without statistics, against the same in one with them.
pub(crate) async fn without_statistics(
    database: &mut Database,
    rows: u64,
    rounds: usize,
) -> Result<()> {
    for job in Job::ALL {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let mut seconds = Vec::new();
            for forget in [false, true] {
                fill_with_due(database, job, rows).await?;
                if forget {
                    database.execute(FORGET).await?;
                }
                let housekeeper = housekeeper(database, job).await?;
                let began = Instant::now();
                run(&housekeeper, job).await?;
                seconds.push(began.elapsed().as_secs_f64());
                housekeeper.shutdown(Duration::from_secs(5)).await;
            }
            ratios.push(seconds[0] / seconds[1]);
        }
        let name = format!(
            "backlog of {rows} {} in a table without statistics, against one with",
            job.rows()
        );
        println!();
        target(&name, Bound::AtLeast(0.9), "x", &ratios);
    }
    Ok(())
}

/// As if no analyze had ever seen the tables.
const FORGET: &str = "
    delete from pg_statistic where starelid in (select oid from pg_class where relnamespace = 'public'::regnamespace);
    update pg_class set reltuples = -1, relpages = 0 where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')";
