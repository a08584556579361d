//! All steps of one run of a job.

use ractor_housekeeper::job::{BatchRequest, Forecast, Job, JobError, Page, Scope};

use crate::TestResult;

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// In order of their ids.
    pub(crate) ids: Vec<String>,
    /// Ids and errors, in their order.
    pub(crate) rejected: Vec<(String, String)>,
    /// Ids of the preview before it, in the order in which they are due.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code))]
    pub(crate) preview: Vec<String>,
    /// Rows due at its end.
    pub(crate) forecast: Forecast,
}

/// Checks, previews, runs in batches of `limit`, and looks ahead.
pub(crate) async fn run(job: &dyn Job, limit: u32) -> TestResult<Run> {
    let done = steps(job, limit).await;
    Ok(done.map_err(|error| error.chain())?)
}

async fn steps(job: &dyn Job, limit: u32) -> Result<Run, JobError> {
    job.check().await?;
    let preview = job.preview(&Scope::All, &Page::default()).await?;
    let bounds = job.begin_run().await?;
    let mut run = Run {
        preview: preview.rows.into_iter().map(|row| row.id).collect(),
        ..Run::default()
    };
    let mut after = None;
    loop {
        let request = BatchRequest {
            scope: Scope::All,
            now: bounds.now,
            cutoff: bounds.cutoff,
            limit: limit.try_into().expect("is not zero"),
            after,
        };
        let batch = job.batch(&request).await?;
        run.ids.extend(batch.ids);
        let rejected = batch.rejected.into_iter();
        run.rejected.extend(rejected.map(|row| (row.id, row.error)));
        after = batch.next_cursor;
        if after.is_none() {
            break;
        }
    }
    run.ids.sort();
    run.rejected.sort();
    let rejected: Vec<String> = run.rejected.iter().map(|(id, _)| id.clone()).collect();
    run.forecast = job.forecast(&rejected).await?;
    Ok(run)
}

/// A built-in job over a store, with the default ages.
pub(crate) fn built_in_job(
    store: impl ractor_housekeeper::store::Store + Clone,
    name: &str,
) -> TestResult<std::sync::Arc<dyn Job>> {
    use ractor_housekeeper::booking::{BookingPolicy, built_in};
    let jobs = built_in(store, &BookingPolicy::default())?;
    let job = jobs.into_iter().find(|job| job.name().as_str() == name);
    Ok(job.ok_or("no such job")?)
}
