//! The settings of a housekeeper and its jobs, with their defaults.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::JobName;

mod bounds;
mod checking;
mod courier;
pub(crate) mod cron;
mod error;
mod pace;
mod reading;
mod schedule;

#[cfg(feature = "_store")]
pub(crate) use bounds::{HOUR, check_wait};
pub(crate) use bounds::{MAX_DURATION, check_age};
pub use courier::{CourierConfig, DeliveryOrder};
pub use cron::Cron;
pub use error::ConfigError;
pub use pace::Pace;
pub(crate) use reading::named;
pub use schedule::Schedule;

/// Timeout of a write to the history, so that a slow table does not delay the next run.
pub(crate) const MAX_HISTORY_WRITE: Duration = Duration::from_secs(2);

/// Settings of a housekeeper. Durations read and write as `15m`, `24h`, `1h 30m`; ISO 8601
/// durations such as `PT15M` read too. Months are `months`: `M` is rejected, because most people
/// mean minutes.
///
/// Unknown fields are errors, so a misspelt one is not ignored. An error of reading names the
/// setting by its path, in any format of serde. `start` checks the values and returns a
/// [`ConfigError`] for an invalid one.
///
/// # Examples
///
/// ```
/// let config: ractor_housekeeper::HousekeeperConfig = serde_json::from_str(
///     r#"{ "jobs": { "draft-sweeper": { "pace": { "max_batch": 200 } } } }"#,
/// )?;
///
/// assert_eq!(config.jobs[&"draft-sweeper".into()].pace.max_batch.get(), 200);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// ```
/// let wrong = r#"{ "job": { "pace": { "min_batch": 0 } } }"#;
/// let error = serde_json::from_str::<ractor_housekeeper::HousekeeperConfig>(wrong).unwrap_err();
///
/// assert!(error.to_string().starts_with("job.pace.min_batch: invalid value: integer `0`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HousekeeperConfig {
    /// Settings of every job that is not in `jobs`.
    pub job: JobConfig,
    /// Settings of single jobs, complete: a field left out has its default, not the value of `job`.
    pub jobs: BTreeMap<JobName, JobConfig>,
    /// Settings of every courier that has none of its own in `couriers`.
    pub courier: CourierConfig,
    /// Settings of single couriers by rule, whole as in `jobs`.
    pub couriers: BTreeMap<JobName, CourierConfig>,
    /// Restarts of a worker that crashed.
    pub restart: RestartConfig,
    /// Backoff between retries of a failed run.
    pub retry: BackoffConfig,
    /// Size of the run history.
    pub history: HistoryConfig,
}

/// Settings of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// When the job runs without being triggered by a message.
    pub schedule: Schedule,
    /// How much of the database the job uses. Default: [`Pace::polite`].
    pub pace: Pace,
    /// Timeout of a run. The remaining rows wait for the next run. `None`, the default: no timeout.
    #[serde(with = "crate::time::span::option")]
    pub run_timeout: Option<Duration>,
    /// Timeout of a step (check, batch, forecast), at most a day. A step that takes longer is
    /// dropped and fails. Default: 30 seconds.
    #[serde(with = "crate::time::span")]
    pub step_timeout: Duration,
    /// Timeout of a preview or a read of the history, with its wait for other reads; at most a day.
    /// Keep it below the timeout of the proxies in front of the page, mostly 60 seconds. Default:
    /// 10 seconds.
    #[serde(with = "crate::time::span")]
    pub read_timeout: Duration,
    /// A row overdue for this long, or a run this long behind its schedule, makes the job `Late`.
    /// Default: 1 minute.
    #[serde(with = "crate::time::span")]
    pub late_after: Duration,
    /// Longest leap ahead of the clock by which rows fall due, against the monotonic one. Beyond
    /// it, runs of a job that [cannot be undone](crate::Job::is_irreversible) fail until the clock
    /// has kept step for five minutes, until it is set right, or until
    /// [`ConfirmClock`](crate::HousekeeperMsg::ConfirmClock). Leaps of one day add up. At the start
    /// the clock is compared with the machine's. `None`: it is always trusted. Default: 1 hour.
    #[serde(with = "crate::time::span::option")]
    pub max_clock_leap: Option<Duration>,
    /// The address of the job's runbook, such as `https://wiki.example/cleaner`. The page links to
    /// it, and the status carries it. Default: `None`.
    pub runbook: Option<String>,
    /// Maximum number of ids in a report. Default: 100.
    pub max_reported_ids: u32,
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            pace: Pace::default(),
            run_timeout: None,
            step_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(10),
            late_after: Duration::from_secs(60),
            max_clock_leap: Some(Duration::from_secs(60 * 60)),
            runbook: None,
            max_reported_ids: 100,
        }
    }
}

/// Restarts of a worker that crashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartConfig {
    /// Maximum number of crashes within `within`. One more, and `on_limit` applies. Default: 5.
    pub max_restarts: u32,
    /// The sliding window in which crashes count. Default: 1 minute.
    #[serde(with = "crate::time::span")]
    pub within: Duration,
    /// Backoff before a restart. Default: 100 ms, doubling to 10 seconds.
    pub backoff: BackoffConfig,
    /// The reaction beyond `max_restarts`. Default: the job is degraded.
    pub on_limit: OnRestartLimit,
    /// Time until a degraded job gets another attempt. Default: 5 minutes.
    #[serde(with = "crate::time::span")]
    pub cool_down: Duration,
}

impl Default for RestartConfig {
    /// Five restarts in a minute, 100 ms to 10 s apart, then a cool-down of five minutes.
    fn default() -> Self {
        Self {
            max_restarts: 5,
            within: Duration::from_secs(60),
            backoff: BackoffConfig {
                first: Duration::from_millis(100),
                max: Duration::from_secs(10),
            },
            on_limit: OnRestartLimit::Degrade,
            cool_down: Duration::from_secs(5 * 60),
        }
    }
}

/// The reaction to a worker that crashes too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRestartLimit {
    /// The job is `Degraded` and gets another attempt after the cool-down. Other jobs continue.
    #[default]
    Degrade,
    /// The housekeeper stops with an error that its own supervisor receives.
    Escalate,
}

/// A backoff that doubles with each attempt, with jitter: the wait is drawn between half and all of
/// the doubled value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// The first wait.
    #[serde(with = "crate::time::span")]
    pub first: Duration,
    /// The maximum wait.
    #[serde(with = "crate::time::span")]
    pub max: Duration,
}

impl Default for BackoffConfig {
    /// One second, doubling to a minute.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            max: Duration::from_secs(60),
        }
    }
}

/// Size of the run history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryConfig {
    /// Runs kept in the database per job. Default: 1,000.
    pub runs: NonZeroU32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            runs: const { NonZeroU32::new(1_000).expect("1000 is not zero") },
        }
    }
}
