//! The settings of a courier.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BackoffConfig;

/// Settings of the courier of one rule, which delivers what the rule hands on to the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CourierConfig {
    /// Maximum number of entries that are claimed at once. Default: 100.
    pub batch: NonZeroU32,
    /// Maximum number of entries that wait for an answer at the same time. They are sent in the
    /// order of writing; one at a time also ends in that order. Default: 16.
    pub in_flight: NonZeroU32,
    /// The order that holds beyond that of sending.
    pub order: DeliveryOrder,
    /// Timeout of an answer. An entry that is not answered in time is delivered again. An actor
    /// answers one after the other: an entry has this long for each that is before it in the
    /// mailbox as well, until its lease is about to end, twice this and 20 seconds after the claim.
    /// Default: 30 seconds.
    #[serde(with = "crate::time::span")]
    pub answer_timeout: Duration,
    /// Longest time between two polls for due entries. A commit of this process wakes the courier
    /// at once, so this is for entries of other processes. Default: 5 seconds.
    #[serde(with = "crate::time::span")]
    pub poll_interval: Duration,
    /// Failed deliveries after which an entry is parked. Default: 20, about two hours.
    pub max_attempts: NonZeroU32,
    /// Wait before an entry is delivered again. Default: 1 second, doubling to 10 minutes.
    pub backoff: BackoffConfig,
    /// An entry that has waited this long makes the delivery late. Default: 1 minute.
    #[serde(with = "crate::time::span")]
    pub late_after: Duration,
}

/// The order of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOrder {
    /// Entries are sent in the order of writing. One that fails does not hold up the others.
    #[default]
    AsWritten,
    /// An entry is sent once all earlier ones of the same key are acknowledged or parked. An index
    /// on `(rule, key, id) where parked_at is null` of `housekeeper_outbox` serves it.
    PerKey,
}

impl CourierConfig {
    /// The time for which claimed entries are leased: enough to send all of them, and to wait for
    /// the last answer.
    pub(crate) fn lease(&self) -> Duration {
        self.answer_timeout.saturating_mul(2).saturating_add(MARGIN)
    }

    /// How long after its claim an answer can be written before the lease ends.
    pub(crate) fn last_answer(&self) -> Duration {
        self.lease().saturating_sub(MARGIN / 3)
    }

    /// The longest time for which an entry is leased, or waits after a failure.
    pub(crate) fn max_wait(&self) -> Duration {
        self.lease().max(self.backoff.max)
    }
}

impl Default for CourierConfig {
    fn default() -> Self {
        const fn number(of: u32) -> NonZeroU32 {
            NonZeroU32::new(of).expect("is not zero")
        }
        Self {
            batch: const { number(100) },
            in_flight: const { number(16) },
            order: DeliveryOrder::default(),
            answer_timeout: Duration::from_secs(30),
            poll_interval: Duration::from_secs(5),
            max_attempts: const { number(20) },
            backoff: BackoffConfig {
                first: Duration::from_secs(1),
                max: Duration::from_secs(10 * 60),
            },
            late_after: Duration::from_secs(60),
        }
    }
}

/// For the writes before and after a delivery.
const MARGIN: Duration = Duration::from_secs(30);
