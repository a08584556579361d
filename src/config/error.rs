//! An invalid setting.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{setting} {problem}")]
pub struct ConfigError {
    /// The setting, as it is written: `jobs.draft-sweeper.schedule.every`.
    pub setting: String,
    /// What is wrong with it, and what would be right.
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
