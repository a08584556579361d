//! One plan of statements for a rule: whatever reads or writes its rows is made of the same parts.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::catalogue::Catalogue;
use super::dialect::Compiler;
use super::probe::{FAILING, FailingRow, Probe};
use super::quoted::{bytes, number, text_bytes, unquoted};
use super::stamp::Form;
use crate::rule::{Finding, Rule};
use crate::store::rule::{Bind, Template};
use crate::store::tx_error::TxError;

/// The statements of a rule.
#[derive(Debug)]
pub(super) struct Plan {
    /// Addresses of due rows in the order of the table, of as many as a window holds.
    pub(super) addresses: Variants,
    /// The place of the last row of a full window.
    pub(super) window_end: Variants,
    /// Places of due rows, of a table that has no addresses.
    pub(super) places: Variants,
    /// Of the rows at hand those that are due: address, id, what keeps them, key.
    pub(super) judge: Variants,
    /// The actions on them, in order, with the kind that each counts.
    pub(super) steps: Vec<Step>,
    /// How many of them the rule matches as before.
    pub(super) still: Variants,
    /// How many of the rows just deleted are due again, by their keys, if a trigger may insert
    /// them.
    pub(super) again: Option<Variants>,
    /// Judges and writes in one statement, if nothing else is done, and returns ids, each with
    /// whether the rule matches the row as before.
    pub(super) at_once: Option<Variants>,
    /// Whether the rows are set, and may be due as before.
    pub(super) sets: bool,
    /// Whether a trigger may undo what is written.
    pub(super) has_triggers: bool,
    pub(super) then: Vec<Template>,
    /// Notes the activity of rows at hand that looked due.
    pub(super) moved: Option<Variants>,
    /// By how many microseconds activity may be noted too late.
    pub(super) lag: Option<Template>,
    /// The names of what a preview shows.
    pub(super) shown: Vec<String>,
    /// Conditions that keep a row.
    pub(super) keeper: String,
    pub(super) preview: Variants,
    pub(super) count: Variants,
    pub(super) oldest: Template,
    pub(super) next: Template,
    pub(super) next_held: Option<Template>,
    pub(super) kinds: Vec<String>,
    pub(super) keys: usize,
    /// The columns of the key.
    pub(super) key_names: Vec<String>,
    pub(super) without_rowid: bool,
    /// The order of rows, before their key.
    pub(super) order: String,
    pub(super) form: Form,
    pub(super) held: Option<Form>,
    pub(super) instants: Vec<(Form, Duration)>,
    pub(super) after: Duration,
    /// How long after its instant a row is due, beyond `after`.
    pub(super) unit: Duration,
    pub(super) max_age: Option<Duration>,
    /// Finds rows that fail the host's SQL, in a careful plan.
    pub(super) probe: Option<Probe>,
    /// The rows that were found, as JSON.
    pub(super) failing: String,
}

/// A statement that writes.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) template: Template,
    /// The kind its rows count as. The first is of the rows at hand.
    pub(super) kind: Option<usize>,
    /// The kind whose rows it hands on, all of them.
    pub(super) hands: Option<usize>,
}

/// A statement with and without a scope, and with and without a place to go on from.
#[derive(Debug)]
pub(super) struct Variants([[Template; 2]; 2]);

impl Variants {
    pub(super) fn new(text: impl Fn(bool, bool) -> String) -> Self {
        Self(
            [false, true]
                .map(|scoped| [false, true].map(|after| Template::new(&text(scoped, after)))),
        )
    }

    pub(super) fn get(&self, values: &Values<'_>) -> &Template {
        let (scoped, after) = (values.scope.is_some(), !values.after.is_empty());
        &self.0[usize::from(scoped)][usize::from(after)]
    }
}

/// The inputs of a statement's values.
#[derive(Clone)]
pub(super) struct Values<'v> {
    pub(super) now: DateTime<Utc>,
    pub(super) cutoff: DateTime<Utc>,
    pub(super) scope: Option<&'v str>,
    /// The instant and the key of the row to go on behind, quoted.
    pub(super) after: &'v [String],
    pub(super) limit: i64,
    pub(super) rejected: &'v [String],
    /// Addresses as JSON.
    pub(super) rows: &'v str,
    /// The key of the row at hand, quoted, of a table that has no addresses.
    pub(super) key: &'v [String],
    /// Keys as JSON.
    pub(super) written: &'v str,
    /// The first and the last address to judge.
    pub(super) addresses: (i64, i64),
}

impl Values<'_> {
    pub(super) const fn at(now: DateTime<Utc>, cutoff: DateTime<Utc>) -> Self {
        Self {
            now,
            cutoff,
            scope: None,
            after: &[],
            limit: 0,
            rejected: &[],
            rows: "[]",
            key: &[],
            written: "[]",
            addresses: (i64::MIN, i64::MAX),
        }
    }
}

impl Plan {
    /// The error for a row that the rule matches as before.
    pub(super) fn as_before(&self) -> TxError {
        if self.has_triggers {
            TxError::SuppressedByTrigger
        } else {
            TxError::StillDue
        }
    }

    /// The value of this name.
    pub(super) fn value(&self, name: &str, values: &Values<'_>) -> Bind {
        let text = |text: &str| Bind::Text(text.to_owned());
        match name {
            "cutoff" => self.form.bind(values.cutoff),
            "held" => self
                .held
                .as_ref()
                .map_or(Bind::Null, |held| held.bind(values.now)),
            "limit" => Bind::Integer(values.limit),
            "from_address" => Bind::Integer(values.addresses.0),
            "to_address" => Bind::Integer(values.addresses.1),
            FAILING => text(&self.failing),
            "scope" => values.scope.map_or(Bind::Null, text),
            "scope_number" => values.scope.map_or(Bind::Null, number),
            "scope_blob" => values.scope.map_or(Bind::Null, bytes),
            "rejected" => Bind::Text(serde_json::Value::from(values.rejected).to_string()),
            "rows" => text(values.rows),
            "written" => text(values.written),
            numbered => {
                let number = numbered[1..].parse().unwrap_or(usize::MAX);
                let of = |all: &[String], read: fn(&str) -> Bind| {
                    all.get(number).map_or(Bind::Null, |text| read(text))
                };
                match numbered.chars().next() {
                    Some('p') => of(values.after, unquoted),
                    Some('P') => of(values.after, text_bytes),
                    Some('a') => of(values.key, unquoted),
                    Some('A') => of(values.key, text_bytes),
                    _ => self
                        .instants
                        .get(number)
                        .map_or(Bind::Null, |(form, after)| {
                            form.bind(crate::time::after(values.now, *after))
                        }),
                }
            }
        }
    }

    /// Compiles a rule against the catalogue, or says everything that stands in its way.
    /// With `suspects`, keys that are not declared are thought to keep rows. With `failing`, the
    /// host's SQL may fail for a row, and does for these.
    pub(super) fn compile(
        rule: &Rule,
        catalogue: &Catalogue,
        suspects: bool,
        failing: Option<&[FailingRow]>,
    ) -> Result<Self, Vec<Finding>> {
        let mut compiler = Compiler::new(rule, catalogue, suspects, failing.is_some());
        let mut plan = compiler.compile();
        if let (Some(plan), Some(failing)) = (&mut plan, failing) {
            plan.failing = serde_json::to_string(failing).unwrap_or_default();
        }
        compiler.finish(plan)
    }
}

/// The rows among which the oldest overdue, and the next to be let go, are looked for.
pub(super) const OLDEST: u32 = 100;
