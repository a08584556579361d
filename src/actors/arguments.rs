//! What a housekeeper is started with.

use std::fmt;
use std::sync::Arc;

use ractor::SpawnErr;
use thiserror::Error;

use super::handle::HousekeeperRef;
use crate::config::{ConfigError, HousekeeperConfig};
use crate::job::{Job, JobName};
use crate::model::RunHistory;
use crate::time::{Clock, SystemClock};

/// What a housekeeper is started with.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::{HousekeeperArguments, SqliteStore};
/// use ractor_housekeeper::booking::{BookingPolicy, built_in};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStore::open("bookings.db").await?;
/// let arguments = HousekeeperArguments::new(built_in(store.clone(), &BookingPolicy::default())?).with_history(store);
/// # Ok(())
/// # }
/// ```
#[non_exhaustive]
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

impl fmt::Debug for HousekeeperArguments {
    /// Writes the config and the names of the jobs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs: Vec<_> = self.jobs.iter().map(|job| job.name()).collect();
        f.debug_struct("HousekeeperArguments")
            .field("config", &self.config)
            .field("jobs", &jobs)
            .field("history", &self.history.is_some())
            .finish_non_exhaustive()
    }
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

/// Why a housekeeper was not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A housekeeper of this name is running already. It goes on unchanged.
    #[error("the housekeeper {name} is already running")]
    AlreadyRunning {
        /// The name.
        name: String,
        /// The one that is running.
        housekeeper: HousekeeperRef,
    },
    /// Invalid setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two jobs have the same name.
    #[error("two jobs are named {job}; each needs a name of its own")]
    SameName {
        /// The name.
        job: JobName,
    },
    /// The name belongs to another kind of actor.
    #[error("the name {name:?} belongs to another actor of this process")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The actor system refused.
    #[error("could not spawn the housekeeper")]
    Spawn(#[source] Box<SpawnErr>),
}

impl StartError {
    /// Returns the housekeeper that is running already, so that a host can go on with it.
    ///
    /// # Errors
    ///
    /// The error itself, if it is another one.
    pub fn into_running(self) -> Result<HousekeeperRef, Self> {
        match self {
            Self::AlreadyRunning { housekeeper, .. } => Ok(housekeeper),
            other => Err(other),
        }
    }
}

/// Checks what a housekeeper is started with.
pub(crate) fn check(arguments: &HousekeeperArguments) -> Result<(), StartError> {
    let mut names: Vec<JobName> = Vec::new();
    for job in &arguments.jobs {
        let job = job.name();
        if names.contains(&job) {
            return Err(StartError::SameName { job });
        }
        names.push(job);
    }
    Ok(arguments.config.check(&names)?)
}
