//! The answers to deliveries: acknowledged, refused, or none.

use std::time::Duration;

use tokio::time::Instant;

use super::State;
use crate::actors::destination::Delivered;
use crate::fmt::log_line;
use crate::metrics::recorder;
use crate::model::{EntryId, OutboxEntry};

impl State {
    pub(super) fn delivered(&mut self, id: EntryId, delivered: Delivered) {
        let Some(delivery) = self.sending.end(id) else {
            return;
        };
        let rule = &self.arguments.rule;
        recorder::delivered(rule, delivery.sent_at.elapsed(), delivered.as_str());
        let entry = &delivery.entry;
        match delivered {
            Delivered::Acknowledged => {
                self.batch.acknowledged += 1;
                self.ends.acknowledge(entry);
            }
            Delivered::Refused(error) => {
                self.batch.failed += 1;
                self.refuse(entry, entry.attempts.saturating_add(1), log_line(&error));
            }
            Delivered::Absent(why) => {
                self.batch.unavailable = true;
                self.problem = Some(why.to_owned());
                self.put_back(entry);
            }
            Delivered::Unavailable(error) => {
                self.batch.unavailable = true;
                self.problem = Some(log_line(&error));
                let wait = self.pace.unavailable(&self.arguments.config);
                self.ends.put_back(entry, wait);
                self.polls.due_after(wait);
                self.unavailable_until = Some(Instant::now() + wait);
            }
            Delivered::Lost => self.sending.lose(&delivery),
        }
    }

    /// Redelivers an entry later, or parks it.
    pub(super) fn refuse(&mut self, entry: &OutboxEntry, attempts: u32, error: String) {
        let config = &self.arguments.config;
        if let Some(wait) = self.ends.refuse(entry, attempts, error, config) {
            self.polls.due_after(wait);
        }
    }

    fn put_back(&mut self, entry: &OutboxEntry) {
        self.ends.put_back(entry, Duration::ZERO);
        self.polls.wake();
    }

    pub(super) fn put_all_back(&mut self) {
        for entry in self.sending.take_unsent() {
            self.put_back(&entry);
        }
    }

    /// Accounts for a batch whose last delivery has ended.
    pub(super) fn end_batch(&mut self) {
        // A receiver handles one message at a time: the others were never begun.
        let mut lost = self.sending.take_lost();
        if let Some(first) = lost.next() {
            self.batch.failed += 1;
            self.batch.unavailable = true;
            let error = "the receiver stopped before it answered".to_owned();
            self.problem = Some(error.clone());
            self.refuse(&first, first.attempts.saturating_add(1), error);
            for entry in lost {
                self.put_back(&entry);
            }
        }
        let batch = std::mem::take(&mut self.batch);
        let wait = self
            .pace
            .ended(batch, &self.arguments.config, fastrand::f64());
        if let Some(wait) = wait {
            let known = self.problem.take();
            let problem = known.unwrap_or_else(|| "the receiver refuses all entries".to_owned());
            self.polls.block(wait);
            self.problem = Some(problem);
        } else if batch.acknowledged > 0 {
            self.problem = None;
        }
    }
}
