//! The housekeeper, and its batches without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::call;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Outcome, Scope, start,
};

use crate::Job;
use crate::support::Result;
use crate::support::database::Database;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs this many housekeepers on one backlog.
pub(crate) async fn housekeepers(
    database: &Database,
    job: Job,
    replicas: usize,
) -> Result<(Duration, u64)> {
    let mut running = Vec::new();
    for _ in 0..replicas {
        let mut config = HousekeeperConfig::default();
        config.job.schedule.at_start = false;
        config.job.schedule.at_deadline = false;
        config.job.pace = Pace::full_speed();
        let arguments = HousekeeperArguments::new(vec![job_of(database.store().await?, job)?])
            .with_config(config);
        running.push(start(None, arguments).await?.housekeeper);
    }

    let began = Instant::now();
    let runs: Vec<_> = running
        .iter()
        .cloned()
        .map(|housekeeper| {
            let name = name(job);
            tokio::spawn(
                async move { call!(housekeeper, HousekeeperMsg::RunNow, name, Scope::All) },
            )
        })
        .collect();
    let mut handled = 0;
    for run in runs {
        let report = run.await???;
        if report.outcome != Outcome::Completed {
            return Err(report.message().into());
        }
        handled += report.counts.of(job.name());
    }
    let took = began.elapsed();
    for housekeeper in running {
        call!(
            housekeeper,
            HousekeeperMsg::Shutdown,
            Duration::from_secs(5)
        )?;
    }
    Ok((took, handled))
}

/// One housekeeper, with a row of the host's in a hundred that keeps a session by a foreign key.
pub(crate) async fn beside_kept_rows(database: &mut Database, job: Job) -> Result<(Duration, u64)> {
    database
        .execute(
            "create table invoices (session_id text primary key references sessions (id));
             insert into invoices select id from sessions where last_activity_at is null order by id limit
                (select count(*) / 100 from sessions where last_activity_at is null)",
        )
        .await?;
    let done = housekeepers(database, job, 1).await;
    database.execute("drop table invoices").await?;
    done
}

/// Runs the same batches without a housekeeper.
pub(crate) async fn bare_loop(database: &Database, job: Job) -> Result<(Duration, u64)> {
    let pace = Pace::full_speed();
    let swept = job_of(database.store().await?, job)?;

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
        handled += batch.counts.of(job.name());
        if batch.next_cursor.is_none() {
            return Ok((began.elapsed(), handled));
        }
        after = batch.next_cursor;
    }
}

fn job_of(store: Arc<dyn Store>, job: Job) -> Result<Arc<dyn ractor_housekeeper::Job>> {
    Ok(match job {
        Job::Bookings => Arc::new(BookingExpirer::new(store, Some(DAY))?),
        Job::Sessions => Arc::new(SessionCleaner::new(store, Some(DAY))?),
    })
}

fn name(job: Job) -> ractor_housekeeper::JobName {
    match job {
        Job::Bookings => BookingExpirer::NAME,
        Job::Sessions => SessionCleaner::NAME,
    }
}
