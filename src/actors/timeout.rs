//! A step of a job with its timeout.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::job::JobError;
use crate::model::FailureKind;

/// The failure of a step.
pub(crate) struct StepError {
    pub(crate) kind: FailureKind,
    /// One line for reports.
    pub(crate) text: String,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Runs a step of a job, and drops it when it outlasts the timeout.
pub(crate) async fn with_timeout<T>(
    timeout: Duration,
    what: &str,
    step: impl Future<Output = Result<T, JobError>>,
) -> Result<T, StepError> {
    let (kind, text) = match tokio::time::timeout(timeout, step).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => (FailureKind::Job, error.chain()),
        Err(_) => (
            FailureKind::StepTimeout,
            format!(
                "could not {what} within {}",
                humantime::format_duration(timeout)
            ),
        ),
    };
    Err(StepError { kind, text })
}
