//! A job that notes what its batches took.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use ractor_housekeeper::job::{
    Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
};
use ractor_housekeeper::{Job, JobName, Scope};

/// Hands everything on to the job within.
pub(crate) struct Timed {
    job: Arc<dyn Job>,
    notes: Notes,
}

/// What was noted so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Noted>>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Noted {
    /// How often the job went to the database.
    pub(crate) steps: u32,
    /// Milliseconds of each batch, from the wish for a connection to the commit.
    pub(crate) batches: Vec<f64>,
    /// Rows changed, of all kinds.
    pub(crate) rows: u64,
}

impl Timed {
    pub(crate) fn new(job: impl Job) -> (Arc<Self>, Notes) {
        let (job, notes) = (Arc::new(job), Notes::default());
        let timed = Self {
            job,
            notes: notes.clone(),
        };
        (Arc::new(timed), notes)
    }
}

impl Notes {
    pub(crate) fn read(&self) -> Noted {
        self.with(|noted| noted.clone())
    }

    pub(crate) fn rows(&self) -> u64 {
        self.with(|noted| noted.rows)
    }

    fn step(&self) {
        self.with(|noted| noted.steps += 1);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Noted) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Job for Timed {
    fn name(&self) -> JobName {
        self.job.name()
    }

    fn is_enabled(&self) -> bool {
        self.job.is_enabled()
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        self.job.check_scope(scope)
    }

    async fn check(&self) -> Result<(), JobError> {
        self.notes.step();
        self.job.check().await
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        self.notes.step();
        self.job.begin_run().await
    }

    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
        self.notes.step();
        let began = Instant::now();
        let batch = self.job.batch(pass).await?;
        let took = began.elapsed().as_secs_f64() * 1_000.0;
        self.notes.with(|noted| {
            noted.batches.push(took);
            noted.rows += batch.counts.total();
        });
        Ok(batch)
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        self.job.preview(scope, page).await
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        self.notes.step();
        self.job.forecast(rejected).await
    }
}
