//! The attempts at a batch: all rows together, again under a new plan, and row by row.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::cursor::place;
use super::plan::{Plan, Values, user};
use super::{RuleJob, bulk, row_by_row};
use crate::job::{Batch, BatchRequest};
use crate::model::StoreError;
use crate::store::postgres::attempt::transact;
use crate::store::postgres::flight::Flight;
use crate::store::tx_error::TxResult;

impl RuleJob {
    /// Notes a batch that is about to be committed, and fires what waits for the commit.
    async fn noted(
        &self,
        flight: &mut Flight,
        plan: &Plan,
        values: &Values<'_>,
        done: TxResult<Batch>,
    ) -> TxResult<Batch> {
        let batch = done?;
        self.doubts.note(flight, &batch).await?;
        bulk::check_over(flight, plan, values, &batch.ids).await?;
        Ok(batch)
    }

    /// Returns the batch whose commit was not confirmed, once the database says that it was
    /// committed.
    pub(super) async fn confirm(&self, error: StoreError, after: u64) -> Result<Batch, StoreError> {
        if self.doubts.rows() == 0 {
            return Err(error);
        }
        self.doubts.resolve(&self.store).await;
        match (self.doubts.take_committed(after), self.doubts.rows()) {
            (Some(batch), _) => Ok(batch),
            (None, 0) => Err(error),
            (None, rows) => Err(StoreError::InDoubt {
                rows,
                source: error.into(),
            }),
        }
    }

    /// Handles the rows of a batch together, or one by one where that has failed.
    pub(super) async fn batch(&self, request: &BatchRequest) -> Result<Batch, StoreError> {
        let plan = self.plan().await?;
        let after = place(request.after.as_ref(), plan.keys)?;
        // Behind a place the floor adds nothing.
        let floor = self.floor.get().filter(|_| after.is_empty());
        let values = Values {
            scope: user(&request.scope),
            floor: floor.as_deref(),
            after: &after,
            limit: i64::from(request.limit.get()),
            ..Values::at(request.now, request.cutoff)
        };
        // A batch that was dropped, or ran out of time, is not tried together again.
        if self.under_way.swap(true, Ordering::AcqRel) || self.contention.goes_row_by_row() {
            let batch = self.each(&plan, &values).await;
            self.under_way.store(false, Ordering::Release);
            return batch;
        }
        let began = Instant::now();
        let batch = match self.together(&plan, &values).await? {
            Err(error) if error.goes_row_by_row() => {
                tracing::debug!(job.name = self.rule.name, error = %error.into_store_error(WRITE), "goes row by row");
                let lost = began.elapsed();
                let mut batch = self.again(&plan, &values).await;
                if let Ok(batch) = &mut batch {
                    // The first attempt waited for the same locks.
                    if !batch.waited.is_zero() {
                        batch.waited = batch.waited.saturating_add(lost);
                    }
                }
                batch
            }
            done => done.map_err(|error| error.into_store_error(WRITE)),
        };
        self.under_way.store(false, Ordering::Release);
        batch
    }

    async fn together(
        &self,
        plan: &Plan,
        values: &Values<'_>,
    ) -> Result<TxResult<Batch>, StoreError> {
        let mut flight = self.store.begin(plan.to_write(), WRITE).await?;
        let done = if self.rule.asks_others() {
            bulk::lock_then_write(&mut flight, plan, values).await
        } else {
            bulk::sweep(&mut flight, plan, values).await
        };
        let done = self.noted(&mut flight, plan, values, done).await;
        Ok(flight.land(done).await)
    }

    /// The batch once more: all rows together if other keys are known to keep some, else one by
    /// one.
    async fn again(&self, before: &Plan, values: &Values<'_>) -> Result<Batch, StoreError> {
        self.suspects
            .store(self.rule.keeps_referenced, Ordering::Relaxed);
        // The tables may have changed: types, keys.
        *self.known() = None;
        let plan = self.plan().await?;
        if plan.keeper != before.keeper {
            if let Ok(batch) = self.together(&plan, values).await? {
                return Ok(batch);
            }
        }
        self.each(&plan, values).await
    }

    async fn each(&self, plan: &Plan, values: &Values<'_>) -> Result<Batch, StoreError> {
        let slow = self.contention.slow_rows();
        let mut timeouts = slow.shorten(row_by_row::timeouts(self.store.timeouts));
        if self.contention.goes_row_by_row() {
            timeouts.lock = timeouts.lock.min(row_by_row::SHORT_LOCK);
        }
        let store = &self.store;
        let batch = transact!(
            store,
            plan.to_write(),
            WRITE,
            |flight| {
                let batch =
                    row_by_row::write(flight, plan, values, timeouts, &self.contention).await?;
                self.doubts.note(flight, &batch).await?;
                batch
            },
            timeouts
        )?;
        self.contention.note(&batch);
        Ok(batch)
    }
}

const WRITE: &str = "handle due rows";
