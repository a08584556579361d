//! The arguments of a housekeeper.

use std::fmt;
use std::sync::Arc;

use ractor::SpawnErr;
use thiserror::Error;

use super::destination::Destination;
use super::handle::HousekeeperRef;
use crate::config::{ConfigError, HousekeeperConfig};
use crate::job::{Job, JobName};
use crate::model::{Outbox, RunHistory};
use crate::time::{Clock, SystemClock};

/// The arguments of a housekeeper.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::{HousekeeperArguments, SqliteStore};
/// use ractor_housekeeper::booking::{BookingPolicy, built_in};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqliteStore::open("bookings.db").await?;
/// let jobs = built_in(store.clone(), &BookingPolicy::default())?;
/// let arguments = HousekeeperArguments::new(jobs).with_history(store);
/// # Ok(())
/// # }
/// ```
#[non_exhaustive]
pub struct HousekeeperArguments {
    /// The settings.
    pub config: HousekeeperConfig,
    /// The jobs, with distinct names.
    pub jobs: Vec<Arc<dyn Job>>,
    /// The couriers, one for each rule whose entries in the outbox this process delivers.
    pub couriers: Vec<CourierOf>,
    /// The store of past runs; `None` keeps them in memory only.
    pub history: Option<Arc<dyn RunHistory>>,
    /// The name of this instance among its replicas, for the status, reports and the history;
    /// `None` for eight random digits.
    pub instance: Option<String>,
    /// The wall clock, which tests replace.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for HousekeeperArguments {
    /// Writes the config and the names of the jobs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs: Vec<_> = self.jobs.iter().map(|job| job.name()).collect();
        f.debug_struct("HousekeeperArguments")
            .field("config", &self.config)
            .field("jobs", &jobs)
            .field("couriers", &self.couriers)
            .field("history", &self.history.is_some())
            .finish_non_exhaustive()
    }
}

impl HousekeeperArguments {
    /// Creates arguments with default settings, the machine's clock, and a history in memory only.
    #[must_use]
    pub fn new(jobs: Vec<Arc<dyn Job>>) -> Self {
        Self {
            config: HousekeeperConfig::default(),
            jobs,
            couriers: Vec::new(),
            history: None,
            instance: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the settings.
    #[must_use]
    pub fn with_config(self, config: HousekeeperConfig) -> Self {
        Self { config, ..self }
    }

    /// Adds a job.
    #[must_use]
    pub fn with_job(mut self, job: impl Job) -> Self {
        self.jobs.push(Arc::new(job));
        self
    }

    /// With a courier that delivers what a rule hands on to the outbox. `outbox` is the store that
    /// the rule writes to. The rule may run in another process.
    #[must_use]
    pub fn with_courier(
        mut self,
        rule: impl Into<JobName>,
        outbox: impl Outbox,
        destination: Destination,
    ) -> Self {
        self.couriers.push(CourierOf {
            rule: rule.into(),
            outbox: Arc::new(outbox),
            destination,
        });
        self
    }

    /// Sets the store of past runs.
    #[must_use]
    pub fn with_history(self, history: impl RunHistory) -> Self {
        Self {
            history: Some(Arc::new(history)),
            ..self
        }
    }

    /// Names this instance among its replicas, such as by its host or pod.
    #[must_use]
    pub fn with_instance(self, name: impl Into<String>) -> Self {
        Self {
            instance: Some(name.into()),
            ..self
        }
    }

    /// Sets the wall clock.
    #[must_use]
    pub fn with_clock(self, clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            ..self
        }
    }
}

/// The delivery of what one rule hands on.
#[derive(Clone)]
pub struct CourierOf {
    /// The rule.
    pub rule: JobName,
    /// The store that the rule writes to.
    pub outbox: Arc<dyn Outbox>,
    /// The receiver.
    pub destination: Destination,
}

impl fmt::Debug for CourierOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CourierOf")
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}

/// The reason why a housekeeper did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A housekeeper of this name is already running. It continues unchanged.
    #[error("the housekeeper {name} is already running")]
    AlreadyRunning {
        /// The name.
        name: String,
        /// The running housekeeper.
        housekeeper: HousekeeperRef,
    },
    /// Invalid setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Two jobs have the same name.
    #[error("two jobs are named {job}; give each a distinct name")]
    SameName {
        /// The name.
        job: JobName,
    },
    /// Two couriers deliver the entries of one rule.
    #[error("two couriers are given for {rule}; each rule needs one")]
    SameCourier {
        /// The rule.
        rule: JobName,
    },
    /// The name belongs to another kind of actor.
    #[error("the name {name:?} belongs to another actor of this process")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// ractor failed to spawn the actor.
    #[error("could not spawn the housekeeper")]
    Spawn(#[source] Box<SpawnErr>),
}

impl StartError {
    /// Returns the running housekeeper of [`StartError::AlreadyRunning`].
    ///
    /// # Errors
    ///
    /// Returns any other error unchanged.
    pub fn into_running(self) -> Result<HousekeeperRef, Self> {
        match self {
            Self::AlreadyRunning { housekeeper, .. } => Ok(housekeeper),
            other => Err(other),
        }
    }
}

/// Checks names and settings.
pub(crate) fn check(arguments: &HousekeeperArguments) -> Result<(), StartError> {
    let mut names: Vec<JobName> = Vec::new();
    for job in &arguments.jobs {
        let job = job.name();
        if names.contains(&job) {
            return Err(StartError::SameName { job });
        }
        names.push(job);
    }
    let mut rules: Vec<JobName> = Vec::new();
    for CourierOf { rule, .. } in &arguments.couriers {
        if rules.contains(rule) {
            let rule = rule.clone();
            return Err(StartError::SameCourier { rule });
        }
        rules.push(rule.clone());
    }
    arguments.config.check_couriers(&rules)?;
    Ok(arguments.config.check(&names)?)
}
