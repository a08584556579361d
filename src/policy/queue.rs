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
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_trigger_of_a_queued_scope_merges_into_its_run() {
        let mut queue = RunQueue::new();

        let first = queue.push(Scope::All, Trigger::Retry, Some(1), None);
        let second = queue.push(Scope::All, Trigger::Manual, Some(2), None);
        let third = queue.push(Scope::All, Trigger::Tick, None, None);

        assert!(first.is_ok());
        assert_eq!((second, third), (first, first));
        assert_eq!(
            drained(&mut queue),
            [queued(Scope::All, Trigger::Manual, vec![1, 2])]
        );
    }

    #[test]
    fn runs_leave_first_in_first_out() {
        let mut queue = queue_of([Scope::user("b"), Scope::All, Scope::user("a")]);

        let _ = queue.push(Scope::user("b"), Trigger::Manual, None, None);

        assert_eq!(
            scopes(&mut queue),
            [Scope::user("b"), Scope::All, Scope::user("a")]
        );
    }

    #[test]
    fn a_full_queue_returns_the_waiter() {
        let mut queue = queue_of((0..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

        let refused = queue.push(Scope::user("late"), Trigger::Manual, Some(7), None);

        assert_eq!(refused, Err(Some(7)));
        assert_eq!(queue.len(), RunQueue::<u32>::MAX_SCOPES);
        assert_eq!(queue.waiters(), 0);
    }

    #[test]
    fn a_full_queue_still_takes_a_queued_scope_and_all_rows() {
        let mut queue = queue_of((0..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

        let waiting = queue.push(Scope::user(5), Trigger::Manual, Some(1), None);
        let everything = queue.push(Scope::All, Trigger::Tick, Some(2), None);

        assert!(waiting.is_ok() && everything.is_ok());
        assert_eq!(queue.waiters(), 2);
    }

    #[test]
    fn the_last_place_is_usable() {
        let mut queue = queue_of((1..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

        let last = queue.push(Scope::user("last"), Trigger::Manual, Some(1), None);

        assert!(last.is_ok());
    }

    #[test]
    fn a_returned_run_is_first_and_merges_later_triggers() {
        let mut queue = queue_of([Scope::user("a"), Scope::All]);
        let _ = queue.push(Scope::All, Trigger::Manual, Some(2), None);

        queue.push_front(queued(Scope::All, Trigger::Tick, vec![1]));

        assert_eq!(
            drained(&mut queue),
            [
                queued(Scope::All, Trigger::Manual, vec![1, 2]),
                queued(Scope::user("a"), Trigger::Tick, vec![])
            ]
        );
    }

    #[test]
    fn an_id_that_a_caller_may_know_stays() {
        let mut queue = RunQueue::<u32>::new();
        let push = |queue: &mut RunQueue<u32>, trigger| {
            let run = queue.push(Scope::All, trigger, None, Some("anna".into()));
            run.expect("there is room")
        };
        push(&mut queue, Trigger::Tick);
        let tick = queue.pop().expect("the run of the tick");
        let first = push(&mut queue, Trigger::Manual);
        queue.push_front(tick);
        let requested = queue.pop().expect("the requested run");
        let second = push(&mut queue, Trigger::Manual);

        queue.push_front(requested);

        let place = |queue: &mut RunQueue<u32>, run| queue.find(run).map(|(before, _)| before);
        assert_eq!(place(&mut queue, first), Some(0));
        assert_eq!(place(&mut queue, second), Some(1));
        assert_eq!(place(&mut queue, RunId::fresh()), None);
        let names = queue.drain().into_iter().map(|run| run.requested_by);
        assert!(names.eq([vec!["anna".into()], vec!["anna".into()]]));
    }

    #[test]
    fn requested_runs_stay_without_their_waiters() {
        let mut queue = RunQueue::new();
        let _ = queue.push(Scope::All, Trigger::Tick, None, None);
        for (user, waiter) in [("a", 1), ("b", 2), ("a", 3)] {
            let _ = queue.push(Scope::user(user), Trigger::Manual, Some(waiter), None);
        }

        queue.drop_waiters(|waiter| *waiter > 1);
        queue.keep_manual();

        assert_eq!(
            drained(&mut queue),
            [
                queued(Scope::user("a"), Trigger::Manual, vec![1]),
                queued(Scope::user("b"), Trigger::Manual, vec![])
            ]
        );
    }

    proptest! {
        #[test]
        fn every_waiter_leaves_once_with_its_scope_and_in_turn(
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let mut queue = RunQueue::new();
            let mut model: Vec<QueuedRun<usize>> = Vec::new();
            let mut asked: Vec<(usize, Scope)> = Vec::new();
            let mut answered: Vec<(usize, Scope)> = Vec::new();

            for (waiter, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(scope, trigger, waits) => {
                        let waiter = waits.then_some(waiter);
                        asked.extend(waiter.map(|waiter| (waiter, scope.clone())));
                        put(&mut model, 0, scope.clone(), trigger, waiter);

                        let queued = queue.push(scope, trigger, waiter, None);

                        prop_assert!(queued.is_ok());
                    }
                    Step::Pop => {
                        let expected = (!model.is_empty()).then(|| model.remove(0));

                        let popped = queue.pop().map(without_id);

                        prop_assert_eq!(&popped, &expected);
                        answered.extend(popped.iter().flat_map(leaving));
                    }
                    Step::PopAndReturn(later) => {
                        let Some(run) = queue.pop() else { continue };
                        let scope = run.scope.clone();
                        if later {
                            asked.push((waiter, scope.clone()));
                            // Two requested runs stay apart.
                            let first = usize::from(run.trigger == Trigger::Manual);
                            put(&mut model, first, scope.clone(), Trigger::Manual, Some(waiter));
                            let _ = queue.push(scope, Trigger::Manual, Some(waiter), None);
                        }

                        queue.push_front(run);
                    }
                }
                let waiting: usize = model.iter().map(|run| run.waiters.len()).sum();
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert_eq!(queue.waiters(), waiting);
            }
            let rest = drained(&mut queue);
            prop_assert_eq!(&rest, &model);
            prop_assert!(queue.is_empty());
            answered.extend(rest.iter().flat_map(leaving));
            answered.sort();
            prop_assert_eq!(answered, asked);
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(Scope, Trigger, bool),
        Pop,
        /// Pops a run and returns it, perhaps after its scope was requested again.
        PopAndReturn(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let scope = prop_oneof![Just(Scope::All), (0..4_u8).prop_map(Scope::user),];
        let trigger = prop::sample::select(vec![Trigger::Retry, Trigger::Tick, Trigger::Manual]);
        prop_oneof![
            3 => (scope, trigger, any::<bool>()).prop_map(|(scope, trigger, waits)| Step::Push(scope, trigger, waits)),
            1 => Just(Step::Pop),
            1 => any::<bool>().prop_map(Step::PopAndReturn),
        ]
    }

    fn put(
        model: &mut Vec<QueuedRun<usize>>,
        first: usize,
        scope: Scope,
        trigger: Trigger,
        waiter: Option<usize>,
    ) {
        let waiters: Vec<usize> = waiter.into_iter().collect();
        match model[first..].iter_mut().find(|run| run.scope == scope) {
            Some(run) => {
                run.trigger = run.trigger.max(trigger);
                run.waiters.extend(waiters);
            }
            None => model.push(queued(scope, trigger, waiters)),
        }
    }

    fn leaving(run: &QueuedRun<usize>) -> Vec<(usize, Scope)> {
        run.waiters
            .iter()
            .map(|waiter| (*waiter, run.scope.clone()))
            .collect()
    }

    fn queued<W>(scope: Scope, trigger: Trigger, waiters: Vec<W>) -> QueuedRun<W> {
        without_id(QueuedRun {
            run: RunId::fresh(),
            scope,
            trigger,
            requested_by: Vec::new(),
            waiters,
        })
    }

    fn without_id<W>(run: QueuedRun<W>) -> QueuedRun<W> {
        let run_id = uuid::Uuid::nil().to_string().parse();
        QueuedRun {
            run: run_id.expect("is an id"),
            ..run
        }
    }

    fn drained<W>(queue: &mut RunQueue<W>) -> Vec<QueuedRun<W>> {
        queue.drain().into_iter().map(without_id).collect()
    }

    fn queue_of(scopes: impl IntoIterator<Item = Scope>) -> RunQueue<u32> {
        let mut queue = RunQueue::new();
        for scope in scopes {
            queue
                .push(scope, Trigger::Tick, None, None)
                .expect("there is room");
        }
        queue
    }

    fn scopes(queue: &mut RunQueue<u32>) -> Vec<Scope> {
        std::iter::from_fn(|| queue.pop())
            .map(|run| run.scope)
            .collect()
    }
}
