//! How long a database step may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, HOUR, check_wait};

/// The longest waits of one database step. Beyond them the step fails and is retried later; nothing
/// is half done. Each is at most an hour.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::store::Timeouts;
///
/// let timeouts: Timeouts = serde_json::from_str(r#"{ "lock": "200ms" }"#)?;
///
/// assert_eq!(timeouts.acquire.as_secs(), 5);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Longest wait for a connection, including opening one. A pool the host hands in may have a
    /// shorter limit of its own.
    #[serde(with = "crate::time::span")]
    pub acquire: Duration,
    /// Longest wait for a lock. On SQLite, the busy timeout of our own connections.
    #[serde(with = "crate::time::span")]
    pub lock: Duration,
    /// Longest single statement. SQLite has no such limit; a statement there is bounded by its
    /// batch.
    #[serde(with = "crate::time::span")]
    pub statement: Duration,
}

impl Timeouts {
    /// Checks that each is between a millisecond and an hour.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_wait("timeouts.acquire", self.acquire, HOUR)?;
        check_wait("timeouts.lock", self.lock, HOUR)?;
        check_wait("timeouts.statement", self.statement, HOUR)?;
        Ok(())
    }
}

impl Default for Timeouts {
    /// Five seconds, one second, half a minute.
    fn default() -> Self {
        Self {
            acquire: Duration::from_secs(5),
            lock: Duration::from_secs(1),
            statement: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_zero_is_named_and_refused() {
        let (right, zero) = (Timeouts::default(), Duration::ZERO);
        let table = [
            (
                Timeouts {
                    acquire: zero,
                    ..right
                },
                "timeouts.acquire",
            ),
            (
                Timeouts {
                    lock: zero,
                    ..right
                },
                "timeouts.lock",
            ),
            (
                Timeouts {
                    statement: zero,
                    ..right
                },
                "timeouts.statement",
            ),
        ];

        assert_eq!(right.check(), Ok(()));
        for (timeouts, setting) in table {
            let error = timeouts.check().expect_err(setting);

            assert_eq!(error.setting, setting);
            assert!(error.problem.starts_with("is zero; give a time"), "{error}");
        }
    }
}
