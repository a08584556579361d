//! Rows for which SQL of the host fails: a cast of a garbled text, a division by zero.
//!
//! Such a row fails every statement that reads it with others. A careful plan leaves the host's SQL
//! out for the rows that were found to fail it. They count as due, and their keeper gives the
//! reason, so they are rejected and the rest goes.

use super::tables::{Compiler, Tables};
use crate::rule::{Filter, Finding, Related, Rule};

/// Begins the reason of such a row; the database's text follows.
pub(crate) const REASON: &str = "an expression of the rule fails for it: ";

/// Returns the advice that rows fail, with the first of their reasons.
pub(crate) fn advice(rule: &Rule, reasons: &[impl AsRef<str>]) -> Option<Finding> {
    let first = reasons.first()?.as_ref().strip_prefix(REASON)?;
    let rows = reasons.len();
    let text =
        format!("an expression of the rule fails for {rows} rows, which are rejected: {first}");
    Some(Finding::new(&rule.name, "statement", text))
}

impl<T: Tables> Compiler<'_, T> {
    /// A condition for the rows of `of` that fail, in a careful plan.
    pub(crate) fn failing_row(&self, of: &str) -> Option<String> {
        let is_guarded = self.careful && self.rule.decides_by_sql();
        is_guarded
            .then(|| self.catalogue.failing_row(&self.rule.table, of))
            .flatten()
    }

    /// An instant of a row: the lowest if the row fails, and none if `only` leaves the row out.
    pub(crate) fn guarded_instant(&self, moment: T::Moment, only: &str, of: &str) -> T::Moment {
        match self.failing_row(of) {
            Some(row) => self.catalogue.guarded(moment, &row, only),
            None => moment,
        }
    }

    /// A condition of the host, which holds for rows that fail.
    pub(crate) fn guarded(&self, condition: String, of: &str) -> String {
        match self.failing_row(of) {
            Some(row) => format!("CASE WHEN {row} THEN {} ELSE {condition} END", T::ALWAYS),
            None => condition,
        }
    }

    /// The condition `only`: what the database knows to judge, then the host's SQL.
    pub(super) fn only(&mut self, filter: &Filter, of: &str) -> Option<String> {
        if self.failing_row(of).is_none() {
            return self.text("only", T::DIALECT.filter(filter, of));
        }
        let all: &[Filter] = match filter {
            Filter::And(all) => all,
            one => std::slice::from_ref(one),
        };
        let (opaque, plain): (Vec<&Filter>, Vec<&Filter>) =
            all.iter().partition(|filter| filter.is_opaque());
        let mut parts = Vec::new();
        for (filters, is_opaque) in [(plain, false), (opaque, true)] {
            if filters.is_empty() {
                continue;
            }
            let texts = filters.into_iter();
            let texts: Result<Vec<String>, _> =
                texts.map(|filter| T::DIALECT.filter(filter, of)).collect();
            let text = self.text("only", texts.map(|texts| texts.join(" AND ")))?;
            parts.push(if is_opaque {
                self.guarded(text, of)
            } else {
                text
            });
        }
        Some(parts.join(" AND "))
    }

    /// Whether a row has a related row, where the host's SQL decides which: judged row by row, so
    /// that a related row fails the rows it belongs to alone.
    pub(super) fn judged_alone(&self, exists: String, related: &Related, of: &str) -> String {
        let is_opaque = related.only.as_ref().is_some_and(Filter::is_opaque);
        match exists.strip_suffix(')') {
            Some(open) if is_opaque && self.failing_row(of).is_some() => {
                format!("{open}{})", T::ALONE)
            }
            _ => exists,
        }
    }
}
