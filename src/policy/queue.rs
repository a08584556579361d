//! The queue of one job: runs that wait, and the callers that wait for them.

use std::collections::VecDeque;

use crate::job::Scope;
use crate::model::{Requester, RunId, Trigger};

/// Runs of one job that wait for the worker, one per scope, first in first out.
#[derive(Debug)]
pub(crate) struct RunQueue<W> {
    /// Each scope at most once, but for a returned run before a later one that were both requested.
    runs: VecDeque<QueuedRun<W>>,
}

/// A run that waits for the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueuedRun<W> {
    /// The id it will have.
    pub(crate) run: RunId,
    /// The rows it will cover.
    pub(crate) scope: Scope,
    /// The highest of the merged triggers.
    pub(crate) trigger: Trigger,
    /// The requesters that the messages name.
    pub(crate) requested_by: Vec<Requester>,
    /// The callers that wait for its report.
    pub(crate) waiters: Vec<W>,
}

impl<W> RunQueue<W> {
    /// Limits the scopes that wait; [`Scope::All`] is exempt.
    pub(crate) const MAX_SCOPES: usize = 1_000;

    pub(crate) fn new() -> Self {
        Self {
            runs: VecDeque::new(),
        }
    }

    /// Queues a run, or merges the trigger into the one that waits for the same scope. Returns its
    /// id, or the waiter if the queue is full.
    pub(crate) fn push(
        &mut self,
        scope: Scope,
        trigger: Trigger,
        waiter: Option<W>,
        by: Option<Requester>,
    ) -> Result<RunId, Option<W>> {
        if let Some(run) = self.runs.iter_mut().find(|run| run.scope == scope) {
            run.trigger = run.trigger.max(trigger);
            run.waiters.extend(waiter);
            if let Some(by) = by {
                Requester::add(&mut run.requested_by, by);
            }
            return Ok(run.run);
        }
        // Ticks and deadlines cover all rows: a crowd of single users must not keep them out.
        if self.len() >= Self::MAX_SCOPES && scope != Scope::All {
            return Err(waiter);
        }
        let run = RunId::fresh();
        self.runs.push_back(QueuedRun {
            run,
            scope,
            trigger,
            requested_by: by.into_iter().collect(),
            waiters: waiter.into_iter().collect(),
        });
        Ok(run)
    }

    /// Returns a run that never began to the front, merged with triggers of its scope since then.
    ///
    /// Two runs that messages requested stay apart: their callers may know both ids.
    pub(crate) fn push_front(&mut self, mut run: QueuedRun<W>) {
        let requested = run.trigger == Trigger::Manual;
        let place = self.runs.iter().position(|later| {
            later.scope == run.scope && !(requested && later.trigger == Trigger::Manual)
        });
        if let Some(later) = place.and_then(|place| self.runs.remove(place)) {
            if later.trigger == Trigger::Manual {
                run.run = later.run;
            }
            run.trigger = run.trigger.max(later.trigger);
            run.waiters.extend(later.waiters);
            for by in later.requested_by {
                Requester::add(&mut run.requested_by, by);
            }
        }
        self.runs.push_front(run);
    }

    /// Returns the queued run of this id, and how many wait before it.
    pub(crate) fn find(&mut self, run: RunId) -> Option<(usize, &mut QueuedRun<W>)> {
        let mut runs = self.runs.iter_mut().enumerate();
        runs.find(|(_, queued)| queued.run == run)
    }

    /// Takes the run that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<QueuedRun<W>> {
        self.runs.pop_front()
    }

    /// Takes all runs, the longest wait first.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRun<W>> {
        self.runs.drain(..).collect()
    }

    /// Drops the runs that no message requested.
    pub(crate) fn keep_manual(&mut self) {
        self.runs.retain(|run| run.trigger == Trigger::Manual);
    }

    /// Drops waiters that have gone away. Their runs stay queued.
    pub(crate) fn drop_waiters(&mut self, is_gone: impl Fn(&W) -> bool) {
        for run in &mut self.runs {
            run.waiters.retain(|waiter| !is_gone(waiter));
        }
    }

    /// Returns the number of queued runs.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Returns the number of callers that wait for a report.
    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        self.runs.iter().map(|run| run.waiters.len()).sum()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

#[cfg(test)]
mod tests;
