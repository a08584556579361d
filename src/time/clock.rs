//! Where the time comes from.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::time::Moment;

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

/// Both clocks of a housekeeper, read together.
#[derive(Clone)]
pub(crate) struct Clocks {
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl Clocks {
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
