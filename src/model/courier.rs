//! The answers about deliveries.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{EntryId, OutboxCounts, OutboxEntry, ParkedEntry};
use crate::fmt::{line, quantity, span};
use crate::job::JobName;

/// The delivery of what one rule hands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct CourierStatus {
    /// The rule.
    pub rule: JobName,
    /// The state of the courier.
    pub courier: CourierState,
    /// The entries as last counted, at most once between two polls; `None` before the first count.
    pub counts: Option<OutboxCounts>,
    /// When they were counted.
    pub counted_at: Option<DateTime<Utc>>,
    /// Deliveries since the start that were acknowledged.
    pub acknowledged: u64,
    /// Deliveries since the start that failed.
    pub refused: u64,
    /// Entries that were parked since the start.
    pub parked: u64,
    /// When an entry was last acknowledged.
    pub last_acknowledged: Option<DateTime<Utc>>,
    /// How often the courier was restarted.
    pub restarts: u64,
    /// The newest deliveries, newest first; at most [`CourierStatus::MAX_RECENT`].
    pub recent: Vec<DeliveryRecord>,
    /// The reason why entries wait, if anything is wrong.
    pub problem: Option<String>,
    /// A hint that no rule of this process hands on under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl CourierStatus {
    /// Deliveries that a status lists.
    pub const MAX_RECENT: usize = 50;

    pub(crate) fn new(rule: JobName) -> Self {
        Self {
            rule,
            courier: CourierState::Stopped,
            counts: None,
            counted_at: None,
            acknowledged: 0,
            refused: 0,
            parked: 0,
            last_acknowledged: None,
            restarts: 0,
            recent: Vec::new(),
            problem: None,
            advice: None,
        }
    }
}

/// The state of a courier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CourierState {
    /// It sleeps until a commit or its next poll.
    Idle,
    /// Entries are under way.
    Delivering {
        /// Entries that are claimed and not settled.
        entries: u64,
    },
    /// It waits for the receiver or the database.
    Waiting,
    /// It crashed and restarts.
    Restarting {
        /// Why it crashed.
        reason: String,
        /// When it restarts.
        at: DateTime<Utc>,
    },
    /// It stopped with its housekeeper.
    Stopped,
}

/// One delivery that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct DeliveryRecord {
    /// When its end was written.
    pub at: DateTime<Utc>,
    /// The entry.
    pub id: EntryId,
    /// The entry's topic.
    pub topic: String,
    /// The key of its row.
    pub key: String,
    /// Deliveries of the entry that failed before.
    pub attempts: u32,
    /// The end.
    #[serde(flatten)]
    pub end: DeliveryEnd,
}

/// The end of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[serde(tag = "end", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryEnd {
    /// The receiver has done its part, and the entry is deleted.
    Acknowledged,
    /// The delivery failed and is tried again.
    Refused {
        /// Why it failed.
        error: String,
        /// The wait before the next delivery.
        #[serde(flatten, with = "crate::time::json::again_after")]
        #[cfg_attr(
            feature = "web",
            schemars(with = "crate::time::json::again_after::Json")
        )]
        again_after: Duration,
    },
    /// The delivery failed for the last time.
    Parked {
        /// Why it failed.
        error: String,
    },
}

impl DeliveryRecord {
    /// The record of a delivery that ends now; its supervisor sets the instant.
    pub(crate) fn new(entry: &OutboxEntry, end: DeliveryEnd) -> Self {
        Self {
            at: DateTime::UNIX_EPOCH,
            id: entry.id,
            topic: entry.topic.clone(),
            key: entry.key.clone(),
            attempts: entry.attempts,
            end,
        }
    }
}

/// A page of parked entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "web", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ParkedEntries {
    /// The rule.
    pub rule: JobName,
    /// The entries, in the order of writing.
    pub entries: Vec<ParkedEntry>,
    /// Where the next page begins, if there may be one.
    pub next: Option<EntryId>,
}

impl ParkedEntries {
    pub(crate) fn new(rule: JobName, entries: Vec<ParkedEntry>, next: Option<EntryId>) -> Self {
        Self {
            rule,
            entries,
            next,
        }
    }
}

impl fmt::Display for CourierStatus {
    /// Writes one line, and a line of advice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hands on: {}", self.rule, self.courier)?;
        if let Some(counts) = &self.counts {
            write!(f, ", {} waiting", counts.waiting)?;
            if let Some(oldest) = counts.oldest {
                write!(f, " for up to {}", span(oldest))?;
            }
            if counts.parked.count > 0 {
                write!(f, ", {} parked", counts.parked)?;
            }
        }
        let acknowledged = quantity(self.acknowledged, "delivery", "deliveries");
        write!(f, ", {acknowledged} acknowledged, {} refused", self.refused)?;
        if let Some(problem) = &self.problem {
            write!(f, ": {}", line(problem))?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "\nadvice: courier of {}: {}", self.rule, line(advice))?;
        }
        Ok(())
    }
}

impl fmt::Display for CourierState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.pad("idle"),
            Self::Delivering { entries } => write!(f, "delivering {entries}"),
            Self::Waiting => f.pad("waiting"),
            Self::Restarting { .. } => f.pad("restarting"),
            Self::Stopped => f.pad("stopped"),
        }
    }
}
