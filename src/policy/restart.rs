//! Decides whether and when a crashed worker restarts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{BackoffConfig, RestartConfig};

/// Returns the wait before an attempt: `first`, doubled per attempt up to `max`, times a factor
/// between a half and one that `jitter`, between 0 and 1, selects. The first attempt is 0.
pub(crate) fn backoff(config: &BackoffConfig, attempt: u32, jitter: f64) -> Duration {
    let whole = 2_u32
        .checked_pow(attempt)
        .and_then(|times| config.first.checked_mul(times))
        .map_or(config.max, |doubled| doubled.min(config.max));
    // The product is rounded and may be off by a nanosecond.
    whole.mul_f64(0.5 + jitter / 2.0).clamp(whole / 2, whole)
}

/// The decision about a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The worker restarts after this wait.
    RestartAfter(Duration),
    /// The worker crashed too often within the window.
    LimitReached,
}

/// The crashes of one job's workers.
#[derive(Debug, Clone, Default)]
pub(crate) struct RestartLog {
    /// By the monotonic clock, oldest first; none older than the window.
    crashes: VecDeque<Duration>,
    /// Crashes since the last completed run: the attempt of the backoff.
    streak: u32,
    total: u64,
}

impl RestartLog {
    /// Records a crash at `now`, by the monotonic clock.
    pub(crate) fn record(&mut self, now: Duration, config: &RestartConfig, jitter: f64) -> Verdict {
        self.crashes.push_back(now);
        self.crashes
            .retain(|crash| now.saturating_sub(*crash) <= config.within);
        let attempt = self.streak;
        self.streak = self.streak.saturating_add(1);
        self.total = self.total.saturating_add(1);
        if u32::try_from(self.crashes.len()).is_ok_and(|crashes| crashes <= config.max_restarts) {
            Verdict::RestartAfter(backoff(&config.backoff, attempt, jitter))
        } else {
            Verdict::LimitReached
        }
    }

    /// Restarts the backoff after a completed run. The window keeps its crashes: a worker that
    /// completes one run between any two crashes would otherwise restart for ever.
    pub(crate) fn reset_backoff(&mut self) {
        self.streak = 0;
    }

    /// Clears the window and the backoff after the attempt that ends a cool-down succeeded.
    pub(crate) fn clear(&mut self) {
        self.crashes.clear();
        self.streak = 0;
    }

    /// Returns the number of all crashes.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let config = backoff_config(100, 1_000);

        let waits: Vec<u128> = (0..6)
            .map(|attempt| backoff(&config, attempt, 1.0).as_millis())
            .collect();

        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn jitter_selects_the_upper_half_of_the_wait() {
        let config = backoff_config(100, 1_000);

        let waits = [0.0, 0.5, 1.0].map(|jitter| backoff(&config, 1, jitter).as_millis());

        assert_eq!(waits, [100, 150, 200]);
    }

    #[test]
    fn one_death_more_than_allowed_reaches_the_limit() {
        let config = limit(2, 60);
        let mut log = RestartLog::default();

        let verdicts = [1, 2, 3].map(|second| log.record(seconds(second), &config, 1.0));

        assert_eq!(verdicts[0], Verdict::RestartAfter(seconds(1)));
        assert_eq!(verdicts[1], Verdict::RestartAfter(seconds(2)));
        assert_eq!(verdicts[2], Verdict::LimitReached);
    }

    #[test]
    fn a_death_counts_exactly_as_long_as_the_window() {
        let config = limit(1, 60);
        let (mut at_the_edge, mut past_it) = (RestartLog::default(), RestartLog::default());
        at_the_edge.record(seconds(10), &config, 1.0);
        past_it.record(seconds(10), &config, 1.0);

        let edge = at_the_edge.record(seconds(70), &config, 1.0);
        let past = past_it.record(seconds(70) + Duration::from_nanos(1), &config, 1.0);

        assert_eq!(edge, Verdict::LimitReached);
        assert_eq!(past, Verdict::RestartAfter(seconds(2)));
    }

    #[test]
    fn without_restarts_the_first_death_reaches_the_limit() {
        let mut log = RestartLog::default();

        let verdict = log.record(seconds(1), &limit(0, 60), 1.0);

        assert_eq!(verdict, Verdict::LimitReached);
    }

    #[test]
    fn a_completed_run_resets_the_wait_but_keeps_the_window() {
        let config = limit(2, 60);
        let mut log = RestartLog::default();
        log.record(seconds(1), &config, 1.0);
        log.record(seconds(2), &config, 1.0);
        log.reset_backoff();

        let inside = log.record(seconds(3), &config, 1.0);
        log.reset_backoff();
        let outside = log.record(seconds(120), &config, 1.0);

        assert_eq!(inside, Verdict::LimitReached);
        assert_eq!(outside, Verdict::RestartAfter(seconds(1)));
    }

    #[test]
    fn clear_restores_all_restarts_but_keeps_the_total() {
        let config = limit(1, 60);
        let mut log = RestartLog::default();
        log.record(seconds(1), &config, 1.0);
        log.record(seconds(2), &config, 1.0);

        log.clear();
        let verdict = log.record(seconds(3), &config, 1.0);

        assert_eq!(verdict, Verdict::RestartAfter(seconds(1)));
        assert_eq!(log.total(), 3);
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_half_of_the_first_and_the_maximum(
            first in 1..10_000_u64,
            more in 0..1_000_000_u64,
            attempt: u32,
            jitter in 0.0..=1.0,
        ) {
            let config = backoff_config(first, first + more);

            let wait = backoff(&config, attempt, jitter);

            prop_assert!(wait >= config.first / 2, "{wait:?}");
            prop_assert!(wait <= config.max, "{wait:?}");
        }

        #[test]
        fn replicas_that_fail_together_spread_over_half_of_the_wait(
            first in 1..10_000_u64,
            more in 0..1_000_000_u64,
            attempt in 0..70_u32,
            replicas in 2..50_u32,
        ) {
            let config = backoff_config(first, first + more);

            let waits: Vec<Duration> = (0..replicas)
                .map(|place| backoff(&config, attempt, f64::from(place) / f64::from(replicas)))
                .collect();

            let share = backoff(&config, attempt, 1.0) / 2 / replicas;
            for pair in waits.windows(2) {
                let apart = pair[1].abs_diff(pair[0]);
                // Rounded to nanoseconds.
                prop_assert!(apart.abs_diff(share) < Duration::from_micros(1), "{apart:?} for {share:?}");
            }
        }

        #[test]
        fn a_later_attempt_waits_no_less(
            first in 1..10_000_u64,
            more in 0..u64::from(u32::MAX),
            attempt in 0..70_u32,
            jitter in 0.0..=1.0,
        ) {
            let config = backoff_config(first, first + more);

            let (wait, next) = (backoff(&config, attempt, jitter), backoff(&config, attempt + 1, jitter));

            prop_assert!(wait <= next, "{wait:?} then {next:?}");
        }

        #[test]
        fn the_log_agrees_with_a_recount_of_all_deaths(
            max_restarts in 0..6_u32,
            within in 1..20_u64,
            events in prop::collection::vec(event(), 0..100),
        ) {
            let config = limit(max_restarts, within);
            let mut log = RestartLog::default();
            let mut now = 0;
            let mut crashes: Vec<u64> = Vec::new();
            let (mut streak, mut total) = (0, 0);

            for event in events {
                match event {
                    Event::Crash(wait) => {
                        now += wait;
                        crashes.push(now);
                        total += 1;
                        let recent = crashes.iter().filter(|crash| now - **crash <= within).count();
                        let expected = if recent > max_restarts as usize {
                            Verdict::LimitReached
                        } else {
                            Verdict::RestartAfter(backoff(&config.backoff, streak, 1.0))
                        };
                        streak += 1;

                        prop_assert_eq!(log.record(seconds(now), &config, 1.0), expected);
                    }
                    Event::Reset => {
                        streak = 0;
                        log.reset_backoff();
                    }
                    Event::Clear => {
                        streak = 0;
                        crashes.clear();
                        log.clear();
                    }
                }
                prop_assert_eq!(log.total(), total);
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Crash(u64),
        Reset,
        Clear,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => (0..10_u64).prop_map(Event::Crash),
            1 => Just(Event::Reset),
            1 => Just(Event::Clear),
        ]
    }

    fn limit(max_restarts: u32, within: u64) -> RestartConfig {
        RestartConfig {
            max_restarts,
            within: seconds(within),
            backoff: backoff_config(1_000, 8_000),
            ..RestartConfig::default()
        }
    }

    fn backoff_config(first: u64, max: u64) -> BackoffConfig {
        BackoffConfig {
            first: Duration::from_millis(first),
            max: Duration::from_millis(max),
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }
}
