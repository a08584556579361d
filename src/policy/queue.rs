//! Which runs wait, and who waits for them.

use std::collections::VecDeque;

use crate::job::Scope;
use crate::model::Trigger;

/// Triggers of one job that wait for a run: merged per scope, first come first served.
#[derive(Debug)]
pub(crate) struct RunQueue<W> {
    /// Each scope at most once.
    orders: VecDeque<QueuedRun<W>>,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueuedRun<W> {
    /// What it will cover.
    pub(crate) scope: Scope,
    /// The weightiest of the reasons.
    pub(crate) trigger: Trigger,
    /// Who asked and wants the report.
    pub(crate) waiters: Vec<W>,
}

impl<W> RunQueue<W> {
    /// One more scope than this is refused.
    pub(crate) const MAX_SCOPES: usize = 1_000;

    /// A queue where nothing waits.
    pub(crate) fn new() -> Self {
        Self {
            orders: VecDeque::new(),
        }
    }

    /// Adds a trigger. Gives the waiter back when the queue is full.
    pub(crate) fn push(
        &mut self,
        scope: Scope,
        trigger: Trigger,
        waiter: Option<W>,
    ) -> Result<(), Option<W>> {
        if let Some(order) = self.orders.iter_mut().find(|order| order.scope == scope) {
            order.trigger = order.trigger.max(trigger);
            order.waiters.extend(waiter);
            return Ok(());
        }
        // Ticks and deadlines ask for everything. However many users ask, they are heard.
        if self.len() >= Self::MAX_SCOPES && scope != Scope::All {
            return Err(waiter);
        }
        self.orders.push_back(QueuedRun {
            scope,
            trigger,
            waiters: waiter.into_iter().collect(),
        });
        Ok(())
    }

    /// Puts an order that never began back to the front, with those that asked for its scope since.
    pub(crate) fn push_front(&mut self, mut order: QueuedRun<W>) {
        let place = self
            .orders
            .iter()
            .position(|other| other.scope == order.scope);
        if let Some(later) = place.and_then(|place| self.orders.remove(place)) {
            order.trigger = order.trigger.max(later.trigger);
            order.waiters.extend(later.waiters);
        }
        self.orders.push_front(order);
    }

    /// Takes the order that has waited longest.
    pub(crate) fn pop(&mut self) -> Option<QueuedRun<W>> {
        self.orders.pop_front()
    }

    /// Takes all orders, the longest wait first.
    pub(crate) fn drain(&mut self) -> Vec<QueuedRun<W>> {
        self.orders.drain(..).collect()
    }

    /// Drops orders that nobody asked for by a message.
    pub(crate) fn keep_asked(&mut self) {
        self.orders.retain(|order| order.trigger == Trigger::Manual);
    }

    /// Forgets those who wait no more. What they asked for stays.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&W) -> bool) {
        for order in &mut self.orders {
            order.waiters.retain(|waiter| !is_gone(waiter));
        }
    }

    /// How many scopes wait.
    pub(crate) fn len(&self) -> usize {
        self.orders.len()
    }

    /// How many wait for a report.
    #[cfg(test)]
    pub(crate) fn waiters(&self) -> usize {
        self.orders.iter().map(|order| order.waiters.len()).sum()
    }

    /// Whether nothing waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_trigger_of_a_waiting_scope_merges_into_its_order() {
        let mut queue = RunQueue::new();

        let first = queue.push(Scope::All, Trigger::Retry, Some(1));
        let second = queue.push(Scope::All, Trigger::Manual, Some(2));
        let third = queue.push(Scope::All, Trigger::Tick, None);

        assert_eq!(first, Ok(()));
        assert_eq!(second, Ok(()));
        assert_eq!(third, Ok(()));
        assert_eq!(
            queue.drain(),
            [order(Scope::All, Trigger::Manual, vec![1, 2])]
        );
    }

    #[test]
    fn scopes_leave_in_the_order_in_which_they_came() {
        let mut queue = queue_of([Scope::user("b"), Scope::All, Scope::user("a")]);

        let _ = queue.push(Scope::user("b"), Trigger::Manual, None);

        assert_eq!(
            scopes(&mut queue),
            [Scope::user("b"), Scope::All, Scope::user("a")]
        );
    }

    #[test]
    fn one_scope_too_many_gets_its_waiter_back() {
        let mut queue = queue_of((0..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

        let refused = queue.push(Scope::user("late"), Trigger::Manual, Some(7));

        assert_eq!(refused, Err(Some(7)));
        assert_eq!(queue.len(), RunQueue::<u32>::MAX_SCOPES);
        assert_eq!(queue.waiters(), 0);
    }

    #[test]
    fn a_full_queue_still_takes_a_waiting_scope_and_everything() {
        let mut queue = queue_of((0..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

        let waiting = queue.push(Scope::user(5), Trigger::Manual, Some(1));
        let everything = queue.push(Scope::All, Trigger::Tick, Some(2));

        assert_eq!(waiting, Ok(()));
        assert_eq!(everything, Ok(()));
        assert_eq!(queue.waiters(), 2);
    }

    #[test]
    fn the_last_place_is_given_away() {
        let mut queue = queue_of((1..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

        let last = queue.push(Scope::user("last"), Trigger::Manual, Some(1));

        assert_eq!(last, Ok(()));
    }

    #[test]
    fn an_order_that_goes_back_is_first_again_with_those_who_asked_since() {
        let mut queue = queue_of([Scope::user("a"), Scope::All]);
        let _ = queue.push(Scope::All, Trigger::Manual, Some(2));

        queue.push_front(order(Scope::All, Trigger::Tick, vec![1]));

        assert_eq!(
            queue.drain(),
            [
                order(Scope::All, Trigger::Manual, vec![1, 2]),
                order(Scope::user("a"), Trigger::Tick, vec![])
            ]
        );
    }

    #[test]
    fn only_orders_that_somebody_asked_for_are_kept_also_when_nobody_waits_any_more() {
        let mut queue = RunQueue::new();
        let _ = queue.push(Scope::All, Trigger::Tick, None);
        for (user, waiter) in [("a", 1), ("b", 2), ("a", 3)] {
            let _ = queue.push(Scope::user(user), Trigger::Manual, Some(waiter));
        }

        queue.forget(|waiter| *waiter > 1);
        queue.keep_asked();

        assert_eq!(
            queue.drain(),
            [
                order(Scope::user("a"), Trigger::Manual, vec![1]),
                order(Scope::user("b"), Trigger::Manual, vec![])
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
                        put(&mut model, scope.clone(), trigger, waiter);

                        let queued = queue.push(scope, trigger, waiter);

                        prop_assert_eq!(queued, Ok(()));
                    }
                    Step::Pop => {
                        let expected = (!model.is_empty()).then(|| model.remove(0));

                        let popped = queue.pop();

                        prop_assert_eq!(&popped, &expected);
                        answered.extend(popped.iter().flat_map(leaving));
                    }
                    Step::PopAndReturn(later) => {
                        let Some(order) = queue.pop() else { continue };
                        let scope = order.scope.clone();
                        if later {
                            asked.push((waiter, scope.clone()));
                            put(&mut model, scope.clone(), Trigger::Manual, Some(waiter));
                            let _ = queue.push(scope, Trigger::Manual, Some(waiter));
                        }

                        queue.push_front(order);
                    }
                }
                let waiting: usize = model.iter().map(|order| order.waiters.len()).sum();
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert_eq!(queue.waiters(), waiting);
            }
            let rest = queue.drain();
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
        /// An order is taken and goes back, perhaps after its scope was asked for once more.
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
        scope: Scope,
        trigger: Trigger,
        waiter: Option<usize>,
    ) {
        let waiters: Vec<usize> = waiter.into_iter().collect();
        match model.iter().position(|order| order.scope == scope) {
            Some(place) => {
                model[place].trigger = model[place].trigger.max(trigger);
                model[place].waiters.extend(waiters);
            }
            None => model.push(order(scope, trigger, waiters)),
        }
    }

    fn leaving(order: &QueuedRun<usize>) -> Vec<(usize, Scope)> {
        order
            .waiters
            .iter()
            .map(|waiter| (*waiter, order.scope.clone()))
            .collect()
    }

    fn order<W>(scope: Scope, trigger: Trigger, waiters: Vec<W>) -> QueuedRun<W> {
        QueuedRun {
            scope,
            trigger,
            waiters,
        }
    }

    fn queue_of(scopes: impl IntoIterator<Item = Scope>) -> RunQueue<u32> {
        let mut queue = RunQueue::new();
        for scope in scopes {
            queue
                .push(scope, Trigger::Tick, None)
                .expect("there is room");
        }
        queue
    }

    fn scopes(queue: &mut RunQueue<u32>) -> Vec<Scope> {
        std::iter::from_fn(|| queue.pop())
            .map(|order| order.scope)
            .collect()
    }
}
