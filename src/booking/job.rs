//! The base of the two built-in jobs: a rule over the booking schema, whose users are UUIDs.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{ConfigError, check_age};
use crate::job::{
    Batch, BatchRequest, Findings, Forecast, Job, JobError, OldSnapshot, Page, PreviewRows,
    RunBounds, Scope,
};
use crate::rule::Rule;
use crate::store::{Store, StoreError};

/// A rule over the booking schema as a job.
pub(super) struct BookingJob {
    store: Arc<dyn Store>,
    job: Arc<dyn Job>,
    pub(super) age: Option<Duration>,
}

impl BookingJob {
    /// Creates the job. An error about the age names it as `setting`.
    pub(super) fn new(
        store: Arc<dyn Store>,
        setting: &'static str,
        age: Option<Duration>,
        rule: fn(Duration) -> Rule,
    ) -> Result<Self, ConfigError> {
        check_age(setting, age)?;
        // The supervisor starts no run of a disabled job, so its age does not matter.
        let rule = rule(age.unwrap_or(crate::config::MAX_DURATION));
        let job = store.job(rule);
        let job = job.map_err(|error| ConfigError::new(setting, error.to_string()))?;
        Ok(Self { store, job, age })
    }

    pub(super) fn is_irreversible(&self) -> bool {
        self.job.is_irreversible()
    }

    pub(super) fn prepare_run(&self, from_start: bool) {
        self.job.prepare_run(from_start);
    }

    pub(super) fn hands_on(&self) -> bool {
        self.job.hands_on()
    }

    pub(super) fn findings(&self) -> Findings {
        self.job.findings()
    }

    pub(super) async fn check(&self) -> Result<(), JobError> {
        self.store.check().await?;
        self.job.check().await
    }

    pub(super) async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.explain(self.job.begin_run().await).await
    }

    pub(super) async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let request = BatchRequest {
            scope: as_stored(&request.scope)?,
            ..request.clone()
        };
        self.explain(self.job.batch(&request).await).await
    }

    pub(super) async fn preview(
        &self,
        scope: &Scope,
        page: &Page,
    ) -> Result<PreviewRows, JobError> {
        let scope = as_stored(scope)?;
        self.explain(self.job.preview(&scope, page).await).await
    }

    pub(super) async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.explain(self.job.forecast(rejected).await).await
    }

    pub(super) async fn oldest_snapshot(&self) -> Option<OldSnapshot> {
        self.job.oldest_snapshot().await
    }

    /// Adds the findings of the booking schema's check to an error about tables.
    async fn explain<T>(&self, done: Result<T, JobError>) -> Result<T, JobError> {
        let error = match done {
            Err(error) => error,
            done => return done,
        };
        let Some(StoreError::Schema(problem)) = error.downcast_ref() else {
            return Err(error);
        };
        match self.store.check().await {
            Err(StoreError::Schema(why)) => {
                Err(StoreError::Schema(format!("{why} ({problem})")).into())
            }
            _ => Err(error),
        }
    }
}

/// Checks that the scope's user is a UUID, the key of users in the booking schema.
pub(super) fn check_scope(scope: &Scope) -> Result<(), String> {
    match scope.user_id() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{} is not keyed by a UUID, as the booking schema's users are",
            scope.to_string().escape_debug()
        )),
    }
}

/// Returns the scope with its user as SQLite stores it: in lower case, with hyphens.
fn as_stored(scope: &Scope) -> Result<Scope, StoreError> {
    let user = scope.user_id().map_err(|_| StoreError::User {
        user: scope.to_string().trim_start_matches("user ").to_owned(),
    })?;
    Ok(user.map_or(Scope::All, |user| Scope::user(user.hyphenated())))
}

/// Implements [`Job`] for a type around a [`BookingJob`].
macro_rules! built_in {
    ($job:ident) => {
        #[async_trait::async_trait]
        impl crate::job::Job for $job {
            fn name(&self) -> crate::job::JobName {
                Self::NAME
            }

            fn is_enabled(&self) -> bool {
                self.0.age.is_some()
            }

            fn is_irreversible(&self) -> bool {
                self.0.is_irreversible()
            }

            fn prepare_run(&self, from_start: bool) {
                self.0.prepare_run(from_start);
            }

            fn hands_on(&self) -> bool {
                self.0.hands_on()
            }

            fn findings(&self) -> crate::job::Findings {
                self.0.findings()
            }

            fn check_scope(&self, scope: &crate::job::Scope) -> Result<(), String> {
                super::job::check_scope(scope)
            }

            async fn check(&self) -> Result<(), crate::job::JobError> {
                self.0.check().await
            }

            async fn begin_run(&self) -> Result<crate::job::RunBounds, crate::job::JobError> {
                self.0.begin_run().await
            }

            async fn batch(
                &self,
                request: &crate::job::BatchRequest,
            ) -> Result<crate::job::Batch, crate::job::JobError> {
                self.0.batch(request).await
            }

            async fn preview(
                &self,
                scope: &crate::job::Scope,
                page: &crate::job::Page,
            ) -> Result<crate::job::PreviewRows, crate::job::JobError> {
                self.0.preview(scope, page).await
            }

            async fn forecast(
                &self,
                rejected: &[String],
            ) -> Result<crate::job::Forecast, crate::job::JobError> {
                self.0.forecast(rejected).await
            }

            async fn oldest_snapshot(&self) -> Option<crate::job::OldSnapshot> {
                self.0.oldest_snapshot().await
            }
        }
    };
}
pub(super) use built_in;
