//! Ways to work a backlog off.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ractor_housekeeper::config::Pace;
use ractor_housekeeper::{HousekeeperRef, Outcome, Scope};

use crate::support::Result;
use crate::support::database::Database;
use crate::support::job::{Job, start_manual};
use crate::support::timed::{Notes, Timed};
use crate::{Plan, rows};

pub(crate) struct Contender {
    pub(crate) name: &'static str,
    way: Way,
}

enum Way {
    Idle,
    OneStatement,
    Housekeeper(Pace),
}

/// When a sweep ran, and what it did.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) rows: u64,
    /// Milliseconds of each transaction.
    pub(crate) batches: Vec<f64>,
}

/// How far a sweep is, as far as it can be seen from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frontier {
    notes: Arc<Mutex<Option<Notes>>>,
    passed: Arc<AtomicU64>,
}

impl Contender {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self::of(IDLE, Way::Idle),
            Self::of("one statement", Way::OneStatement),
            Self::paced("batches of 1k", Pace::fixed(batch(1_000))),
            Self::paced("200 rows, 30 %", sized(200, 30)),
            Self::paced(POLITE, Pace::polite()),
            Self::paced("full speed", Pace::full_speed()),
        ]
    }

    /// Other paces than the presets.
    pub(crate) fn tried() -> Vec<Self> {
        vec![
            Self::of(IDLE, Way::Idle),
            Self::of("idle again", Way::Idle),
            Self::paced("200 rows, 10 %", sized(200, 10)),
            Self::paced("50 rows, 15 %", sized(50, 15)),
            Self::paced("50 rows, 30 %", sized(50, 30)),
            Self::paced("25 rows, 30 %", sized(25, 30)),
            Self::paced(POLITE, Pace::polite()),
        ]
    }

    fn of(name: &'static str, way: Way) -> Self {
        Self { name, way }
    }

    fn paced(name: &'static str, pace: Pace) -> Self {
        Self::of(name, Way::Housekeeper(pace))
    }

    /// Starts a housekeeper, and lets it learn how fast an idle database is: it runs all the time.
    pub(crate) async fn prepare(&self, database: &mut Database, job: Job) -> Result<Ready> {
        let Way::Housekeeper(pace) = &self.way else {
            return Ok(None);
        };
        rows::fill(database, job, LEARNED_FROM).await?;
        let store = database.store().await?;
        let (timed, notes) = Timed::over(job.over(store)?);
        let housekeeper = start_manual(timed, pace.clone()).await?;
        run(&housekeeper, job).await?;
        Ok(Some((housekeeper, notes)))
    }

    pub(crate) async fn sweep(
        &self,
        database: &mut Database,
        job: Job,
        plan: &Plan,
        ready: Ready,
        frontier: &Frontier,
    ) -> Result<Sweep> {
        if let Some((housekeeper, notes)) = ready {
            notes.clear();
            frontier.follow(&notes);
            let began = Instant::now();
            run(&housekeeper, job).await?;
            let done = notes.read();
            let swept = Sweep::of(began, done.rows, done.batches);
            housekeeper.shutdown(Duration::from_secs(5)).await;
            return Ok(swept);
        }
        let began = Instant::now();
        if let Way::OneStatement = self.way {
            database.execute(&job.one_statement(database)).await?;
            let took = began.elapsed().as_secs_f64() * 1_000.0;
            // A session goes with an image and a video record.
            let kinds = if job == Job::Sessions { 3 } else { 1 };
            return Ok(Sweep::of(began, plan.rows / 5 * kinds, vec![took]));
        }
        tokio::time::sleep(plan.idle).await;
        Ok(Sweep::of(began, 0, Vec::new()))
    }
}

async fn run(housekeeper: &HousekeeperRef, job: Job) -> Result<()> {
    let report = housekeeper.run_now(job.name(), Scope::All).await?;
    match report.outcome {
        Outcome::Completed => Ok(()),
        _ => Err(report.message().into()),
    }
}

/// A housekeeper that has run, and what its batches did.
pub(crate) type Ready = Option<(HousekeeperRef, Notes)>;

impl Sweep {
    fn of(began: Instant, rows: u64, batches: Vec<f64>) -> Self {
        Self {
            began,
            ended: Instant::now(),
            rows,
            batches,
        }
    }

    /// Rows a second.
    #[expect(clippy::cast_precision_loss, reason = "a few million rows at most")]
    pub(crate) fn speed(&self) -> f64 {
        self.rows as f64 / (self.ended - self.began).as_secs_f64()
    }
}

impl Frontier {
    /// The place of the next row to be swept; `None` where that cannot be known.
    pub(crate) fn place(&self) -> Option<u64> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let swept = notes.as_ref()?.rows();
        Some(swept + self.passed.load(Ordering::Relaxed))
    }

    /// Rows that clients took out of the sweep's way.
    pub(crate) fn passed(&self, rows: u64) {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.is_some() {
            self.passed.fetch_add(rows, Ordering::Relaxed);
        }
    }

    fn follow(&self, notes: &Notes) {
        let mut followed = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        *followed = Some(notes.clone());
    }
}

/// Batches of one size, at work for a fixed share of the time. Of 200 rows and 30 percent was the
/// default pace before it followed the load of others.
fn sized(rows: u32, percent: u8) -> Pace {
    Pace {
        min_batch: batch(rows),
        max_batch: batch(rows),
        duty_percent: percent,
        min_duty_percent: percent,
        min_pause: Duration::from_millis(1),
        ..Pace::polite()
    }
}

const fn batch(rows: u32) -> NonZeroU32 {
    NonZeroU32::new(rows).expect("a batch has rows")
}

/// Rows of the first run, a fifth of them due.
const LEARNED_FROM: u64 = 20_000;

pub(crate) const IDLE: &str = "idle";
pub(crate) const POLITE: &str = "polite (default)";
