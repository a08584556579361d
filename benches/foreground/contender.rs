//! Ways to work a backlog off.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ractor::call;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperConfig, HousekeeperMsg, Outcome, Scope, start,
};

use crate::support::Result;
use crate::support::database::Database;
use crate::support::timed::{Notes, Timed};
use crate::{Plan, rows};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Bookings,
    Sessions,
}

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
pub(crate) struct ClaimResult {
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
            Self::paced("batches of 10k", Pace::fixed(batch(10_000))),
            Self::paced("batches of 1k", Pace::fixed(batch(1_000))),
            Self::paced(POLITE, Pace::polite()),
            Self::paced("full speed", Pace::full_speed()),
        ]
    }

    /// Other paces than the presets.
    pub(crate) fn tried() -> Vec<Self> {
        let pace = |smallest: u32, largest: u32, target: u64, duty_percent: u8| Pace {
            min_batch: batch(smallest),
            max_batch: batch(largest),
            target: Duration::from_millis(target),
            duty_percent,
            ..Pace::polite()
        };
        vec![
            Self::of(IDLE, Way::Idle),
            Self::paced("100-300, 25 ms, 33 %", pace(100, 300, 25, 33)),
            Self::paced("100-500, 25 ms, 50 %", pace(100, 500, 25, 50)),
            Self::paced("100-1k, 50 ms, 25 %", pace(100, 1_000, 50, 25)),
            Self::paced("200-1k, 20 ms, 50 %", pace(200, 1_000, 20, 50)),
        ]
    }

    fn of(name: &'static str, way: Way) -> Self {
        Self { name, way }
    }

    fn paced(name: &'static str, pace: Pace) -> Self {
        Self::of(name, Way::Housekeeper(pace))
    }

    pub(crate) async fn sweep(
        &self,
        database: &mut Database,
        job: Job,
        plan: &Plan,
        frontier: &Frontier,
    ) -> Result<ClaimResult> {
        match &self.way {
            Way::Idle => {
                let began = Instant::now();
                tokio::time::sleep(plan.idle).await;
                Ok(ClaimResult::of(began, 0, Vec::new()))
            }
            Way::OneStatement => {
                let began = Instant::now();
                database
                    .execute(&rows::one_statement(database, job))
                    .await?;
                let took = began.elapsed().as_secs_f64() * 1_000.0;
                // A session goes with an image and a video record.
                let kinds = if job == Job::Sessions { 3 } else { 1 };
                Ok(ClaimResult::of(began, plan.rows / 5 * kinds, vec![took]))
            }
            Way::Housekeeper(pace) => housekeeper(database, job, pace, frontier).await,
        }
    }
}

async fn housekeeper(
    database: &Database,
    job: Job,
    pace: &Pace,
    frontier: &Frontier,
) -> Result<ClaimResult> {
    let store = database.store().await?;
    let (job, notes) = match job {
        Job::Bookings => Timed::over(BookingExpirer::new(store, Some(rows::AGE))?),
        Job::Sessions => Timed::over(SessionCleaner::new(store, Some(rows::AGE))?),
    };
    let name = ractor_housekeeper::Job::name(&*job);
    let mut config = HousekeeperConfig::default();
    config.job.schedule.at_start = false;
    config.job.schedule.at_deadline = false;
    config.job.pace = pace.clone();
    let arguments = HousekeeperArguments::new(vec![job]).with_config(config);
    let housekeeper = start(None, arguments).await?.housekeeper;

    frontier.follow(&notes);
    let began = Instant::now();
    let report = call!(housekeeper, HousekeeperMsg::RunNow, name, Scope::All)??;
    let done = notes.read();
    let swept = ClaimResult::of(began, done.rows, done.batches);
    call!(
        housekeeper,
        HousekeeperMsg::Shutdown,
        Duration::from_secs(5)
    )?;
    if report.outcome != Outcome::Completed {
        return Err(report.message().into());
    }
    Ok(swept)
}

impl ClaimResult {
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

const fn batch(rows: u32) -> NonZeroU32 {
    NonZeroU32::new(rows).expect("a batch has rows")
}

pub(crate) const IDLE: &str = "idle";
pub(crate) const POLITE: &str = "polite (default)";
