//! The steps of a courier in the database, each with a timeout.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::CourierArguments;
use crate::actors::timeout::{StepError, with_timeout};
use crate::config::{CourierConfig, DeliveryOrder};
use crate::job::{JobError, JobName};
use crate::model::{Claim, Claimed, Outbox, OutboxCounts, Settlement};

/// The steps of a courier in the database, each with a timeout.
pub(super) struct Steps {
    rule: JobName,
    outbox: Arc<dyn Outbox>,
    owner: Uuid,
    /// Whether the leases of an earlier life have ended.
    released: bool,
    started: Instant,
    counted: Option<Instant>,
    /// Whether there may be entries to count.
    changed: bool,
}

impl Steps {
    pub(super) fn new(arguments: &CourierArguments) -> Self {
        Self {
            rule: arguments.rule.clone(),
            outbox: arguments.outbox.clone(),
            owner: arguments.owner,
            released: false,
            started: Instant::now(),
            counted: None,
            changed: true,
        }
    }

    /// Claims due entries, after the first call has ended the leases of an earlier life.
    pub(super) async fn claim(
        &mut self,
        limit: NonZeroU32,
        config: &CourierConfig,
    ) -> Result<Claimed, StepError> {
        let claim = Claim {
            rule: self.rule.clone(),
            owner: self.owner,
            limit,
            lease: config.lease(),
            max_wait: config.max_wait(),
            in_order_of_key: config.order == DeliveryOrder::PerKey,
        };
        let claiming = async {
            if !self.released {
                self.outbox.release(&self.rule, self.owner).await?;
            }
            Ok::<_, JobError>(self.outbox.claim(&claim).await?)
        };
        let claimed = with_timeout(STEP_TIMEOUT, "claim entries", claiming).await?;
        self.released = true;
        self.changed |= !claimed.entries.is_empty() || claimed.next_due.is_some();
        Ok(claimed)
    }

    pub(super) async fn settle(&self, settlement: &Settlement) -> Result<(), StepError> {
        let settling = async { Ok(self.outbox.settle(self.owner, settlement).await?) };
        with_timeout(STEP_TIMEOUT, "settle entries", settling).await
    }

    /// Notes that another has changed entries.
    pub(super) fn entries_changed(&mut self) {
        self.changed = true;
    }

    /// Counts the entries, at most once in `every`; not while there are none. Other processes may
    /// change those that are there. A courier that `sleeps` counts for the first time at once.
    pub(super) async fn counts(&mut self, every: Duration, sleeps: bool) -> Option<OutboxCounts> {
        let is_first = sleeps && self.counted.is_none();
        let is_due = self.counted.unwrap_or(self.started).elapsed() >= every;
        if !self.changed || !(is_due || is_first) {
            return None;
        }
        let counting = async { Ok(self.outbox.counts(&self.rule).await?) };
        let counts = with_timeout(STEP_TIMEOUT, "count entries", counting).await;
        self.counted = Some(Instant::now());
        let is_empty = |counts: &OutboxCounts| counts.waiting.count + counts.parked.count == 0;
        self.changed = !counts.as_ref().is_ok_and(is_empty);
        counts.ok()
    }
}

/// Timeout of a step in the database, which has shorter ones of its own.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
