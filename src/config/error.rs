//! An invalid setting.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    /// The path of the setting: `jobs.draft-sweeper.schedule.every`.
    pub setting: String,
    /// The problem, and a valid value.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(setting: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            problem: problem.into(),
        }
    }
}
