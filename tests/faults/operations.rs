//! The steps of a run, each as the future a worker awaits.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::job::{BatchRequest, Counts, JobError, Page};
use ractor_housekeeper::model::{RunHistory, RunRecord, Trigger};
use ractor_housekeeper::store::Store;
use ractor_housekeeper::{Job, JobName, Outcome, Report, Scope};
use uuid::Uuid;

/// A step of a run, or what is asked beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Check,
    Open,
    Batch,
    Preview,
    Forecast,
    Record,
    History,
}

impl Operation {
    pub(crate) const ALL: [Self; 7] = [
        Self::Check,
        Self::Open,
        Self::Batch,
        Self::Preview,
        Self::Forecast,
        Self::Record,
        Self::History,
    ];

    /// Whether it asks each job something else of the database.
    pub(crate) fn is_of_the_job(self) -> bool {
        matches!(self, Self::Batch | Self::Preview | Self::Forecast)
    }

    /// That the history has the run once, if it was recorded, however often that was tried.
    pub(crate) async fn is_recorded_once(self, work: &JobSteps) -> bool {
        if self != Self::Record {
            return true;
        }
        let runs = work.history.runs(&work.job.name(), 10).await;
        let runs: Option<Vec<u64>> = runs
            .ok()
            .map(|runs| runs.iter().map(|run| run.runs).collect());
        runs == Some(vec![1])
    }

    /// Takes the step. Returns the rows a batch says it changed.
    pub(crate) async fn take(self, work: &JobSteps) -> Result<Vec<String>, JobError> {
        let JobSteps {
            job,
            history,
            request,
            record,
        } = work;
        match self {
            Self::Check => job.check().await?,
            Self::Open => drop(job.begin_run().await?),
            Self::Batch => return Ok(job.batch(request).await?.ids),
            Self::Preview => drop(job.preview(&Scope::All, &Page::default()).await?),
            Self::Forecast => drop(job.forecast(&[]).await?),
            Self::Record => history.record(std::slice::from_ref(record), 100).await?,
            Self::History => drop(history.runs(&job.name(), 10).await?),
        }
        Ok(Vec::new())
    }
}

/// A job over a store, and the arguments of its steps.
#[derive(Clone)]
pub(crate) struct JobSteps {
    pub(crate) job: Arc<dyn Job>,
    pub(crate) history: Arc<dyn RunHistory>,
    request: BatchRequest,
    record: RunRecord,
}

impl JobSteps {
    /// A batch takes all rows that are due.
    pub(crate) fn of<S: Store + RunHistory + Clone>(store: &S) -> Vec<Self> {
        let jobs = built_in(store.clone(), &BookingPolicy::default()).unwrap_or_default();
        jobs.into_iter()
            .map(|job| Self::new(job, Arc::new(store.clone())))
            .collect()
    }

    fn new(job: Arc<dyn Job>, history: Arc<dyn RunHistory>) -> Self {
        let now = Utc::now();
        Self {
            request: BatchRequest {
                scope: Scope::All,
                now,
                // Before the young rows and behind the old ones, for either rule.
                cutoff: now - chrono::TimeDelta::hours(30),
                limit: const { NonZeroU32::new(10).expect("ten") },
                after: None,
            },
            record: record(job.name()),
            job,
            history,
        }
    }
}

/// A run, as the history keeps it.
fn record(job: JobName) -> RunRecord {
    let run = serde_json::from_value(serde_json::json!(Uuid::new_v4()))
        .expect("a run is named by a UUID");
    RunRecord {
        key: format!("{job}/1"),
        runs: 1,
        report: Report {
            run,
            job,
            scope: Scope::All,
            trigger: Trigger::Manual,
            requested_by: Vec::new(),
            instance: None,
            outcome: Outcome::Completed,
            cutoff: None,
            started_at: DateTime::UNIX_EPOCH,
            elapsed: Duration::ZERO,
            batches: 1,
            counts: Counts::default(),
            ids: Vec::new(),
            more_ids: false,
            rejected: Vec::new(),
            rejected_count: 0,
            forecast: None,
        },
        recorded_at: None,
    }
}
