//! The promise of delivery: each changed row reaches its receiver, none that was not changed does,
//! and a repeat has a reason.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::JobName;
use ractor_housekeeper::actors::Destination;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::model::{
    Claim, Claimed, EntryId, Outbox, OutboxCounts, OutboxEntry, ParkedEntry, ParkedPage,
    Settlement, StoreError, WhichEntries,
};
use ractor_housekeeper::testing::MemoryOutbox;
use uuid::Uuid;

use crate::unreliable::{FaultSource, as_store};
use crate::world::WorldState;

/// All entries that were written, and what their receivers saw of them.
#[derive(Default)]
pub(crate) struct Deliveries(BTreeMap<EntryId, Written>);

struct Written {
    key: String,
    at: DateTime<Utc>,
    /// Nothing went wrong since it was written.
    without_faults: bool,
    received: u32,
    acknowledged: u32,
}

impl WorldState {
    /// Hands on what a batch changed.
    pub(crate) fn hand_on(&mut self, keys: &[String]) {
        for key in keys {
            let id = self
                .outbox
                .write(BookingExpirer::NAME, "bookings", key.as_str(), "{}");
            let written = Written {
                key: key.clone(),
                at: self.now(),
                without_faults: self.without_faults,
                received: 0,
                acknowledged: 0,
            };
            self.deliveries.0.insert(id, written);
            self.totals.outcome("entries", 1);
        }
    }

    fn received(&mut self, entry: &OutboxEntry) {
        let written = self.deliveries.0.get_mut(&entry.id);
        let Some(written) = written.filter(|written| written.key == entry.key) else {
            let broken = format!("entry {} of {} was never written", entry.id, entry.key);
            return self.break_promise(broken);
        };
        written.received += 1;
        let (repeats, without_faults) = (written.received > 1, written.without_faults);
        if repeats {
            self.totals.outcome("entries repeated", 1);
        }
        if repeats && without_faults && self.without_faults {
            let broken = format!("entry {} was delivered twice without a fault", entry.id);
            self.break_promise(broken);
        }
    }

    fn acknowledged(&mut self, id: EntryId) {
        if let Some(written) = self.deliveries.0.get_mut(&id) {
            written.acknowledged += 1;
        }
    }

    /// The first entry that was written before `then` and is not with its receiver, or is still in
    /// the outbox.
    pub(crate) fn undelivered(&self, then: DateTime<Utc>) -> Option<String> {
        let waiting = self.outbox.waiting();
        let mut old = self
            .deliveries
            .0
            .iter()
            .filter(|(_, written)| written.at < then);
        old.find_map(|(id, written)| {
            if written.acknowledged == 0 {
                Some(format!("entry {id} never reached its receiver"))
            } else if waiting.contains(id) {
                Some(format!("entry {id} is delivered and still in the outbox"))
            } else {
                None
            }
        })
    }

    /// Checks what must hold after a time without faults.
    pub(crate) fn check_deliveries(&mut self) {
        let then = self.now() - TimeDelta::seconds(6);
        if let Some(broken) = self.undelivered(then) {
            self.break_promise(format!("{broken}, without a fault"));
        }
        for written in self.deliveries.0.values_mut() {
            written.without_faults = false;
        }
    }
}

/// A receiver that fails.
pub(crate) fn receiver(fault_source: &FaultSource) -> Destination {
    let fault_source = fault_source.clone();
    Destination::handler(move |entry: OutboxEntry| {
        let fault_source = fault_source.clone();
        async move {
            fault_source.world.lock().received(&entry);
            fault_source.pass("in receiver").await?;
            fault_source.world.lock().acknowledged(entry.id);
            fault_source.pass("after receiver").await?;
            Ok(())
        }
    })
}

/// The outbox of one replica, with faults in every step.
pub(crate) struct UnreliableOutbox {
    pub(crate) inner: MemoryOutbox,
    pub(crate) fault_source: FaultSource,
}

impl UnreliableOutbox {
    async fn pass(&self, place: &'static str) -> Result<(), StoreError> {
        self.fault_source.pass(place).await.map_err(as_store)
    }
}

#[async_trait]
impl Outbox for UnreliableOutbox {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        self.pass("before claim").await?;
        let claimed = self.inner.claim(claim).await?;
        self.pass("after claim").await?;
        Ok(claimed)
    }

    async fn settle(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError> {
        self.pass("before settle").await?;
        self.inner.settle(owner, settlement).await?;
        self.pass("after settle").await
    }

    async fn release(&self, rule: &JobName, owner: Uuid) -> Result<u64, StoreError> {
        self.pass("before release").await?;
        self.inner.release(rule, owner).await
    }

    async fn counts(&self, rule: &JobName) -> Result<OutboxCounts, StoreError> {
        self.pass("before counts").await?;
        self.inner.counts(rule).await
    }

    async fn parked(
        &self,
        rule: &JobName,
        page: &ParkedPage,
    ) -> Result<Vec<ParkedEntry>, StoreError> {
        self.inner.parked(rule, page).await
    }

    async fn redeliver(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        self.inner.redeliver(rule, which).await
    }

    async fn discard(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        self.inner.discard(rule, which).await
    }
}
