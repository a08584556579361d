//! A clock that tests can set.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::time::Clock;

/// A wall clock that a test sets. Clones share the time.
///
/// Both the store and the housekeeper take one: a store whose clock is over an hour ahead of the
/// housekeeper's looks like a database with a wrong clock, and jobs that delete are held.
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
    /// The time that the clock showed at `read`.
    shown: DateTime<Utc>,
    /// The instant of tokio's clock at which it was set; `None` for a frozen clock.
    read: Option<Instant>,
}

impl ManualClock {
    /// Creates a clock that shows `start` now and then follows tokio's time, which may be paused or
    /// advanced.
    #[must_use]
    pub fn new(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Face {
            shown: start,
            read: Some(Instant::now()),
        })))
    }

    /// Creates a clock that moves only when the test moves it.
    #[must_use]
    pub fn frozen(start: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(Face {
            shown: start,
            read: None,
        })))
    }

    /// Moves the clock forward or back, like a correction of a machine's clock. Saturates at the
    /// ends of the calendar. Tokio's time does not move.
    pub fn advance_wall(&self, step: TimeDelta) {
        self.change(|shown| moved(shown, step));
    }

    /// Sets the clock. A clock that follows tokio's time continues from here.
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

/// Adds a step. Saturates at the ends of the calendar.
fn moved(shown: DateTime<Utc>, step: TimeDelta) -> DateTime<Utc> {
    let end = if step < TimeDelta::zero() {
        DateTime::<Utc>::MIN_UTC
    } else {
        DateTime::<Utc>::MAX_UTC
    };
    shown.checked_add_signed(step).unwrap_or(end)
}
