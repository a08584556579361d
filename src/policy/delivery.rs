//! Decides when a delivery is tried again, and how fast a courier goes.

use std::num::NonZeroU32;
use std::time::Duration;

use super::restart::backoff;
use crate::config::{BackoffConfig, CourierConfig};

/// Returns the wait before an entry is delivered again, after this many failed deliveries; `None`
/// parks it. `jitter` lies between 0 and 1.
pub(crate) fn again_after(config: &CourierConfig, attempts: u32, jitter: f64) -> Option<Duration> {
    let waits = attempts < config.max_attempts.get();
    waits.then(|| backoff(&config.backoff, attempts.saturating_sub(1), jitter))
}

/// The speed of a courier.
///
/// While nothing is acknowledged it sends one entry at a time and waits in between, so that a
/// receiver that is down costs few attempts.
#[derive(Debug, Default)]
pub(crate) struct DeliveryPace {
    /// Batches in a row of which nothing was acknowledged.
    failures: u32,
}

/// The end of a batch of deliveries.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BatchEnd {
    pub(crate) acknowledged: u64,
    pub(crate) failed: u64,
    /// Whether the receiver is absent, or did not take an entry.
    pub(crate) unavailable: bool,
    /// Whether more entries were due.
    pub(crate) more: bool,
    /// `acknowledged` and `failed` as the last entries were claimed.
    before: (u64, u64),
}

impl BatchEnd {
    /// Notes that entries were claimed.
    pub(crate) fn begin(&mut self, more: bool) {
        self.more = more;
        self.before = (self.acknowledged, self.failed);
    }

    /// Returns whether the receiver takes what was claimed last, as far as it has answered.
    pub(crate) fn is_going_well(&self) -> bool {
        let (acknowledged, failed) = self.before;
        !self.unavailable && (self.failed == failed || self.acknowledged > acknowledged)
    }
}

impl DeliveryPace {
    /// Returns the number of entries to claim next.
    pub(crate) fn limit(&self, batch: NonZeroU32) -> NonZeroU32 {
        if self.failures == 0 {
            batch
        } else {
            NonZeroU32::MIN
        }
    }

    /// Returns whether the last batch was acknowledged, at least in part.
    pub(crate) fn is_steady(&self) -> bool {
        self.failures == 0
    }

    /// Returns the wait of an entry that its receiver does not take now: longer than that of the
    /// courier, so that it tries another first.
    pub(crate) fn unavailable(&self, config: &CourierConfig) -> Duration {
        backoff(&waits(config), self.failures, 1.0).saturating_mul(2)
    }

    /// Records the end of a batch. Returns the wait before the next one, in which no commit wakes
    /// the courier.
    pub(crate) fn ended(
        &mut self,
        end: BatchEnd,
        config: &CourierConfig,
        jitter: f64,
    ) -> Option<Duration> {
        if end.acknowledged > 0 {
            self.failures = 0;
            return None;
        }
        if end.failed == 0 && !end.unavailable {
            return None;
        }
        let wait = backoff(&waits(config), self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
        // A single entry that fails again and again has its own backoff, and keeps nothing waiting.
        (end.unavailable || end.more).then_some(wait)
    }

    /// Records a failure of the database. Returns the wait before the next try.
    pub(crate) fn database_failed(&mut self, config: &CourierConfig, jitter: f64) -> Duration {
        let wait = backoff(&waits(config), self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Records an answer of the database with nothing to send.
    pub(crate) fn found_nothing(&mut self) {
        self.failures = 0;
    }
}

/// The waits of a courier: no longer than between two polls.
fn waits(config: &CourierConfig) -> BackoffConfig {
    BackoffConfig {
        first: config.backoff.first.min(config.poll_interval),
        max: config.poll_interval,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attempts_back_off_until_the_entry_is_parked() {
        let config = CourierConfig {
            max_attempts: 4.try_into().expect("is not zero"),
            ..CourierConfig::default()
        };

        let waits: Vec<Option<u64>> = (1..=5)
            .map(|attempts| again_after(&config, attempts, 1.0).map(|wait| wait.as_secs()))
            .collect();

        assert_eq!(waits, [Some(1), Some(2), Some(4), None, None]);
    }

    #[test]
    fn the_default_attempts_last_about_two_hours() {
        let config = CourierConfig::default();

        let all: Duration = (1..40)
            .map_while(|attempts| again_after(&config, attempts, 1.0))
            .sum();

        let hours = all.as_secs_f64() / 3600.0;
        assert!((1.5..2.5).contains(&hours), "{hours}");
    }

    #[test]
    fn a_receiver_that_takes_nothing_is_probed_with_single_entries() {
        let config = CourierConfig::default();
        let mut pace = DeliveryPace::default();
        let down = BatchEnd {
            failed: 100,
            more: true,
            ..BatchEnd::default()
        };

        let waits = [1, 2, 3, 4, 5].map(|_| pace.ended(down, &config, 1.0).map(|w| w.as_secs()));
        let probe = pace.limit(config.batch);
        let up = BatchEnd {
            acknowledged: 1,
            ..down
        };
        let after = pace.ended(up, &config, 1.0);

        assert_eq!(waits, [1, 2, 4, 5, 5].map(Some));
        assert_eq!((probe.get(), after), (1, None));
        assert_eq!(pace.limit(config.batch), config.batch);
    }

    #[test]
    fn one_entry_that_fails_alone_holds_up_nothing() {
        let config = CourierConfig::default();
        let mut pace = DeliveryPace::default();
        let alone = BatchEnd {
            failed: 1,
            ..BatchEnd::default()
        };

        assert_eq!(pace.ended(alone, &config, 1.0), None);
    }

    proptest! {
        #[test]
        fn no_wait_of_a_courier_is_longer_than_between_two_polls(
            polls in 1..100_000_u64,
            first in 1..100_000_u64,
            rounds in 1..80_u32,
            jitter in 0.0..=1.0,
        ) {
            let config = CourierConfig {
                poll_interval: Duration::from_millis(polls),
                backoff: BackoffConfig { first: Duration::from_millis(first), max: Duration::from_millis(first) },
                ..CourierConfig::default()
            };
            let mut pace = DeliveryPace::default();
            for _ in 0..rounds {
                let wait = pace.database_failed(&config, jitter);

                prop_assert!(wait <= config.poll_interval, "{wait:?}");
            }
        }
    }
}
