//! One plan of statements for a rule: whatever reads or writes its rows is made of the same parts.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::super::flight::Purpose;
use super::catalogue::Catalogue;
use super::dialect::Compiler;
use super::parts::Begin;
use super::probe::{FAILING, FAILING_REASONS, FailingRows, Probe};
use super::stamp::Form;
use crate::job::Scope;
use crate::rule::{Finding, Rule};
use crate::store::rule::{Bind, Template};

/// The statements of a rule.
#[derive(Debug)]
pub(super) struct Plan {
    /// Picks, locks and writes in one statement: rows of an instant in any order, if none stays.
    pub(super) sweep: Variants,
    /// Picks and locks, and names each row and its place.
    pub(super) lock: Variants,
    /// Picks and locks, and names the last place alone.
    pub(super) lock_together: Variants,
    /// Judges again and writes the rows at `tids` in `oids`.
    pub(super) write: Template,
    /// The same for one row, whose place is in variables.
    pub(super) write_one: Template,
    /// Children, by their number, that the server's statistics count, and what reads those.
    pub(super) tallied: Vec<usize>,
    pub(super) tally: Option<Template>,
    /// By how many microseconds activity may be noted too late.
    pub(super) lag: Option<Template>,
    pub(super) then: Vec<Template>,
    /// How many of the rows just written the rule matches as before, if a trigger may set them
    /// back, or what is written to another table decides.
    pub(super) set_back: Option<Template>,
    /// The code of a row that the rule matches as before.
    pub(super) as_before: &'static str,
    /// Due rows with the values that they are set to, if all of these are known by their columns.
    pub(super) after_set: Option<Template>,
    pub(super) preview: Variants,
    /// The names of what a preview shows.
    pub(super) shown: Vec<String>,
    /// Conditions that keep a row.
    pub(super) keeper: String,
    pub(super) count: Variants,
    /// Whether most rows on some pages are due.
    pub(super) most_of_sample: Template,
    pub(super) oldest: Template,
    /// The instant of the first row that may become due, whatever keeps it back now.
    pub(super) first: Template,
    /// Whether a hold or another table may keep a row back.
    pub(super) may_keep_back: bool,
    pub(super) next: Template,
    pub(super) next_held: Option<Template>,
    /// The order of rows, before their key.
    pub(super) order: String,
    /// Whether an index leads to the rows in their order.
    pub(super) is_served: bool,
    /// The words for rows and children, in the order in which statements count them.
    pub(super) kinds: Vec<String>,
    pub(super) keys: usize,
    pub(super) form: Form,
    /// An instant that none is below.
    pub(super) lowest: &'static str,
    pub(super) held: Option<Form>,
    /// Instants that a value needs: how they are kept, and how long after now they are.
    pub(super) instants: Vec<(Form, Duration)>,
    pub(super) after: Duration,
    pub(super) max_age: Option<Duration>,
    /// Finds rows that fail the host's SQL, in a careful plan.
    pub(super) probe: Option<Probe>,
    /// The rows that were found.
    pub(super) failing: Arc<FailingRows>,
}

/// A statement with and without a scope, and for each beginning.
#[derive(Debug)]
pub(super) struct Variants([[Template; 3]; 2]);

impl Variants {
    pub(super) fn new(text: impl Fn(bool, Begin) -> String) -> Self {
        Self([false, true].map(|scoped| {
            [Begin::First, Begin::Instant, Begin::Behind]
                .map(|begin| Template::new(&text(scoped, begin)))
        }))
    }

    pub(super) fn get(&self, values: &Values<'_>) -> &Template {
        &self.0[usize::from(values.scope.is_some())][values.begin() as usize]
    }
}

/// The inputs of a statement's values.
pub(super) struct Values<'v> {
    pub(super) now: DateTime<Utc>,
    pub(super) cutoff: DateTime<Utc>,
    pub(super) scope: Option<&'v str>,
    /// The instant and the key of the row to go on behind, as the database wrote them.
    pub(super) after: &'v [String],
    pub(super) limit: i64,
    pub(super) rejected: &'v [String],
    /// The instant to begin at, as the database wrote it.
    pub(super) floor: Option<&'v str>,
    pub(super) oids: &'v [String],
    pub(super) tids: &'v [String],
    pub(super) ids: &'v [String],
}

impl Values<'_> {
    pub(super) fn begin(&self) -> Begin {
        match self.after.len() {
            0 => Begin::First,
            1 => Begin::Instant,
            _ => Begin::Behind,
        }
    }

    pub(super) const fn at(now: DateTime<Utc>, cutoff: DateTime<Utc>) -> Self {
        Self {
            now,
            cutoff,
            scope: None,
            after: &[],
            limit: 0,
            rejected: &[],
            floor: None,
            oids: &[],
            tids: &[],
            ids: &[],
        }
    }
}

impl Plan {
    /// The purpose of a transaction that writes. Without a suitable index, the planner decides.
    pub(super) fn to_write(&self) -> Purpose {
        if self.is_served {
            Purpose::Sweep
        } else {
            Purpose::Write
        }
    }

    /// The purpose of a transaction that reads.
    pub(super) fn to_read(&self) -> Purpose {
        if self.is_served {
            Purpose::Look
        } else {
            Purpose::Read
        }
    }

    /// The value of this name.
    pub(super) fn value(&self, name: &str, values: &Values<'_>) -> Bind {
        let list = |texts: &[String]| Bind::Texts(texts.to_vec());
        match name {
            "cutoff" => Bind::Text(self.form.text(values.cutoff)),
            "held" => match &self.held {
                Some(held) => Bind::Text(held.text(values.now)),
                None => Bind::Null,
            },
            "limit" => Bind::Text(values.limit.to_string()),
            "scope" => values
                .scope
                .map_or(Bind::Null, |scope| Bind::Text(scope.to_owned())),
            "rejected" => list(values.rejected),
            "floor" => Bind::Text(values.floor.unwrap_or(self.lowest).to_owned()),
            "oids" => list(values.oids),
            "tids" => list(values.tids),
            "ids" => list(values.ids),
            FAILING => list(&self.failing.addresses),
            FAILING_REASONS => list(&self.failing.reasons),
            numbered => {
                let number = numbered[1..].parse().unwrap_or(usize::MAX);
                if numbered.starts_with('p') {
                    let place = values.after.get(number);
                    return place.map_or(Bind::Null, |text| Bind::Text(text.clone()));
                }
                match self.instants.get(number) {
                    Some((form, after)) => {
                        let instant = crate::time::after(values.now, *after);
                        Bind::Text(form.text(instant))
                    }
                    None => Bind::Null,
                }
            }
        }
    }

    /// Compiles a rule against the catalogue, or says everything that stands in its way. With
    /// `suspects`, keys that are not declared are thought to keep rows; with `careful`, the host's
    /// SQL may fail for a row, and sums of instants and spans may be larger than their types hold.
    pub(super) fn compile(
        rule: &Rule,
        catalogue: &Catalogue,
        suspects: bool,
        careful: bool,
    ) -> Result<Self, Vec<Finding>> {
        let mut compiler = Compiler::new(rule, catalogue, suspects, careful);
        let plan = compiler.compile();
        compiler.finish(plan)
    }
}

/// The variables that hold the place of the one row of [`Plan::write_one`].
pub(super) const TID: &str = "hkv_tid";
pub(super) const OID: &str = "hkv_oid";

/// Returns the user of a scope.
pub(super) fn user(scope: &Scope) -> Option<&str> {
    match scope {
        Scope::All => None,
        Scope::User(user) => Some(user),
    }
}
