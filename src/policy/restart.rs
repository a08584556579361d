//! Whether a worker that died is started again, and when.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{BackoffConfig, RestartConfig};

/// The wait before an attempt; 0 is the first. `jitter` is drawn from 0 to 1.
pub(crate) fn backoff(config: &BackoffConfig, attempt: u32, jitter: f64) -> Duration {
    let whole = 2_u32
        .checked_pow(attempt)
        .and_then(|times| config.first.checked_mul(times))
        .map_or(config.max, |doubled| doubled.min(config.max));
    // The product is rounded, and may be a nanosecond off.
    whole.mul_f64(0.5 + jitter / 2.0).clamp(whole / 2, whole)
}

/// What follows a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The worker starts again after this wait.
    RestartAfter(Duration),
    /// It died too often within the window.
    LimitReached,
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
            Verdict::LimitReached
        }
    }

    /// A run completed: the next wait is the first again. The window is left to slide, or a worker
    /// that completes one run between any two deaths would die for ever.
    pub(crate) fn reset_backoff(&mut self) {
        self.streak = 0;
    }

    /// The attempt after a cool-down succeeded: nothing is held against the job.
    pub(crate) fn clear(&mut self) {
        self.deaths.clear();
        self.streak = 0;
    }

    /// Deaths of all time.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_until_the_longest() {
        let config = spread(100, 1_000);

        let waits: Vec<u128> = (0..6)
            .map(|attempt| backoff(&config, attempt, 1.0).as_millis())
            .collect();

        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn jitter_draws_between_half_and_all_of_the_wait() {
        let config = spread(100, 1_000);

        let waits = [0.0, 0.5, 1.0].map(|jitter| backoff(&config, 1, jitter).as_millis());

        assert_eq!(waits, [100, 150, 200]);
    }

    #[test]
    fn one_death_more_than_allowed_is_beyond() {
        let config = intensity(2, 60);
        let mut log = RestartLog::default();

        let verdicts = [1, 2, 3].map(|second| log.record(seconds(second), &config, 1.0));

        assert_eq!(verdicts[0], Verdict::RestartAfter(seconds(1)));
        assert_eq!(verdicts[1], Verdict::RestartAfter(seconds(2)));
        assert_eq!(verdicts[2], Verdict::LimitReached);
    }

    #[test]
    fn a_death_counts_as_long_as_the_window_and_no_longer() {
        let config = intensity(1, 60);
        let (mut at_the_edge, mut past_it) = (RestartLog::default(), RestartLog::default());
        at_the_edge.record(seconds(10), &config, 1.0);
        past_it.record(seconds(10), &config, 1.0);

        let edge = at_the_edge.record(seconds(70), &config, 1.0);
        let past = past_it.record(seconds(70) + Duration::from_nanos(1), &config, 1.0);

        assert_eq!(edge, Verdict::LimitReached);
        assert_eq!(past, Verdict::RestartAfter(seconds(2)));
    }

    #[test]
    fn no_restart_allowed_means_the_first_death_is_beyond() {
        let mut log = RestartLog::default();

        let verdict = log.record(seconds(1), &intensity(0, 60), 1.0);

        assert_eq!(verdict, Verdict::LimitReached);
    }

    #[test]
    fn a_completed_run_shortens_the_wait_but_keeps_the_window() {
        let config = intensity(2, 60);
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
    fn a_forgiven_job_has_its_whole_intensity_again_but_its_deaths_stay_counted() {
        let config = intensity(1, 60);
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
        fn a_wait_lies_between_half_of_the_first_and_the_longest(
            first in 1..10_000_u64,
            more in 0..1_000_000_u64,
            attempt: u32,
            jitter in 0.0..=1.0,
        ) {
            let config = spread(first, first + more);

            let wait = backoff(&config, attempt, jitter);

            prop_assert!(wait >= config.first / 2, "{wait:?}");
            prop_assert!(wait <= config.max, "{wait:?}");
        }

        #[test]
        fn replicas_that_fail_together_come_back_over_half_of_the_wait(
            first in 1..10_000_u64,
            more in 0..1_000_000_u64,
            attempt in 0..70_u32,
            replicas in 2..50_u32,
        ) {
            let config = spread(first, first + more);

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
            let config = spread(first, first + more);

            let (wait, next) = (backoff(&config, attempt, jitter), backoff(&config, attempt + 1, jitter));

            prop_assert!(wait <= next, "{wait:?} then {next:?}");
        }

        #[test]
        fn the_log_agrees_with_a_list_that_is_counted_each_time(
            max_restarts in 0..6_u32,
            within in 1..20_u64,
            events in prop::collection::vec(event(), 0..100),
        ) {
            let config = intensity(max_restarts, within);
            let mut log = RestartLog::default();
            let mut now = 0;
            let mut deaths: Vec<u64> = Vec::new();
            let (mut streak, mut total) = (0, 0);

            for event in events {
                match event {
                    Event::Death(wait) => {
                        now += wait;
                        deaths.push(now);
                        total += 1;
                        let recent = deaths.iter().filter(|death| now - **death <= within).count();
                        let expected = if recent > max_restarts as usize {
                            Verdict::LimitReached
                        } else {
                            Verdict::RestartAfter(backoff(&config.backoff, streak, 1.0))
                        };
                        streak += 1;

                        prop_assert_eq!(log.record(seconds(now), &config, 1.0), expected);
                    }
                    Event::Healed => {
                        streak = 0;
                        log.reset_backoff();
                    }
                    Event::Forgiven => {
                        streak = 0;
                        deaths.clear();
                        log.clear();
                    }
                }
                prop_assert_eq!(log.total(), total);
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Death(u64),
        Healed,
        Forgiven,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            8 => (0..10_u64).prop_map(Event::Death),
            1 => Just(Event::Healed),
            1 => Just(Event::Forgiven),
        ]
    }

    fn intensity(max_restarts: u32, within: u64) -> RestartConfig {
        RestartConfig {
            max_restarts,
            within: seconds(within),
            backoff: spread(1_000, 8_000),
            ..RestartConfig::default()
        }
    }

    fn spread(first: u64, longest: u64) -> BackoffConfig {
        BackoffConfig {
            first: Duration::from_millis(first),
            max: Duration::from_millis(longest),
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }
}
