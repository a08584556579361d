//! When the plan of a rule is careful, and which rows are known to fail it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;

use super::failing_rows::{self, Search, may_fail};
use super::plan::Plan;
use super::probe::FailingRows;
use super::{RuleJob, TRUST};
use crate::model::StoreError;
use crate::store::tx_error::TxResult;

impl RuleJob {
    /// Begins a run with the rows that failed in the last one: they may have been mended.
    pub(super) fn judge_again(&self) {
        if self.careful.load(Ordering::Relaxed) {
            let again = self.failing().again();
            self.set_careful(again.is_some(), again.unwrap_or_default());
        }
    }

    /// Returns whether what failed should run again, because a row may fail it, or a sum may have
    /// been too large.
    pub(super) fn grows_careful<T>(&self, done: &Result<T, StoreError>) -> bool {
        // Other rows may fail since they were looked for.
        let is_new = self.rule.decides_by_sql() || !self.careful.load(Ordering::Relaxed);
        let failed = done.as_ref().err();
        let again = is_new && failed.is_some_and(|error| may_fail(&self.rule, error));
        if again {
            self.set_careful(true, Search::All);
        }
        again
    }

    /// The rows that fail the host's SQL, looked for if they are not known.
    pub(super) async fn failing_rows(
        &self,
        conn: &mut AsyncPgConnection,
        plan: &Plan,
    ) -> TxResult<Arc<FailingRows>> {
        let search = self.failing().clone();
        let before = match &search {
            Search::Done(found) => return Ok(found.clone()),
            Search::Again(before) => Some(&**before),
            // Another statement failed for another reason, such as a user that is no number.
            Search::All if self.searched_in_vain() => return Ok(Arc::default()),
            Search::All => None,
        };
        let timeout = self.store.timeouts.statement;
        let began = Instant::now();
        let found = Arc::new(failing_rows::find(conn, plan, timeout, before).await?);
        tracing::debug!(
            job.name = self.rule.name,
            rows = found.addresses.len(),
            "looked for rows that fail an expression of the rule"
        );
        if before.is_none() {
            // Searches in vain take a tenth of the time at most.
            let pause = began.elapsed().saturating_mul(10).clamp(MIN_PAUSE, TRUST);
            let next = Instant::now().checked_add(pause);
            *self.next_search() = next.filter(|_| found.addresses.is_empty());
        }
        *self.failing() = Search::Done(found.clone());
        Ok(found)
    }

    /// Whether a search has just found no row that fails.
    fn searched_in_vain(&self) -> bool {
        self.next_search().is_some_and(|at| Instant::now() < at)
    }

    fn next_search(&self) -> MutexGuard<'_, Option<Instant>> {
        self.next_search
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn failing(&self) -> MutexGuard<'_, Search> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides whether the next plan is careful, and which rows may fail it.
    pub(super) fn set_careful(&self, careful: bool, search: Search) {
        if self.careful.swap(careful, Ordering::Relaxed) != careful {
            // A sum has another form.
            self.floor.begin(true);
        }
        *self.failing() = search;
        *self.known() = None;
    }
}

/// Shortest time from a search in vain to the next search.
const MIN_PAUSE: Duration = Duration::from_secs(1);
