//! Decides whether the forecasts of a job have slowed down.

use std::time::Duration;

use crate::job::OldSnapshot;
use crate::time::Moment;

/// Compares the duration of forecasts with the best one, and remembers the cause of a slowdown.
///
/// A forecast that finds nothing due reads a few rows, however large the table is. It slows down
/// where the entries of deleted rows pile up in front of the oldest row, because a snapshot from
/// before holds back vacuum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slowness {
    best: Option<Duration>,
    /// When the cause was last requested, by the monotonic clock.
    requested: Option<Duration>,
    snapshot: Option<OldSnapshot>,
}

impl Slowness {
    /// Adds a forecast that found nothing due. Returns whether to request the cause.
    ///
    /// Forecasts that began behind the deleted rows (`from_start` is false) say nothing of those if
    /// they are fast.
    pub(crate) fn add(&mut self, took: Duration, from_start: bool, now: Moment) -> bool {
        let best = self.best.map_or(took, |best| best.min(took));
        self.best = Some(best);
        let limit = best.saturating_mul(SLOWDOWN).clamp(MIN_SLOW, ALWAYS_SLOW);
        if took < limit {
            if from_start {
                self.snapshot = None;
            }
            return false;
        }
        let elapsed = |requested: Duration| now.mono.saturating_sub(requested);
        if self
            .requested
            .is_some_and(|requested| elapsed(requested) < REQUEST_INTERVAL)
        {
            return false;
        }
        self.requested = Some(now.mono);
        true
    }

    /// Takes the oldest snapshot of the database. A young one is no cause.
    pub(crate) fn explain(&mut self, snapshot: Option<OldSnapshot>) {
        self.snapshot = snapshot.filter(|snapshot| snapshot.age >= MIN_AGE);
    }

    /// Returns the snapshot that slows down the runs.
    pub(crate) fn snapshot(&self) -> Option<&OldSnapshot> {
        self.snapshot.as_ref()
    }
}

/// A forecast is slow if it takes this many times as long as the best one.
const SLOWDOWN: u32 = 5;

/// A shorter forecast is never slow: the machine's load decides below it.
const MIN_SLOW: Duration = Duration::from_millis(25);

/// A longer forecast is always slow, because the first one may have been slow already.
const ALWAYS_SLOW: Duration = Duration::from_millis(250);

/// Minimum time between two requests.
const REQUEST_INTERVAL: Duration = Duration::from_secs(60);

/// Ordinary transactions are shorter.
const MIN_AGE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    #[test]
    fn only_a_forecast_that_slowed_down_requests_the_cause() {
        let mut slowness = Slowness::default();
        let mut add = |millis, second| slowness.add(ms(millis), true, at(second));

        assert!(!add(24, 0), "the machine's load decides");
        assert!(!add(3, 1));
        assert!(!add(24, 2));
        assert!(add(25, 3), "more than five times three");
    }

    #[test]
    fn a_job_slow_from_the_first_run_on_requests_the_cause() {
        let mut slowness = Slowness::default();

        assert!(!slowness.add(ms(249), true, at(0)));
        assert!(slowness.add(ms(430), true, at(1)));
    }

    #[test]
    fn the_cause_is_requested_once_a_minute() {
        let mut slowness = Slowness::default();
        slowness.add(ms(3), true, at(0));

        let requests = [1, 2, 60, 61, 62].map(|second| slowness.add(ms(90), true, at(second)));

        assert_eq!(requests, [true, false, false, true, false]);
    }

    #[test]
    fn a_cause_holds_until_a_full_forecast_is_fast() {
        let mut slowness = Slowness::default();
        let old = OldSnapshot::new("backend 7", MIN_AGE);
        let young = OldSnapshot::new("backend 8", ms(9_999));
        slowness.add(ms(3), true, at(0));

        slowness.explain(Some(young));
        assert_eq!(slowness.snapshot(), None);
        slowness.explain(Some(old.clone()));
        slowness.add(ms(3), false, at(1));
        assert_eq!(slowness.snapshot(), Some(&old));
        slowness.add(ms(3), true, at(2));
        assert_eq!(slowness.snapshot(), None);
        slowness.explain(Some(old));
        slowness.explain(None);
        assert_eq!(slowness.snapshot(), None);
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(second: u64) -> Moment {
        Moment {
            wall: DateTime::<Utc>::UNIX_EPOCH,
            mono: Duration::from_secs(second),
        }
    }
}
