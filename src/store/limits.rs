//! How long a database step may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest waits of one database step. Beyond them the step fails and is retried later; nothing is half done.
///
/// # Examples
///
/// ```
/// let limits: ractor_housekeeper::store::Limits = serde_json::from_str(r#"{ "lock": "200ms" }"#)?;
///
/// assert_eq!(limits.acquire.as_secs(), 5);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest wait for a connection, including opening one. A pool the host hands in may have a shorter limit of its own.
    #[serde(with = "humantime_serde")]
    pub acquire: Duration,
    /// Longest wait for a lock. On SQLite, the busy timeout of our own connections.
    #[serde(with = "humantime_serde")]
    pub lock: Duration,
    /// Longest single statement. SQLite has no such limit; a statement there is bounded by its batch.
    #[serde(with = "humantime_serde")]
    pub statement: Duration,
}

impl Default for Limits {
    /// Five seconds, one second, half a minute.
    fn default() -> Self {
        Self {
            acquire: Duration::from_secs(5),
            lock: Duration::from_secs(1),
            statement: Duration::from_secs(30),
        }
    }
}
