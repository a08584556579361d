//! Whether a worker that died is started again, and when.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{BackoffConfig, RestartConfig};

/// The wait before an attempt; 0 is the first. `jitter` is drawn from 0 to 1.
pub(crate) fn backoff(config: &BackoffConfig, attempt: u32, jitter: f64) -> Duration {
    let whole = 2_u32
        .checked_pow(attempt)
        .and_then(|times| config.first.checked_mul(times))
        .map_or(config.longest, |doubled| doubled.min(config.longest));
    let half = whole / 2;
    // The product is rounded, and may be a nanosecond too long.
    (half + (whole - half).mul_f64(jitter)).min(whole)
}

/// What follows a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The worker starts again after this wait.
    RestartAfter(Duration),
    /// It died too often within the window.
    Beyond,
}

/// The deaths of one job's workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct RestartLog {
    /// When, by the monotonic clock, oldest first; none older than the window.
    deaths: VecDeque<Duration>,
    /// Deaths since a run completed: the attempt of the backoff.
    streak: u32,
    total: u64,
}

impl RestartLog {
    /// Counts a death at `now`, by the monotonic clock.
    pub(crate) fn record(&mut self, now: Duration, config: &RestartConfig, jitter: f64) -> Verdict {
        self.deaths.push_back(now);
        self.deaths
            .retain(|death| now.saturating_sub(*death) <= config.within);
        let attempt = self.streak;
        self.streak = self.streak.saturating_add(1);
        self.total = self.total.saturating_add(1);
        if u32::try_from(self.deaths.len()).is_ok_and(|deaths| deaths <= config.max_restarts) {
            Verdict::RestartAfter(backoff(&config.backoff, attempt, jitter))
        } else {
            Verdict::Beyond
        }
    }

    /// A run completed: the next wait is the first again. The window is left to slide, or a worker that completes one run
    /// between any two deaths would die for ever.
    pub(crate) fn healed(&mut self) {
        self.streak = 0;
    }

    /// The attempt after a cool-down succeeded: nothing is held against the job.
    pub(crate) fn forgive(&mut self) {
        self.deaths.clear();
        self.streak = 0;
    }

    /// Deaths of all time.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}
