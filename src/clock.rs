//! Where the time comes from.

use chrono::{DateTime, Utc};

/// A wall clock. The housekeeper and the SQLite store read the machine's; tests hand in their own.
pub trait Clock: Send + Sync + 'static {
    /// The instant it is.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
