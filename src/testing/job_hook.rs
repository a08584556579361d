//! Code around each step of a job.

use async_trait::async_trait;

use crate::job::{Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds, Scope};

/// Code that runs before and after each step of a [`FaultyJob`](super::FaultyJob).
///
/// [`Faults`](super::Faults) covers planned faults. Implement the trait for anything else, such as
/// random faults, pauses or measurements.
#[async_trait]
pub trait JobHook: Send + Sync + 'static {
    /// Runs before a step. An error fails the step, and the job is not called.
    async fn before(&self, _call: &Call<'_>) -> Result<(), JobError> {
        Ok(())
    }

    /// Runs after a step that succeeded. An error replaces its answer.
    async fn after(&self, _call: &Call<'_>, _answer: &Answer<'_>) -> Result<(), JobError> {
        Ok(())
    }
}

/// A step with its arguments, as a [`JobHook`] sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Call<'a> {
    /// [`Job::check`](crate::Job::check)
    Check,
    /// [`Job::begin_run`](crate::Job::begin_run)
    BeginRun,
    /// [`Job::batch`](crate::Job::batch)
    Batch(&'a BatchRequest),
    /// [`Job::preview`](crate::Job::preview)
    Preview(&'a Scope, &'a Page),
    /// [`Job::forecast`](crate::Job::forecast)
    Forecast(&'a [String]),
}

/// The answer of a step, as a [`JobHook`] sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// Of [`Job::check`](crate::Job::check).
    Check,
    /// Of [`Job::begin_run`](crate::Job::begin_run).
    BeginRun(&'a RunBounds),
    /// Of [`Job::batch`](crate::Job::batch).
    Batch(&'a Batch),
    /// Of [`Job::preview`](crate::Job::preview).
    Preview(&'a PreviewRows),
    /// Of [`Job::forecast`](crate::Job::forecast).
    Forecast(&'a Forecast),
}

impl Call<'_> {
    /// Returns the step without its arguments.
    #[must_use]
    pub fn step(&self) -> Step {
        match self {
            Self::Check => Step::Check,
            Self::BeginRun => Step::BeginRun,
            Self::Batch(_) => Step::Batch,
            Self::Preview(..) => Step::Preview,
            Self::Forecast(_) => Step::Forecast,
        }
    }
}

/// A step of a job: the method of [`Job`](crate::Job) of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// [`Job::check`](crate::Job::check)
    Check,
    /// [`Job::begin_run`](crate::Job::begin_run)
    BeginRun,
    /// [`Job::batch`](crate::Job::batch)
    Batch,
    /// [`Job::preview`](crate::Job::preview)
    Preview,
    /// [`Job::forecast`](crate::Job::forecast)
    Forecast,
}
