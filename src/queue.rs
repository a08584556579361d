//! Which runs wait, and who waits for them.

use std::collections::VecDeque;

use crate::batch::Scope;
use crate::report::Trigger;

/// Triggers of one job that wait for a run: merged per scope, first come first served.
#[derive(Debug)]
pub(crate) struct RunQueue<W> {
    /// Each scope at most once.
    orders: VecDeque<Order<W>>,
}

/// A run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order<W> {
    /// What it will cover.
    pub(crate) scope: Scope,
    /// The weightiest of the reasons.
    pub(crate) trigger: Trigger,
    /// Who asked and wants the report.
    pub(crate) waiters: Vec<W>,
}

/// What became of a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queued {
    /// It waits for a run of its own.
    New,
    /// A run of its scope waited already.
    Merged,
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
    ) -> Result<Queued, Option<W>> {
        if let Some(order) = self.orders.iter_mut().find(|order| order.scope == scope) {
            order.trigger = order.trigger.max(trigger);
            order.waiters.extend(waiter);
            return Ok(Queued::Merged);
        }
        // Ticks and deadlines ask for everything. However many users ask, they are heard.
        if self.len() >= Self::MAX_SCOPES && scope != Scope::All {
            return Err(waiter);
        }
        self.orders.push_back(Order {
            scope,
            trigger,
            waiters: waiter.into_iter().collect(),
        });
        Ok(Queued::New)
    }

    /// Puts an order that never began back to the front, with those that asked for its scope since.
    pub(crate) fn push_front(&mut self, mut order: Order<W>) {
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
    pub(crate) fn pop(&mut self) -> Option<Order<W>> {
        self.orders.pop_front()
    }

    /// Takes all orders, the longest wait first.
    pub(crate) fn drain(&mut self) -> Vec<Order<W>> {
        self.orders.drain(..).collect()
    }

    /// How many scopes wait.
    pub(crate) fn len(&self) -> usize {
        self.orders.len()
    }

    /// How many wait for a report.
    pub(crate) fn waiters(&self) -> usize {
        self.orders.iter().map(|order| order.waiters.len()).sum()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }
}
