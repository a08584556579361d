//! A job that notes what its batches took.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use ractor_housekeeper::Job;
use ractor_housekeeper::job::JobError;
use ractor_housekeeper::testing::{Answer, Call, FaultyJob, JobHook, Step};

/// Notes the steps of a job and the duration of its batches.
pub(crate) struct Timed {
    notes: Notes,
    began: Mutex<Option<Instant>>,
}

/// Samples so far.
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
    pub(crate) fn over(job: Arc<dyn Job>) -> (Arc<dyn Job>, Notes) {
        let notes = Notes::default();
        let timed = Self {
            notes: notes.clone(),
            began: Mutex::default(),
        };
        (Arc::new(FaultyJob::with_hook(job, timed)), notes)
    }

    fn began(&self) -> MutexGuard<'_, Option<Instant>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    pub(crate) fn read(&self) -> Noted {
        self.with(|noted| noted.clone())
    }

    pub(crate) fn clear(&self) {
        self.with(|noted| *noted = Noted::default());
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
impl JobHook for Timed {
    async fn before(&self, call: &Call<'_>) -> Result<(), JobError> {
        if call.step() != Step::Preview {
            self.notes.step();
        }
        // A job runs one batch at a time.
        if call.step() == Step::Batch {
            *self.began() = Some(Instant::now());
        }
        Ok(())
    }

    async fn after(&self, _: &Call<'_>, answer: &Answer<'_>) -> Result<(), JobError> {
        if let (Answer::Batch(batch), Some(began)) = (answer, self.began().take()) {
            let took = began.elapsed().as_secs_f64() * 1_000.0;
            self.notes.with(|noted| {
                noted.batches.push(took);
                noted.rows += batch.counts.total();
            });
        }
        Ok(())
    }
}
