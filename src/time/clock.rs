//! Sources of the current time.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use super::moment::Moment;

/// A wall clock. The housekeeper and the SQLite store use [`SystemClock`] by default; tests pass
/// their own.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current instant.
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// The wall clock and the monotonic clock of a housekeeper, read together.
#[derive(Clone)]
pub(crate) struct Clocks {
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl Clocks {
    /// Starts the monotonic clock at zero.
    pub(crate) fn start(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            started: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment {
            wall: self.clock.now(),
            mono: self.started.elapsed(),
        }
    }
}
