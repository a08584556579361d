//! The job that deletes idle chat sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::config::{ConfigError, check_age};
use crate::job::{
    Batch, BatchRequest, Forecast, Job, JobError, JobName, Page, PreviewRows, RunBounds, Scope,
};
use crate::store::{Store, StoreError};

/// Deletes idle chat sessions with their image and video records.
///
/// A session is idle when its last activity is strictly older than `idle_after`. Last activity is
/// the later of the session's creation and the newest message of its user. Reports count
/// `sessions`, `image_records` and `video_records`.
pub struct SessionCleaner {
    store: Arc<dyn Store>,
    idle_after: Option<Duration>,
}

impl fmt::Debug for SessionCleaner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCleaner")
            .field("idle_after", &self.idle_after)
            .finish_non_exhaustive()
    }
}

impl SessionCleaner {
    /// `session-cleaner`
    pub const NAME: JobName = JobName::new("session-cleaner");

    /// Creates the job; `None` disables it.
    ///
    /// # Errors
    ///
    /// Fails if the age is zero or longer than 100 years.
    pub fn new(store: Arc<dyn Store>, idle_after: Option<Duration>) -> Result<Self, ConfigError> {
        check_age("ages.idle_after", idle_after)?;
        Ok(Self { store, idle_after })
    }

    /// Returns the age, which matches no row if the job is disabled.
    fn idle_after(&self) -> Duration {
        self.idle_after.unwrap_or(crate::config::MAX_DURATION)
    }
}

#[async_trait]
impl Job for SessionCleaner {
    fn name(&self) -> JobName {
        Self::NAME
    }

    fn is_enabled(&self) -> bool {
        self.idle_after.is_some()
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        super::check_user(scope)
    }

    async fn check(&self) -> Result<(), JobError> {
        self.store.check().await?;
        let throttle = self.store.activity_throttle().await?;
        match StoreError::throttle_problem(self.idle_after(), throttle) {
            Some(problem) => Err(StoreError::Schema(problem).into()),
            None => Ok(()),
        }
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        Ok(super::run_bounds(
            self.store.now().await?,
            self.idle_after(),
        ))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        Ok(self.store.delete_idle_sessions(request).await?)
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let bounds = self.begin_run().await?;
        Ok(self
            .store
            .idle_sessions(bounds.cutoff, scope.user_id()?, page)
            .await?)
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        Ok(self
            .store
            .session_forecast(self.idle_after(), rejected)
            .await?)
    }
}
