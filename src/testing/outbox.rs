//! An outbox in plain Rust: for tests of a receiver, and a model for tests of the databases.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::job::{BoundedCount, JobName};
use crate::model::{
    Claim, Claimed, EntryId, Outbox, OutboxCounts, OutboxEntry, ParkedEntry, ParkedPage,
    Settlement, StoreError, WhichEntries,
};
use crate::time::{Clock, SystemClock, after};

/// An outbox in memory, with the promises of those in a database. Clones share their entries.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::testing::MemoryOutbox;
///
/// let outbox = MemoryOutbox::new();
/// let id = outbox.write("booking-expirer", "bookings", "b1", r#"{"user_id":7}"#);
///
/// assert_eq!(outbox.waiting(), [id]);
/// ```
#[derive(Clone)]
pub struct MemoryOutbox {
    lines: Arc<Mutex<Lines>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Lines {
    last: i64,
    lines: BTreeMap<EntryId, Line>,
}

struct Line {
    entry: OutboxEntry,
    due_at: DateTime<Utc>,
    leased_by: Option<Uuid>,
    error: Option<String>,
    parked_at: Option<DateTime<Utc>>,
}

impl MemoryOutbox {
    /// Creates an empty outbox that uses the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lines: Arc::default(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Writes an entry, like a rule that changes a row. Returns its id.
    pub fn write(
        &self,
        rule: impl Into<JobName>,
        topic: impl Into<String>,
        key: impl Into<String>,
        payload: impl Into<String>,
    ) -> EntryId {
        let now = self.now();
        let mut lines = self.lines();
        lines.last += 1;
        let id = EntryId(lines.last);
        let entry = OutboxEntry {
            topic: topic.into(),
            ..OutboxEntry::new(id, rule, key, now, payload)
        };
        let line = Line {
            entry,
            due_at: now,
            leased_by: None,
            error: None,
            parked_at: None,
        };
        lines.lines.insert(id, line);
        id
    }

    /// Returns the entries that are neither acknowledged nor parked.
    #[must_use]
    pub fn waiting(&self) -> Vec<EntryId> {
        let lines = self.lines();
        let waiting = lines.lines.values().filter(|line| line.parked_at.is_none());
        waiting.map(|line| line.entry.id).collect()
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryOutbox {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryOutbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOutbox")
            .field("entries", &self.lines().lines.len())
            .finish_non_exhaustive()
    }
}

impl Lines {
    fn waiting<'l>(&'l mut self, rule: &JobName) -> impl Iterator<Item = &'l mut Line> + use<'l> {
        let rule = rule.clone();
        let lines = self.lines.values_mut();
        lines.filter(move |line| line.entry.rule == rule && line.parked_at.is_none())
    }

    fn parked(&self, rule: &JobName, which: &WhichEntries) -> Vec<EntryId> {
        let is_meant = |id: EntryId| match which {
            WhichEntries::All => true,
            WhichEntries::These(ids) => ids.contains(&id),
        };
        let lines = self.lines.values();
        lines
            .filter(|line| line.entry.rule == *rule && line.parked_at.is_some())
            .map(|line| line.entry.id)
            .filter(|id| is_meant(*id))
            .collect()
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let now = self.now();
        let mut lines = self.lines();
        for line in lines.waiting(&claim.rule) {
            if line.due_at > after(now, claim.farthest(line.leased_by.is_some())) {
                line.due_at = now;
            }
        }
        let waiting: Vec<(EntryId, String)> = lines
            .waiting(&claim.rule)
            .map(|line| (line.entry.id, line.entry.key.clone()))
            .collect();
        let is_first = |line: &Line| {
            let first = waiting.iter().find(|(_, key)| *key == line.entry.key);
            !claim.in_order_of_key || first.is_some_and(|(id, _)| *id == line.entry.id)
        };
        let mut due: Vec<&mut Line> = lines
            .waiting(&claim.rule)
            .filter(|line| line.due_at <= now && is_first(line))
            .collect();
        due.sort_by_key(|line| (line.due_at, line.entry.id));
        let limit = usize::try_from(claim.limit.get()).unwrap_or(usize::MAX);
        due.truncate(limit);
        let mut claimed = Claimed::default();
        for line in due {
            line.due_at = after(now, claim.lease);
            if line.leased_by.replace(claim.owner).is_some() {
                line.entry.attempts += 1;
                line.error = Some("the lease ran out".to_owned());
            }
            claimed.entries.push(line.entry.clone());
        }
        claimed.next_due = if claimed.entries.len() == limit {
            Some(Duration::ZERO)
        } else {
            let later = lines.waiting(&claim.rule).map(|line| line.due_at);
            let next = later.filter(|due_at| *due_at > now).min();
            next.map(|due_at| (due_at - now).to_std().unwrap_or_default())
        };
        claimed.entries.sort_by_key(|entry| entry.id);
        Ok(claimed)
    }

    async fn settle(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError> {
        let now = self.now();
        let mut lines = self.lines();
        for id in &settlement.acknowledged {
            lines.lines.remove(id);
        }
        for refused in &settlement.refused {
            let Some(line) = lines.lines.get_mut(&refused.id) else {
                continue;
            };
            if line.leased_by != Some(owner) || line.parked_at.is_some() {
                continue;
            }
            line.leased_by = None;
            line.entry.attempts = refused.attempts;
            line.due_at = after(now, refused.again_after.unwrap_or_default());
            line.parked_at = refused.again_after.is_none().then_some(now);
            if refused.error.is_some() {
                line.error.clone_from(&refused.error);
            }
        }
        Ok(())
    }

    async fn release(&self, rule: &JobName, owner: Uuid) -> Result<u64, StoreError> {
        let now = self.now();
        let mut lines = self.lines();
        let mut released = 0;
        for line in lines.waiting(rule) {
            if line.leased_by == Some(owner) {
                line.leased_by = None;
                line.due_at = now;
                released += 1;
            }
        }
        Ok(released)
    }

    async fn counts(&self, rule: &JobName) -> Result<OutboxCounts, StoreError> {
        let now = self.now();
        let mut lines = self.lines();
        let parked = lines.parked(rule, &WhichEntries::All).len() as u64;
        let (mut waiting, mut failing, mut oldest) = (0, 0, None);
        for line in lines.waiting(rule) {
            waiting += 1;
            failing += u64::from(line.entry.attempts > 0);
            let age = (now - line.entry.at).to_std().unwrap_or_default();
            oldest = oldest.max(Some(age));
        }
        Ok(OutboxCounts::new(
            BoundedCount::from_probe(waiting),
            BoundedCount::from_probe(failing),
            BoundedCount::from_probe(parked),
            oldest,
        ))
    }

    async fn parked(
        &self,
        rule: &JobName,
        page: &ParkedPage,
    ) -> Result<Vec<ParkedEntry>, StoreError> {
        let lines = self.lines();
        let ids = lines.parked(rule, &WhichEntries::All).into_iter();
        let size = usize::try_from(page.size.get()).unwrap_or(usize::MAX);
        let parked = ids
            .filter(|id| page.after.is_none_or(|after| *id > after))
            .take(size)
            .filter_map(|id| {
                let line = lines.lines.get(&id)?;
                let (at, error) = (line.parked_at?, line.error.clone());
                Some(ParkedEntry::new(line.entry.clone(), at, error))
            });
        Ok(parked.collect())
    }

    async fn redeliver(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        let now = self.now();
        let mut lines = self.lines();
        let ids = lines.parked(rule, which);
        for id in &ids {
            if let Some(line) = lines.lines.get_mut(id) {
                line.parked_at = None;
                line.leased_by = None;
                line.entry.attempts = 0;
                line.due_at = now;
            }
        }
        Ok(ids.len() as u64)
    }

    async fn discard(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        let mut lines = self.lines();
        let ids = lines.parked(rule, which);
        for id in &ids {
            lines.lines.remove(id);
        }
        Ok(ids.len() as u64)
    }
}

/// Removes all due entries of a rule from an outbox, and returns them in the order of writing.
///
/// # Errors
///
/// Fails if the outbox fails.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::testing::{MemoryOutbox, drain};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let outbox = MemoryOutbox::new();
/// outbox.write("booking-expirer", "bookings", "b1", "{}");
///
/// let entries = drain(&outbox, "booking-expirer").await?;
///
/// assert_eq!(entries[0].key, "b1");
/// assert_eq!(outbox.waiting(), []);
/// # Ok(())
/// # }
/// ```
pub async fn drain(
    outbox: &dyn Outbox,
    rule: impl Into<JobName>,
) -> Result<Vec<OutboxEntry>, StoreError> {
    let claim = Claim {
        rule: rule.into(),
        owner: Uuid::new_v4(),
        limit: const { NonZeroU32::new(1_000).expect("1000 is not zero") },
        lease: Duration::from_secs(60),
        max_wait: Duration::MAX,
        in_order_of_key: false,
    };
    let mut drained = Vec::new();
    loop {
        let entries = outbox.claim(&claim).await?.entries;
        if entries.is_empty() {
            drained.sort_by_key(|entry: &OutboxEntry| entry.id);
            return Ok(drained);
        }
        let settlement = Settlement {
            acknowledged: entries.iter().map(|entry| entry.id).collect(),
            ..Settlement::default()
        };
        outbox.settle(claim.owner, &settlement).await?;
        drained.extend(entries);
    }
}
