//! One step of a job, with a limit.

use std::future::Future;
use std::time::Duration;

use crate::job::JobError;

/// Waits for a step of a job, but not forever. The error is a line for reports.
pub(crate) async fn with_timeout<T>(
    limit: Duration,
    what: &str,
    step: impl Future<Output = Result<T, JobError>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.chain()),
        Err(_) => Err(format!(
            "could not {what} within {}",
            humantime::format_duration(limit)
        )),
    }
}
