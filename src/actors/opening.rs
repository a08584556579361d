//! The opening read of a run.

use std::time::Duration;

use tokio::time::timeout;

use crate::job::{Job, JobError, PauseRead, RunBounds};
use crate::model::RunHistory;

/// Begins a run: reads the clock, and whether the job is paused for all replicas.
///
/// Jobs of this crate read both in one statement. For other jobs the history has the pause; one
/// that does not answer delays no run for longer than [`PATIENCE`], and pauses nothing.
pub(super) async fn open_run(
    job: &dyn Job,
    history: Option<&dyn RunHistory>,
) -> Result<RunBounds, JobError> {
    let bounds = job.begin_run().await?;
    let Some(history) = history.filter(|_| bounds.pause == PauseRead::NotRead) else {
        return Ok(bounds);
    };
    let name = job.name();
    Ok(match timeout(PATIENCE, history.pause(&name)).await {
        Ok(Ok(pause)) => bounds.with_pause(pause),
        Ok(Err(error)) => {
            tracing::debug!(job.name = %name, %error, "could not read whether the job is paused");
            bounds
        }
        Err(_) => bounds,
    })
}

/// Longest wait for a history that is not the job's own database.
const PATIENCE: Duration = Duration::from_secs(1);
