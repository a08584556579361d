//! Checks settings once, on the way in.

use std::time::Duration;

use super::bounds::{HOUR, at_most, check_duration, check_pause, check_wait};
use super::{BackoffConfig, ConfigError, CourierConfig, HousekeeperConfig, JobConfig, Schedule};
use crate::config::Pace;
use crate::config::cron::{Calendar, Cron, CronError};
use crate::fmt::is_unseen;
use crate::job::JobName;

impl HousekeeperConfig {
    /// Returns the settings of a job: its own, or else the common ones.
    #[must_use]
    pub fn for_job(&self, job: &JobName) -> &JobConfig {
        self.jobs.get(job).unwrap_or(&self.job)
    }

    /// Checks every value.
    ///
    /// # Errors
    ///
    /// Fails on the first value that is out of bounds, and on settings of a job that is not in
    /// `known`.
    pub fn check(&self, known: &[JobName]) -> Result<(), ConfigError> {
        for name in known {
            check_name(name.as_str())?;
        }
        self.job.check("job")?;
        for (name, job) in &self.jobs {
            if !known.contains(name) {
                let known: Vec<&str> = known.iter().map(JobName::as_str).collect();
                return Err(ConfigError::new(
                    format!("jobs.{}", name.as_str().escape_debug()),
                    format!(
                        "is no job of this housekeeper, which has {}",
                        known.join(", ")
                    ),
                ));
            }
            job.check(&format!("jobs.{name}"))?;
        }
        self.restart.backoff.check("restart.backoff")?;
        check_duration("restart.within", self.restart.within)?;
        check_duration("restart.cool_down", self.restart.cool_down)?;
        self.retry.check("retry")
    }
}

impl HousekeeperConfig {
    /// Returns the settings of a courier: its own, or else the common ones.
    #[must_use]
    pub fn for_courier(&self, rule: &JobName) -> &CourierConfig {
        self.couriers.get(rule).unwrap_or(&self.courier)
    }

    /// Checks the settings of couriers, and that each one named is one of `known`.
    pub(crate) fn check_couriers(&self, known: &[JobName]) -> Result<(), ConfigError> {
        for name in known {
            check_name(name.as_str())?;
        }
        self.courier.check("courier")?;
        for (name, courier) in &self.couriers {
            let path = format!("couriers.{}", name.as_str().escape_debug());
            if !known.contains(name) {
                let known: Vec<&str> = known.iter().map(JobName::as_str).collect();
                let problem = format!(
                    "is no courier of this housekeeper, which has {}",
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    }
                );
                return Err(ConfigError::new(path, problem));
            }
            courier.check(&path)?;
        }
        Ok(())
    }
}

impl CourierConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        check_wait(&format!("{path}.answer_timeout"), self.answer_timeout, DAY)?;
        check_wait(&format!("{path}.poll_interval"), self.poll_interval, DAY)?;
        check_duration(&format!("{path}.late_after"), self.late_after)?;
        self.backoff.check(&format!("{path}.backoff"))
    }
}

impl JobConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        self.schedule.check(&format!("{path}.schedule"))?;
        self.pace.check(&format!("{path}.pace"))?;
        check_wait(&format!("{path}.step_timeout"), self.step_timeout, DAY)?;
        check_wait(&format!("{path}.read_timeout"), self.read_timeout, DAY)?;
        check_duration(&format!("{path}.late_after"), self.late_after)?;
        if let Some(runbook) = &self.runbook {
            let is_web = ["https://", "http://"]
                .iter()
                .any(|start| runbook.starts_with(start));
            let is_plain = !runbook.chars().any(|c| c.is_whitespace() || c.is_control());
            if !(is_web && is_plain) {
                let path = format!("{path}.runbook");
                let problem = "is no address; give one such as \"https://wiki.example/cleaner\"";
                return Err(ConfigError::new(path, problem));
            }
        }
        if let Some(limit) = self.run_timeout {
            check_duration(&format!("{path}.run_timeout"), limit)?;
        }
        if let Some(leap) = self.max_clock_leap {
            check_duration(&format!("{path}.max_clock_leap"), leap)?;
        }
        Ok(())
    }
}

impl Pace {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        let wrong =
            |field: &str, problem: &str| Err(ConfigError::new(format!("{path}.{field}"), problem));
        check_wait(&format!("{path}.target"), self.target, MINUTE)?;
        at_most(&format!("{path}.min_pause"), self.min_pause, HOUR)?;
        at_most(&format!("{path}.max_pause"), self.max_pause, HOUR)?;
        if self.min_pause > self.max_pause {
            return wrong("min_pause", "is longer than max_pause");
        }
        if self.min_batch > self.max_batch {
            let problem = format!(
                "is {}, which is larger than max_batch, {}",
                self.min_batch, self.max_batch
            );
            return wrong("min_batch", &problem);
        }
        for (field, percent) in [
            ("duty_percent", self.duty_percent),
            ("min_duty_percent", self.min_duty_percent),
        ] {
            if !(1..=100).contains(&percent) {
                let problem = format!("is {percent}; give a percentage from 1 to 100");
                return wrong(field, &problem);
            }
        }
        if let Some(cron) = &self.finish_by {
            check_cron(&format!("{path}.finish_by"), cron)?;
        }
        Ok(())
    }
}

impl Schedule {
    /// Checks every value. Errors name the setting with `path` in front.
    pub(crate) fn check(&self, path: &str) -> Result<(), ConfigError> {
        if let Some(every) = self.every {
            check_duration(&format!("{path}.every"), every)?;
        }
        if let Some(cron) = &self.cron {
            let setting = format!("{path}.cron");
            if self.every.is_some() {
                return Err(ConfigError::new(
                    setting,
                    "is set beside `every`, but a job ticks by one of them; give `every` as null to tick by cron, or leave `cron` out",
                ));
            }
            check_cron(&setting, cron)?;
        }
        check_pause(&format!("{path}.start_jitter"), self.start_jitter)?;
        check_duration(&format!("{path}.min_interval"), self.min_interval)?;
        Ok(())
    }
}

impl BackoffConfig {
    fn check(&self, path: &str) -> Result<(), ConfigError> {
        check_duration(&format!("{path}.first"), self.first)?;
        check_duration(&format!("{path}.max"), self.max)?;
        if self.first > self.max {
            return Err(ConfigError::new(
                format!("{path}.first"),
                "is longer than max",
            ));
        }
        Ok(())
    }
}

/// Checks the name of a job. It appears in logs, tables and the database, and Postgres stores no
/// NUL.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let length = name.chars().count();
    let problem = if name.trim().is_empty() {
        "is empty".to_owned()
    } else if name.contains(is_unseen) {
        "contains a control or invisible character".to_owned()
    } else if matches!(name, "." | "..") {
        // Browsers take these, also percent-encoded, for the folder and the one above.
        "cannot be part of a link".to_owned()
    } else if length > MAX_NAME {
        format!("has {length} characters, more than {MAX_NAME}")
    } else {
        return Ok(());
    };
    Err(ConfigError::new(
        format!("the name of a job, {name:?},"),
        format!("{problem}; give one such as \"draft-sweeper\""),
    ))
}

/// Checks an expression and its zone. Without the feature `cron`, every expression is an error.
fn check_cron(setting: &str, cron: &Cron) -> Result<(), ConfigError> {
    let wrong = |CronError { field, problem }| {
        let setting = match field {
            "" => setting.to_owned(),
            field => format!("{setting}.{field}"),
        };
        ConfigError::new(setting, problem)
    };
    Calendar::new(cron).map(drop).map_err(wrong)
}

/// Maximum characters of a name, which is a column of the status.
const MAX_NAME: usize = 200;

/// Maximum target of a transaction, which keeps its rows locked.
const MINUTE: Duration = Duration::from_secs(60);

/// Maximum timeout of a step.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
