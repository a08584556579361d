//! Steps of a job, with a timeout.

use std::future::Future;
use std::time::Duration;

use crate::job::JobError;

/// Runs a step of a job with a timeout. The error is one line for reports.
pub(crate) async fn with_timeout<T>(
    timeout: Duration,
    what: &str,
    step: impl Future<Output = Result<T, JobError>>,
) -> Result<T, String> {
    match tokio::time::timeout(timeout, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(error.chain()),
        Err(_) => Err(format!(
            "could not {what} within {}",
            humantime::format_duration(timeout)
        )),
    }
}
