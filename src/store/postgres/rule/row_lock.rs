//! The lock on due rows: in the order of the rule, without rows that others hold.

use super::parts::{Begin, Parts};
use crate::rule::{Action, Rule};
use crate::store::rule::param;

impl Parts {
    /// Returns the clause that claims due rows in this order, at most the limit of the batch.
    pub(super) fn claim(&self, rule: &Rule, scoped: bool, begin: Begin, order: &str) -> String {
        let (from, of) = self.locked();
        format!(
            "FROM {from} WHERE {} ORDER BY {order} LIMIT {}::bigint FOR {}{of} SKIP LOCKED",
            self.claimed(scoped, begin),
            param("limit"),
            strength(rule)
        )
    }

    /// Returns the table, with tables joined for the sake of a lock, and the names to lock.
    fn locked(&self) -> (String, String) {
        match self.active.as_ref().and_then(|active| active.join.as_ref()) {
            None => (self.from.clone(), String::new()),
            Some((join, name)) => (
                format!("{} {join}", self.from),
                format!(" OF {}, {name}", self.of),
            ),
        }
    }
}

/// Returns the strength of the lock. A related row that appears now takes a weak lock on its
/// parent, which only the strongest lock keeps out.
fn strength(rule: &Rule) -> &'static str {
    match &rule.action {
        Some(Action::Set(_)) if !rule.asks_others() && rule.with.is_empty() => "NO KEY UPDATE",
        _ => "UPDATE",
    }
}
