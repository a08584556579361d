//! Settings are checked once, on the way in.

use std::time::Duration;

use chrono::TimeDelta;

use super::{BackoffConfig, ConfigError, HousekeeperConfig, JobConfig, Schedule};
use crate::job::JobName;

impl HousekeeperConfig {
    /// The settings of one job.
    #[must_use]
    pub fn of(&self, job: &JobName) -> &JobConfig {
        self.jobs.get(job).unwrap_or(&self.job)
    }

    /// Checks every value, and that each job named is one of `known`.
    pub fn check(&self, known: &[JobName]) -> Result<(), ConfigError> {
        self.job.check("job")?;
        for (name, job) in &self.jobs {
            if !known.contains(name) {
                let known: Vec<&str> = known.iter().map(JobName::as_str).collect();
                return Err(ConfigError::new(
                    format!("jobs.{name}"),
                    format!(
                        "is no job of this housekeeper, which has {}",
                        known.join(", ")
                    ),
                ));
            }
            job.check(&format!("jobs.{name}"))?;
        }
        self.restart.backoff.check("restart.backoff")?;
        check_span("restart.within", self.restart.within)?;
        check_span("restart.cool_down", self.restart.cool_down)?;
        self.retry.check("retry")
    }
}

impl JobConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        self.schedule.check(&format!("{path}.schedule"))?;
        check_pause(&format!("{path}.batch_pause"), self.batch_pause)?;
        check_span(&format!("{path}.step_limit"), self.step_limit)?;
        check_span(&format!("{path}.late_after"), self.late_after)?;
        if let Some(limit) = self.run_limit {
            check_span(&format!("{path}.run_limit"), limit)?;
        }
        Ok(())
    }
}

impl Schedule {
    /// Checks every value; `path` is how the setting is named in the error.
    pub(crate) fn check(&self, path: &str) -> Result<(), ConfigError> {
        if let Some(every) = self.every {
            check_span(&format!("{path}.every"), every)?;
        }
        check_pause(&format!("{path}.start_jitter"), self.start_jitter)?;
        check_span(&format!("{path}.resolution"), self.resolution)?;
        Ok(())
    }
}

impl BackoffConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        check_span(&format!("{path}.first"), self.first)?;
        check_span(&format!("{path}.longest"), self.longest)?;
        if self.first > self.longest {
            return Err(ConfigError::new(
                format!("{path}.first"),
                "is longer than the longest wait",
            ));
        }
        Ok(())
    }
}

/// Checks the age of a rule, such as `expire_after`. `None` is off and always right.
pub(crate) fn check_age(
    setting: &str,
    age: Option<Duration>,
) -> Result<Option<TimeDelta>, ConfigError> {
    age.map(|age| check_span(setting, age)).transpose()
}

/// A span of time that must be more than nothing and fit the calendar.
fn check_span(setting: &str, span: Duration) -> Result<TimeDelta, ConfigError> {
    if span.is_zero() {
        return Err(ConfigError::new(
            setting,
            "is zero; give a time such as \"15m\", or leave an optional setting unset to switch it off",
        ));
    }
    if span < SHORTEST {
        return Err(ConfigError::new(
            setting,
            format!(
                "is {}; the shortest is 1ms",
                humantime::format_duration(span)
            ),
        ));
    }
    check_pause(setting, span)
}

/// A span of time that may be nothing but must fit the calendar.
fn check_pause(setting: &str, span: Duration) -> Result<TimeDelta, ConfigError> {
    match TimeDelta::from_std(span) {
        Ok(delta) if span <= LONGEST => Ok(delta),
        _ => Err(ConfigError::new(
            setting,
            format!(
                "is {}; the longest is 100 years",
                humantime::format_duration(span)
            ),
        )),
    }
}

/// Timers count in milliseconds.
const SHORTEST: Duration = Duration::from_millis(1);

/// Far beyond any use, and safely within what can be taken from and added to a date.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
