//! The host's SQL of a rule, to be evaluated on each row, and the rows that were found to fail it.

use super::parts::Parts;
use crate::store::rule::{Template, param};

/// A row's address, and why it fails.
pub(super) type FailingRow = (i64, String);

/// The name of the list in statements: pairs of an address and a reason, as JSON.
pub(super) const FAILING: &str = "failing";

/// The statements of a search.
#[derive(Debug)]
pub(super) struct Probe {
    /// Judges rows from an address on, and returns the last address.
    pub(super) judged: Template,
    /// The first address from one on.
    pub(super) first: Template,
}

impl Probe {
    pub(super) fn new(parts: &Parts) -> Option<Self> {
        let (rowid, from) = (parts.rowid.as_ref()?, &parts.from);
        let rows = format!(
            "FROM {from} WHERE {rowid} BETWEEN {} AND {}",
            param("from_address"),
            param("to_address")
        );
        // In the order in which statements judge a row. Columns that nothing reads would be left
        // out.
        let judged = format!(
            "SELECT max(hk_address), count(hk_judged) FROM (SELECT {rowid} AS hk_address, \
             CASE WHEN {} THEN typeof({}) || typeof({}) || typeof((1{})) || typeof({}) END AS hk_judged {rows} ORDER BY {rowid} LIMIT {})",
            parts.only,
            parts.due.sql,
            parts.truth().sql,
            parts.related,
            parts.keeper,
            param("limit")
        );
        Some(Self {
            judged: Template::new(&judged),
            first: Template::new(&format!("SELECT min({rowid}) {rows}")),
        })
    }
}
