//! What a housekeeper is started with.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::config::HousekeeperConfig;
use crate::job::Job;
use crate::store::RunHistory;

/// What a housekeeper is started with.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::{Ages, HousekeeperArguments, SqliteStore, built_in};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStore::open("bookings.db").await?;
/// let arguments = HousekeeperArguments::new(built_in(store.clone(), &Ages::default())?).with_history(store);
/// # Ok(())
/// # }
/// ```
pub struct HousekeeperArguments {
    /// Settings.
    pub config: HousekeeperConfig,
    /// The jobs, each with a name of its own.
    pub jobs: Vec<Arc<dyn Job>>,
    /// Where runs are kept; `None` keeps them in memory only.
    pub history: Option<Arc<dyn RunHistory>>,
    /// The wall clock. Tests hand in their own.
    pub clock: Arc<dyn Clock>,
}

impl HousekeeperArguments {
    /// These jobs with default settings, the machine's clock, and no history beyond memory.
    #[must_use]
    pub fn new(jobs: Vec<Arc<dyn Job>>) -> Self {
        Self {
            config: HousekeeperConfig::default(),
            jobs,
            history: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// With these settings.
    #[must_use]
    pub fn with_config(self, config: HousekeeperConfig) -> Self {
        Self { config, ..self }
    }

    /// With one more job.
    #[must_use]
    pub fn with_job(mut self, job: impl Job) -> Self {
        self.jobs.push(Arc::new(job));
        self
    }

    /// With runs kept in this store.
    #[must_use]
    pub fn with_history(self, history: impl RunHistory) -> Self {
        Self {
            history: Some(Arc::new(history)),
            ..self
        }
    }

    /// With this clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            ..self
        }
    }
}
