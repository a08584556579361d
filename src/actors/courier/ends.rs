//! Ends of deliveries until they are written.

use std::time::Duration;

use crate::config::CourierConfig;
use crate::model::{DeliveryEnd, DeliveryRecord, OutboxEntry, RefusedEntry, Settlement};
use crate::policy::again_after;

/// Ends of deliveries until they are written.
#[derive(Default)]
pub(super) struct Ends {
    settlement: Settlement,
    records: Vec<DeliveryRecord>,
}

impl Ends {
    pub(super) fn acknowledge(&mut self, entry: &OutboxEntry) {
        self.settlement.acknowledged.push(entry.id);
        self.note(entry, DeliveryEnd::Acknowledged);
    }

    /// Redelivers an entry later, or parks it. Returns the wait before it is due again.
    pub(super) fn refuse(
        &mut self,
        entry: &OutboxEntry,
        attempts: u32,
        error: String,
        config: &CourierConfig,
    ) -> Option<Duration> {
        let wait = again_after(config, attempts, fastrand::f64());
        if wait.is_none() {
            let (rule, id, key) = (&entry.rule, entry.id, &entry.key);
            tracing::warn!(job.name = %rule, entry.id = %id, entry.key = key, entry.attempts = attempts, %error, "an entry of {rule} is parked");
        }
        let text = error.clone();
        self.note(
            entry,
            match wait {
                Some(again_after) => DeliveryEnd::Refused {
                    error: text,
                    again_after,
                },
                None => DeliveryEnd::Parked { error: text },
            },
        );
        self.settlement.refused.push(RefusedEntry {
            id: entry.id,
            attempts,
            error: Some(error),
            again_after: wait,
        });
        wait
    }

    /// Ends the lease of an entry that was not delivered, without an attempt. It is due after this
    /// wait.
    pub(super) fn put_back(&mut self, entry: &OutboxEntry, wait: Duration) {
        self.settlement.refused.push(RefusedEntry {
            id: entry.id,
            attempts: entry.attempts,
            error: None,
            again_after: Some(wait),
        });
    }

    /// Returns the ends that are not in the outbox yet.
    pub(super) fn unsaved(&self) -> &Settlement {
        &self.settlement
    }

    /// Clears the ends after their write. Returns whether any was the last of its entry.
    pub(super) fn written(&mut self) -> bool {
        let written = std::mem::take(&mut self.settlement);
        let is_parked = |entry: &RefusedEntry| entry.again_after.is_none();
        !written.acknowledged.is_empty() || written.refused.iter().any(is_parked)
    }

    /// Takes out the records of ends that were written; none while a write is due.
    pub(super) fn take_records(&mut self) -> Vec<DeliveryRecord> {
        if self.settlement.is_empty() {
            std::mem::take(&mut self.records)
        } else {
            Vec::new()
        }
    }

    fn note(&mut self, entry: &OutboxEntry, end: DeliveryEnd) {
        self.records.push(DeliveryRecord::new(entry, end));
    }
}
