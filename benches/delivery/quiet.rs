//! How often an idle courier goes to its database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ractor_housekeeper::config::CourierConfig;
use ractor_housekeeper::model::{
    Claim, Claimed, Outbox, OutboxCounts, ParkedEntry, ParkedPage, Settlement, StoreError,
    WhichEntries,
};
use ractor_housekeeper::{JobName, start};
use uuid::Uuid;

use crate::support::Result;
use crate::support::figures::{Bound, target};
use crate::world::{World, courier};

/// Counts the steps of a courier.
struct Counted {
    outbox: Arc<dyn Outbox>,
    steps: Arc<AtomicU64>,
}

impl Counted {
    fn step(&self) -> &dyn Outbox {
        self.steps.fetch_add(1, Ordering::Relaxed);
        &*self.outbox
    }
}

#[async_trait]
impl Outbox for Counted {
    async fn claim(&self, claim: &Claim) -> std::result::Result<Claimed, StoreError> {
        self.step().claim(claim).await
    }
    async fn settle(
        &self,
        owner: Uuid,
        settlement: &Settlement,
    ) -> std::result::Result<(), StoreError> {
        self.step().settle(owner, settlement).await
    }
    async fn release(&self, rule: &JobName, owner: Uuid) -> std::result::Result<u64, StoreError> {
        self.step().release(rule, owner).await
    }
    async fn counts(&self, rule: &JobName) -> std::result::Result<OutboxCounts, StoreError> {
        self.step().counts(rule).await
    }
    async fn parked(
        &self,
        rule: &JobName,
        page: &ParkedPage,
    ) -> std::result::Result<Vec<ParkedEntry>, StoreError> {
        self.step().parked(rule, page).await
    }
    async fn redeliver(
        &self,
        rule: &JobName,
        which: &WhichEntries,
    ) -> std::result::Result<u64, StoreError> {
        self.step().redeliver(rule, which).await
    }
    async fn discard(
        &self,
        rule: &JobName,
        which: &WhichEntries,
    ) -> std::result::Result<u64, StoreError> {
        self.step().discard(rule, which).await
    }
}

pub(crate) async fn idle(world: &mut World, length: Duration) -> Result<()> {
    world.clear().await?;
    let steps = Arc::new(AtomicU64::new(0));
    let outbox = Counted {
        outbox: world.outbox.clone(),
        steps: steps.clone(),
    };
    let arguments = courier(Vec::new(), Arc::new(outbox), |_| {});
    let housekeeper = start(None, arguments).await?.housekeeper;
    // The first look ends old leases and counts.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = steps.load(Ordering::Relaxed);
    tokio::time::sleep(length).await;
    let seen = steps.load(Ordering::Relaxed) - before;
    housekeeper.shutdown(Duration::from_secs(10)).await;

    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    let looks = seen as f64 / length.as_secs_f64();
    let every = CourierConfig::default().poll_interval.as_secs_f64();
    let name = format!("steps of an idle courier on {}", world.name());
    // Looks are up to a tenth closer, so that replicas drift apart; one may lie on the edge.
    let allowed = (length.as_secs_f64() / every / 0.9 + 1.0).floor() / length.as_secs_f64();
    target(&name, Bound::AtMost(allowed), "a second", &[looks]);
    Ok(())
}
