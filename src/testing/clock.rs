//! A clock that tests can set.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::time::Clock;

/// A wall clock in the hands of a test. Clones show the same time.
///
/// # Examples
///
/// ```
/// use chrono::TimeDelta;
/// use ractor_housekeeper::time::Clock;
/// use ractor_housekeeper::testing::ManualClock;
///
/// let noon = "2026-01-10T12:00:00Z".parse().unwrap();
/// let clock = ManualClock::frozen(noon);
/// clock.advance_wall(TimeDelta::minutes(15));
///
/// assert_eq!(clock.now() - noon, TimeDelta::minutes(15));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Face>>);

#[derive(Debug)]
struct Face {
    /// What it showed at `read`.
    shown: DateTime<Utc>,
    /// When it was set, by tokio's clock; `None` for a clock that stands.
    read: Option<Instant>,
}

impl ManualClock {
    /// A clock that shows `start` now and then follows tokio's time, also while that is paused or
    /// advanced by hand.
    #[must_use]
    pub fn new(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Face {
            shown: start,
            read: Some(Instant::now()),
        })))
    }

    /// A clock that moves only when it is told to.
    #[must_use]
    pub fn frozen(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Face {
            shown: start,
            read: None,
        })))
    }

    /// Moves the clock by a step, forward or back, as a correction of a machine's clock does, and
    /// no further than the calendar goes. Tokio's time does not move.
    pub fn advance_wall(&self, step: TimeDelta) {
        self.change(|shown| moved(shown, step));
    }

    /// Sets the clock. One that follows tokio's time goes on from here.
    pub fn set(&self, instant: DateTime<Utc>) {
        self.change(|_| instant);
    }

    fn change(&self, to: impl FnOnce(DateTime<Utc>) -> DateTime<Utc>) {
        let mut face = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        face.shown = to(face.shows());
        face.read = face.read.map(|_| Instant::now());
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .shows()
    }
}

impl Face {
    fn shows(&self) -> DateTime<Utc> {
        match self.read {
            Some(read) => {
                let elapsed = TimeDelta::from_std(read.elapsed()).unwrap_or(TimeDelta::MAX);
                moved(self.shown, elapsed)
            }
            None => self.shown,
        }
    }
}

/// Stops at the ends of the calendar.
fn moved(shown: DateTime<Utc>, step: TimeDelta) -> DateTime<Utc> {
    let end = if step < TimeDelta::zero() {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    shown.checked_add_signed(step).unwrap_or(end)
}
