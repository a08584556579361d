//! The parts that all statements of a rule are made of.

use std::ops::Deref;

use super::stamp::{Moment, once};
use crate::store::rule::{Basics, identifier, param};

/// The first row of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    First,
    /// The rows of an instant, of which some were handled.
    Instant,
    /// The row behind another.
    Behind,
}

/// The parts that all statements of a rule are made of.
pub(super) struct Parts {
    pub(super) basics: Basics<Moment>,
    pub(super) is_divided: bool,
    pub(super) id: String,
    pub(super) key_casts: Vec<String>,
    /// Whether each column of the key is an array, a record or JSON.
    pub(super) are_structured: Vec<bool>,
    /// Whether a row belongs to a user.
    pub(super) scoped: Option<String>,
    /// Columns that children refer to.
    pub(super) references: Vec<String>,
}

impl Deref for Parts {
    type Target = Basics<Moment>;

    fn deref(&self) -> &Self::Target {
        &self.basics
    }
}

impl Parts {
    pub(super) fn due(&self) -> String {
        let sign = if self.inclusive { "<=" } else { "<" };
        let cutoff = once("cutoff", self.due.form.cast());
        format!("{} {sign} {cutoff}", self.due.sql)
    }

    pub(super) fn free(&self) -> Option<String> {
        let held = self.held.as_ref()?;
        let now = once("held", held.form.cast());
        Some(format!("({0} IS NULL OR {0} <= {now})", held.sql))
    }

    /// Conditions on the row itself.
    pub(super) fn matches(&self) -> String {
        let mut all = self.candidates(false);
        all.push_str(" AND ");
        all.push_str(&self.due());
        all
    }

    /// Rows that are due now or later, and not held.
    pub(super) fn candidates(&self, scoped: bool) -> String {
        let mut all = vec![self.only.clone()];
        all.extend(self.free());
        all.extend(self.scoped.clone().filter(|_| scoped));
        all.join(" AND ")
    }

    pub(super) fn behind(&self) -> String {
        let mut columns = vec![self.due.sql.clone()];
        columns.extend(self.key_columns.iter().cloned());
        let mut values = vec![once("p0", self.due.form.cast())];
        for (number, cast) in self.key_casts.iter().enumerate() {
            values.push(once(&format!("p{}", number + 1), cast));
        }
        format!("({}) > ({})", columns.join(", "), values.join(", "))
    }

    /// Rows to pick and lock: those that are due, or may be, as far as activity is only noted.
    pub(super) fn claimed(&self, scoped: bool, begin: Begin) -> String {
        let mut all = self.candidates(scoped);
        all.push_str(" AND ");
        all.push_str(&self.due());
        all.push_str(" AND ");
        all.push_str(&self.above_floor());
        match begin {
            Begin::First => {}
            Begin::Instant => {
                let instant = once("p0", self.due.form.cast());
                all.extend([" AND ", &self.due.sql, " >= ", &instant]);
            }
            Begin::Behind => all.extend([" AND ", &self.behind()]),
        }
        all.push_str(&self.decided());
        all
    }

    /// Rows from the instant on below which nothing was due.
    pub(super) fn above_floor(&self) -> String {
        let floor = once("floor", self.due.form.cast());
        format!("{} >= {floor}", self.due.sql)
    }

    /// Rows that are due.
    pub(super) fn conditions(&self, scoped: bool, begin: Begin) -> String {
        let mut all = self.claimed(scoped, begin);
        if let Some((active, _)) = self.noted() {
            all.extend([" AND ", &active.quiet(self.inclusive)]);
        }
        all
    }

    /// Conditions on other tables, in the write.
    pub(super) fn decided(&self) -> String {
        let mut all = self.related.clone();
        if let Some(active) = self.active.as_ref().filter(|active| active.noted.is_none()) {
            all.extend([" AND ", &active.quiet(self.inclusive)]);
        }
        all
    }

    /// Whether a key of another table may keep a row.
    pub(super) fn may_be_kept(&self) -> bool {
        !self.keeper.starts_with("NULL")
    }

    /// Which picked rows are written, and which of the others something keeps.
    pub(super) fn open_and_kept(&self) -> (String, String) {
        let (open, kept) = if self.may_be_kept() {
            ("hk_keeper IS NULL", "hk_keeper IS NOT NULL")
        } else {
            ("true", "false")
        };
        let (mut open, mut kept) = (open.to_owned(), kept.to_owned());
        if let Some((active, _)) = self.noted() {
            let quiet = active.picked_quiet(self.inclusive);
            open.extend([" AND ", &quiet]);
            kept.extend([" AND ", &quiet]);
        }
        (open, kept)
    }

    pub(super) fn order(&self) -> String {
        format!("{}, {}", self.due.sql, self.key_columns.join(", "))
    }

    /// Whether every row picked in one statement is written or fails it, so that rows of one
    /// instant need no order. With the key in the order, each batch sorts all of them if an index
    /// has the instant alone.
    pub(super) fn is_loose(&self) -> bool {
        !self.may_be_kept() && self.noted().is_none()
    }

    /// The place of a row as text: the instant and as many columns of the key, as the database
    /// writes them and reads them again.
    pub(super) fn place(&self, keys: usize, of: impl Fn(usize) -> String) -> String {
        let parts: Vec<String> = (0..=keys)
            .map(|number| {
                let is_structured = number > 0 && self.are_structured[number - 1];
                if is_structured {
                    format!("({})::text", of(number))
                } else {
                    // Instants do not depend on the style of dates.
                    format!("to_jsonb({}) #>> '{{}}'", of(number))
                }
            })
            .collect();
        format!("jsonb_build_array({})::text", parts.join(", "))
    }

    /// The place of the last row of a full batch, and its instant: of `hk_picked`, no row if it has
    /// fewer than the limit.
    ///
    /// The row is found before its place is written as text. Behind an `OFFSET` Postgres computes
    /// the columns of all rows that it skips, which took a fifth of a batch's instructions.
    pub(super) fn last_place(&self, keys: usize) -> String {
        let place = self.place(keys, |number| format!("hk_p{number}"));
        let micros = self.due.form.micros("hk_p0");
        let limit = param("limit");
        format!(
            "(SELECT {place} AS hk_place, {micros} AS hk_micros FROM (SELECT * FROM hk_picked OFFSET {limit}::bigint - 1) AS hk_last)"
        )
    }

    /// The keys of the rows just written, as a table `written` for the statement behind it.
    pub(super) fn just_written(&self) -> String {
        let values: Vec<String> = match self.key_casts.as_slice() {
            [cast] => vec![format!("hk_id::{cast}")],
            casts => casts
                .iter()
                .enumerate()
                .map(|(number, cast)| format!("(hk_id::jsonb ->> {number})::{cast}"))
                .collect(),
        };
        format!(
            "WITH written ({}) AS (SELECT {} FROM unnest({}::text[]) AS u(hk_id))",
            self.key_names.join(", "),
            values.join(", "),
            param("ids")
        )
    }

    pub(super) fn own_place(&self) -> String {
        self.place(self.key.len(), |number| match number {
            0 => self.due.sql.clone(),
            number => self.key_columns[number - 1].clone(),
        })
    }

    /// The columns that a row's place is made of.
    pub(super) fn place_columns(&self) -> String {
        let mut columns = format!("{} AS hk_p0", self.due.sql);
        for (number, key) in self.key_columns.iter().enumerate() {
            columns.extend([format!(", {key} AS hk_p{}", number + 1)]);
        }
        columns
    }

    /// The columns of `picked`.
    pub(super) fn picked(&self) -> String {
        let of = &self.of;
        let mut columns = format!("{of}.ctid AS hk_ctid, {}", self.place_columns());
        if self.is_divided {
            columns.extend([", ", of, ".tableoid AS hk_oid"]);
        }
        if self.may_be_kept() {
            columns.extend([", ", &self.id, " AS hk_id, ", &self.keeper, " AS hk_keeper"]);
        }
        if let Some((active, _)) = self.noted() {
            columns.extend([", ", &active.truth.sql, " AS hk_truth"]);
        }
        for (number, column) in self.references.iter().enumerate() {
            columns.extend([format!(", {of}.{} AS hk_r{number}", identifier(column))]);
        }
        columns
    }
}
