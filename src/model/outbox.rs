//! Entries that rules hand on, and the store that keeps them until they are acknowledged.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StoreError;
use crate::job::{BoundedCount, JobName};

/// The number of an entry: in the order of writing, and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct EntryId(pub i64);

/// One change of one row, handed on by a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutboxEntry {
    /// Its number.
    pub id: EntryId,
    /// The rule that changed the row.
    pub rule: JobName,
    /// The topic that the rule gave; by default the name of the row's table.
    pub topic: String,
    /// The row's key as text.
    pub key: String,
    /// The instant of the run that changed the row.
    pub at: DateTime<Utc>,
    /// The chosen columns as one JSON object. [`OutboxEntry::read`] reads it.
    pub payload: String,
    /// Deliveries that failed before this one.
    pub attempts: u32,
}

impl OutboxEntry {
    /// Makes an entry, for tests of a receiver.
    #[must_use]
    pub fn new(
        id: EntryId,
        rule: impl Into<JobName>,
        key: impl Into<String>,
        at: DateTime<Utc>,
        payload: impl Into<String>,
    ) -> Self {
        Self {
            id,
            rule: rule.into(),
            topic: String::new(),
            key: key.into(),
            at,
            payload: payload.into(),
            attempts: 0,
        }
    }

    /// Returns a text that is the same at each delivery of this entry and differs from that of any
    /// other entry. A receiver that keeps it recognizes a repeated delivery.
    ///
    /// # Examples
    ///
    /// ```
    /// use ractor_housekeeper::model::{EntryId, OutboxEntry};
    ///
    /// let at = "2026-01-10T12:00:00Z".parse().unwrap();
    /// let entry = OutboxEntry::new(EntryId(7), "order-expirer", "o1", at, "{}");
    /// assert_eq!(entry.idempotency_key(), "order-expirer:o1:1768046400000000:7");
    /// ```
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        let micros = self.at.timestamp_micros();
        format!("{}:{}:{micros}:{}", self.rule, self.key, self.id)
    }

    /// Reads the payload.
    ///
    /// # Errors
    ///
    /// The payload is not of this shape.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.payload)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The request for the next entries of a rule.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The rule.
    pub rule: JobName,
    /// The courier that claims.
    pub owner: Uuid,
    /// Maximum number of entries.
    pub limit: NonZeroU32,
    /// How long no other courier gets them.
    pub lease: Duration,
    /// Longest time that an entry waits. One that is due later was written before the clock was set
    /// back, and is due now; a lease may be that of a courier with other settings, and ends a day
    /// later.
    pub max_wait: Duration,
    /// Whether an entry waits until all earlier ones of its key are delivered or parked.
    pub in_order_of_key: bool,
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "testing"))]
impl Claim {
    /// Returns how far ahead an entry may be due.
    pub(crate) fn farthest(&self, is_leased: bool) -> Duration {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let more = if is_leased { DAY } else { Duration::ZERO };
        self.max_wait.saturating_add(more)
    }
}

/// The answer to a [`Claim`].
#[derive(Debug, Clone, Default)]
pub struct Claimed {
    /// The entries, in the order of writing. `attempts` counts a lease that ran out.
    pub entries: Vec<OutboxEntry>,
    /// How long until the next entry may be claimed, if one is known; zero if there may be more
    /// now.
    pub next_due: Option<Duration>,
}

/// The ends of deliveries, written in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Settlement {
    /// Entries that are deleted, regardless of their lease.
    pub acknowledged: Vec<EntryId>,
    /// Entries that are delivered again or parked, if their courier still leases them.
    pub refused: Vec<RefusedEntry>,
}

impl Settlement {
    /// Returns whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acknowledged.is_empty() && self.refused.is_empty()
    }
}

/// An entry whose delivery failed.
#[derive(Debug, Clone)]
pub struct RefusedEntry {
    /// Its number.
    pub id: EntryId,
    /// All deliveries that failed.
    pub attempts: u32,
    /// The error of the last one, if one failed.
    pub error: Option<String>,
    /// When it is delivered again; `None` parks it.
    pub again_after: Option<Duration>,
}

/// The entries of a rule by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct OutboxCounts {
    /// Entries that are not delivered yet, those under way included.
    pub waiting: BoundedCount,
    /// Of these, entries whose delivery has failed before.
    pub failing: BoundedCount,
    /// Entries that are parked.
    pub parked: BoundedCount,
    /// How long the oldest waiting entry has waited since its row was changed.
    #[serde(flatten, with = "crate::time::json::oldest")]
    #[cfg_attr(feature = "web", schemars(with = "crate::time::json::oldest::Json"))]
    pub oldest: Option<Duration>,
}

impl OutboxCounts {
    /// Makes counts.
    #[must_use]
    pub fn new(
        waiting: BoundedCount,
        failing: BoundedCount,
        parked: BoundedCount,
        oldest: Option<Duration>,
    ) -> Self {
        Self {
            waiting,
            failing,
            parked,
            oldest,
        }
    }
}

/// A part of the parked entries of a rule, in the order of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkedPage {
    /// The last entry of the page before.
    pub after: Option<EntryId>,
    /// Maximum number of entries.
    pub size: NonZeroU32,
}

impl Default for ParkedPage {
    /// The first hundred.
    fn default() -> Self {
        Self {
            after: None,
            size: const { NonZeroU32::new(100).expect("100 is not zero") },
        }
    }
}

/// An entry that is delivered again only on request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ParkedEntry {
    /// The entry.
    #[serde(flatten)]
    pub entry: OutboxEntry,
    /// When it was parked.
    pub parked_at: DateTime<Utc>,
    /// The error of its last delivery.
    pub error: Option<String>,
}

impl ParkedEntry {
    /// Makes a parked entry.
    #[must_use]
    pub fn new(entry: OutboxEntry, parked_at: DateTime<Utc>, error: Option<String>) -> Self {
        Self {
            entry,
            parked_at,
            error,
        }
    }
}

/// Parked entries of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhichEntries {
    /// All that are parked now.
    All,
    /// These, as far as they are parked.
    These(Vec<EntryId>),
}

/// Keeps entries until they are acknowledged. The stores implement it.
///
/// Each step is one transaction. Dropping its future leaves nothing half done.
#[async_trait]
pub trait Outbox: Send + Sync + 'static {
    /// Leases due entries, earliest first. Several couriers never get one entry at a time unless
    /// a lease runs out.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError>;

    /// Writes the ends of deliveries by this courier.
    async fn settle(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError>;

    /// Ends all leases of this courier at once. Returns their number.
    async fn release(&self, rule: &JobName, owner: Uuid) -> Result<u64, StoreError>;

    /// Counts the entries of a rule.
    async fn counts(&self, rule: &JobName) -> Result<OutboxCounts, StoreError>;

    /// Lists parked entries of a rule.
    async fn parked(
        &self,
        rule: &JobName,
        page: &ParkedPage,
    ) -> Result<Vec<ParkedEntry>, StoreError>;

    /// Makes parked entries due again, without attempts, part by part. Returns their number.
    async fn redeliver(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError>;

    /// Deletes parked entries, part by part. Returns their number.
    async fn discard(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError>;
}
