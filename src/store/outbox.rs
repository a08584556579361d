//! Shared by the outboxes of both databases.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::refusal;
use crate::model::{
    Claim, Claimed, EntryId, OutboxEntry, RefusedEntry, Settlement, StoreError, WhichEntries,
};

/// Writes a settlement in one transaction.
#[async_trait]
pub(crate) trait Settle: Sync {
    async fn settle_at_once(&self, owner: Uuid, ends: &Settlement) -> Result<(), StoreError>;
}

/// Writes a settlement: at once, or one by one if the host keeps an acknowledged entry. That is
/// parked, so that it holds up no other.
pub(crate) async fn settle(
    store: &impl Settle,
    owner: Uuid,
    ends: &Settlement,
) -> Result<(), StoreError> {
    let done = store.settle_at_once(owner, ends).await;
    if kept_because(&done).is_none() {
        return done;
    }
    let refused = |refused| Settlement {
        refused,
        ..Settlement::default()
    };
    for id in &ends.acknowledged {
        let alone = Settlement {
            acknowledged: vec![*id],
            ..Settlement::default()
        };
        let done = store.settle_at_once(owner, &alone).await;
        let Some(reason) = kept_because(&done) else {
            done?;
            continue;
        };
        let parked = RefusedEntry {
            id: *id,
            attempts: 0,
            error: Some(format!(
                "it was acknowledged, and the host keeps it: {reason}"
            )),
            again_after: None,
        };
        store.settle_at_once(owner, &refused(vec![parked])).await?;
    }
    let ends = refused(ends.refused.clone());
    store.settle_at_once(owner, &ends).await
}

/// Returns the reason of a foreign key or a trigger.
fn kept_because(done: &Result<(), StoreError>) -> Option<String> {
    match done {
        Err(StoreError::Query { source, .. }) => refusal(source.downcast_ref()?),
        _ => None,
    }
}

/// Parked entries that are changed in parts, so that no transaction is long.
#[derive(Debug)]
pub(crate) enum Parts<'w> {
    /// All that are left.
    All,
    /// Those that are left of a list.
    These(std::slice::Chunks<'w, EntryId>),
    /// None are left.
    Done,
}

/// Entries that are changed in one transaction.
pub(crate) struct Part {
    /// All that are left are meant without ids.
    pub(crate) ids: Option<Vec<i64>>,
}

const SIZE: usize = 5_000;

impl<'w> Parts<'w> {
    /// Entries of one part.
    pub(crate) const SIZE: i64 = 5_000;

    pub(crate) fn of(which: &'w WhichEntries) -> Self {
        match which {
            WhichEntries::All => Self::All,
            WhichEntries::These(ids) => Self::These(ids.chunks(SIZE)),
        }
    }

    pub(crate) fn next(&mut self) -> Option<Part> {
        match self {
            Self::All => Some(Part { ids: None }),
            Self::These(parts) => parts.next().map(|ids| Part {
                ids: Some(ids_of(ids)),
            }),
            Self::Done => None,
        }
    }

    /// Notes how many entries the last part changed.
    pub(crate) fn changed(&mut self, entries: usize) {
        if matches!(self, Self::All) && entries < SIZE {
            *self = Self::Done;
        }
    }
}

/// Returns whether a claim got all that it asked for, so that more may be due.
pub(crate) fn is_full(claim: &Claim, entries: usize) -> bool {
    u32::try_from(entries).is_ok_and(|entries| entries >= claim.limit.get())
}

/// Returns the answer to a claim, in the order of writing.
pub(crate) fn claimed(
    entries: impl Iterator<Item = OutboxEntry>,
    next_due: Option<Duration>,
) -> Claimed {
    let mut entries: Vec<OutboxEntry> = entries.collect();
    entries.sort_by_key(|entry| entry.id);
    Claimed { entries, next_due }
}

/// Returns how far ahead an entry may be due that waits, and one that is leased.
pub(crate) fn farthest(claim: &Claim) -> [i64; 2] {
    [false, true].map(|is_leased| micros_of(claim.farthest(is_leased)))
}

/// Returns a span of microseconds; one that lies in the past is zero.
pub(crate) fn span_of(micros: i64) -> Duration {
    Duration::from_micros(micros.max(0).unsigned_abs())
}

pub(crate) fn ids_of(ids: &[EntryId]) -> Vec<i64> {
    ids.iter().map(|id| id.0).collect()
}

pub(crate) fn micros_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).map_or(FAR, |micros| micros.min(FAR))
}

/// A hundred years, which every calendar holds.
const FAR: i64 = 100 * 365 * 24 * 60 * 60 * 1_000_000;
