//! The steps of the two built-in jobs over one store, at any age.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, Job, JobError, Page, PreviewRows, Scope,
};
use ractor_housekeeper::store::Store;
use uuid::Uuid;

use crate::world::now;

/// Whether it is of sessions, and its age.
type ByAge = BTreeMap<(bool, Duration), Arc<dyn Job>>;

/// The built-in jobs over one store, one for each age.
#[derive(Clone)]
pub(crate) struct Jobs {
    store: Arc<dyn Store>,
    jobs: Arc<Mutex<ByAge>>,
}

/// The error of a step, with its causes.
#[derive(Debug)]
pub(crate) struct StepError(String);

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for StepError {}

impl From<JobError> for StepError {
    fn from(error: JobError) -> Self {
        Self(error.chain())
    }
}

type StepResult<T> = Result<T, StepError>;

impl Jobs {
    pub(crate) fn over(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            jobs: Arc::default(),
        }
    }

    pub(crate) async fn delete_idle_sessions(&self, request: &BatchRequest) -> StepResult<Batch> {
        let job = self.job(true, age(request.now, request.cutoff));
        Ok(job.batch(request).await?)
    }

    pub(crate) async fn idle_sessions(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> StepResult<PreviewRows> {
        let job = self.job(true, age(now(), cutoff));
        Ok(job.preview(&scope(user), page).await?)
    }

    pub(crate) async fn session_forecast(
        &self,
        idle_after: Duration,
        rejected: &[String],
    ) -> StepResult<Forecast> {
        Ok(self.job(true, idle_after).forecast(rejected).await?)
    }

    pub(crate) async fn expire_bookings(&self, request: &BatchRequest) -> StepResult<Batch> {
        let job = self.job(false, age(request.now, request.cutoff));
        Ok(job.batch(request).await?)
    }

    pub(crate) async fn overdue_bookings(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> StepResult<PreviewRows> {
        let job = self.job(false, age(now(), cutoff));
        Ok(job.preview(&scope(user), page).await?)
    }

    pub(crate) async fn booking_forecast(
        &self,
        expire_after: Duration,
        rejected: &[String],
    ) -> StepResult<Forecast> {
        Ok(self.job(false, expire_after).forecast(rejected).await?)
    }

    /// The checks of both jobs, at their usual ages.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) async fn check(&self) -> StepResult<()> {
        self.job(true, Duration::from_secs(24 * 60 * 60))
            .check()
            .await?;
        Ok(self
            .job(false, Duration::from_secs(15 * 60))
            .check()
            .await?)
    }

    fn job(&self, of_sessions: bool, age: Duration) -> Arc<dyn Job> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.entry((of_sessions, age)).or_insert_with(|| {
            let store = self.store.clone();
            if of_sessions {
                Arc::new(SessionCleaner::new(store, Some(age)).expect("an age"))
            } else {
                Arc::new(BookingExpirer::new(store, Some(age)).expect("an age"))
            }
        });
        job.clone()
    }
}

/// No age is shorter than a millisecond.
fn age(now: DateTime<Utc>, cutoff: DateTime<Utc>) -> Duration {
    let age = (now - cutoff).to_std().unwrap_or_default();
    age.max(Duration::from_millis(1))
}

fn scope(user: Option<Uuid>) -> Scope {
    user.map_or(Scope::All, Scope::user)
}
