//! The settings of a housekeeper and its jobs, with their defaults.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::JobName;

mod checking;
pub(crate) mod cron;
mod error;
mod pace;
mod reading;
mod schedule;

#[cfg(feature = "_store")]
pub(crate) use checking::{HOUR, check_wait};
pub(crate) use checking::{MAX_DURATION, check_age};
pub use cron::Cron;
pub use error::ConfigError;
pub use pace::Pace;
pub(crate) use reading::named;
pub use schedule::Schedule;

/// Longest write of the history. The table must not keep the next run from being on time.
pub(crate) const MAX_HISTORY_WRITE: Duration = Duration::from_secs(2);

/// Settings of a housekeeper. Durations read and write as `15m`, `24h`, `1h 30m`; ISO 8601 durations
/// such as `PT15M` read too. Months are `months`: `M` is rejected, because most people mean minutes.
///
/// A field that is not known is refused, so that a misspelt one is not ignored in silence. What
/// cannot be read is named by its path, in any format that serde knows; what can be read but cannot
/// be is named by a [`ConfigError`] at the start.
///
/// # Examples
///
/// ```
/// let config: ractor_housekeeper::HousekeeperConfig = serde_json::from_str(
///     r#"{ "jobs": { "draft-sweeper": { "schedule": { "every": "5m" }, "pace": { "max_batch": 200 } } } }"#,
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
/// assert!(error.to_string().starts_with("job.pace.min_batch: invalid value: integer `0`, expected a nonzero u32"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct HousekeeperConfig {
    /// Settings of every job that has none of its own in `jobs`.
    pub job: JobConfig,
    /// Settings of single jobs, whole: a field left out has its default, not the value of `job`.
    pub jobs: BTreeMap<JobName, JobConfig>,
    /// When a worker that died is started again.
    pub restart: RestartConfig,
    /// When a run that failed is tried again.
    pub retry: BackoffConfig,
    /// How much is kept of the past.
    pub history: HistoryConfig,
}

/// Settings of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobConfig {
    /// When it runs by itself.
    pub schedule: Schedule,
    /// How much of the database it takes. Default: [`Pace::polite`].
    pub pace: Pace,
    /// Longest run. What is left waits for the next one. `None`: no limit, the default.
    #[serde(with = "crate::time::span::option")]
    pub run_timeout: Option<Duration>,
    /// Longest single step (check, batch, forecast). A step that takes longer is dropped and fails.
    /// At most a day. Default: 30 seconds.
    #[serde(with = "crate::time::span")]
    pub step_timeout: Duration,
    /// Longest preview or read of the history, its wait for other reads included. Keep it below the
    /// timeout of the proxies in front of the page, which is 60 seconds for most. At most a day.
    /// Default: 10 seconds.
    #[serde(with = "crate::time::span")]
    pub read_timeout: Duration,
    /// A row this long overdue, or a run this long past its time, makes the job `Late`. Default: 1
    /// minute.
    #[serde(with = "crate::time::span")]
    pub late_after: Duration,
    /// Ids a report keeps. Default: 100.
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
            max_reported_ids: 100,
        }
    }
}

/// When a worker that died is started again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartConfig {
    /// Restart intensity: more deaths than this within `within`, and the job is given up for now.
    /// Default: 5.
    pub max_restarts: u32,
    /// The sliding window of the intensity. Default: 1 minute.
    #[serde(with = "crate::time::span")]
    pub within: Duration,
    /// Wait before a restart. Default: 100 ms, doubling to 10 seconds.
    pub backoff: BackoffConfig,
    /// What happens beyond the intensity.
    pub on_limit: OnRestartLimit,
    /// How long a degraded job rests before it is tried again. Default: 5 minutes.
    #[serde(with = "crate::time::span")]
    pub cool_down: Duration,
}

impl Default for RestartConfig {
    /// Five restarts in a minute, 100 ms to 10 s apart, then a rest of five minutes.
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

/// What happens to a job whose worker dies too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRestartLimit {
    /// The job is `Degraded` and tried again after the cool-down. Its siblings go on.
    #[default]
    Degrade,
    /// The housekeeper stops with an error that its own supervisor sees.
    Escalate,
}

/// A wait that doubles with each attempt, with jitter: the wait is drawn between half and all of
/// the doubled value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackoffConfig {
    /// The first wait.
    #[serde(with = "crate::time::span")]
    pub first: Duration,
    /// The longest wait.
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

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryConfig {
    /// Runs kept in the database, for each job. Default: 1,000.
    pub runs: NonZeroU32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            runs: const { NonZeroU32::new(1_000).expect("1000 is not zero") },
        }
    }
}
