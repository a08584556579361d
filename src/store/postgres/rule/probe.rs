//! The host's SQL of a rule, to be evaluated on each row, and the rows that were found to fail it.

use std::time::Instant;

use crate::store::rule::Template;

/// The names of the lists in statements.
pub(super) const FAILING: &str = "failing";
pub(super) const FAILING_REASONS: &str = "failing_reasons";

/// The rows that were found.
#[derive(Debug, Default)]
pub(super) struct FailingRows {
    pub(super) addresses: Vec<String>,
    /// The reason of each.
    pub(super) reasons: Vec<String>,
    /// When they are judged again, if some of them take long.
    pub(super) again_at: Option<Instant>,
}

impl FailingRows {
    /// The `ctid` of each, without its brackets.
    pub(super) fn places(&self) -> Vec<&str> {
        let places = self.addresses.iter().filter_map(|address| {
            let (_, behind) = address.split_once('(')?;
            behind.split_once(')').map(|(place, _)| place)
        });
        places.collect()
    }
}

/// The address of a row's version: a row that is mended has another, and no other row has it again.
pub(super) fn address(of: &str) -> String {
    format!("({of}.tableoid::text || {of}.ctid::text || {of}.xmin::text)")
}

/// The host's SQL in one expression, and the table whose rows it judges.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) judged: Template,
    pub(super) from: String,
    pub(super) of: String,
    pub(super) oid: i64,
}
