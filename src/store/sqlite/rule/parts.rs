//! The parts that all statements of a rule are made of.

use std::ops::Deref;

use super::stamp::Moment;
use crate::store::rule::{Basics, param};

/// The parts that all statements of a rule are made of.
pub(super) struct Parts {
    pub(super) basics: Basics<Moment>,
    /// The column that is a row's address, if the table has one.
    pub(super) rowid: Option<String>,
    pub(super) id: String,
    /// Whether the column that says whose row it is takes values as they are, of any type.
    pub(super) scope_keeps_types: bool,
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
        format!("{} {sign} {}", self.due.sql, param("cutoff"))
    }

    /// Leaves out rows that a later instant must not be read from.
    pub(super) fn readable(&self) -> String {
        let unreadable = self.due.unreadable();
        unreadable.map_or(String::new(), |condition| format!(" AND NOT ({condition})"))
    }

    /// Conditions on the row itself, except when it is due.
    pub(super) fn candidates(&self, scoped: bool) -> String {
        let mut all = vec![self.only.clone()];
        if let Some(held) = &self.held {
            all.push(format!(
                "({0} IS NULL OR {0} <= {1})",
                held.sql,
                param("held")
            ));
        }
        if let Some(column) = self.scope.as_ref().filter(|_| scoped) {
            let text = param("scope");
            all.push(if self.scope_keeps_types {
                let (number, blob) = (param("scope_number"), param("scope_blob"));
                format!("{column} IN ({text}, {number}, {blob})")
            } else {
                format!("{column} = {text}")
            });
        }
        all.join(" AND ")
    }

    /// Rows that are due, or may be, as far as activity is only noted.
    pub(super) fn claimed(&self, scoped: bool, after: bool) -> String {
        let mut all = format!("{} AND {}", self.candidates(scoped), self.due());
        if after {
            let values: Vec<String> = (0..=self.key.len())
                .map(|number| requoted('p', number))
                .collect();
            // The first part is what an index serves.
            all.extend([format!(
                " AND {0} >= {1} AND ({0}, {2}) > ({3})",
                self.due.sql,
                values[0],
                self.key_columns.join(", "),
                values.join(", ")
            )]);
        }
        all.push_str(&self.related);
        all
    }

    /// Rows that are due.
    pub(super) fn conditions(&self, scoped: bool, after: bool) -> String {
        let mut all = self.claimed(scoped, after);
        if let Some(active) = &self.active {
            all.extend([" AND ", &active.quiet(self.inclusive)]);
        }
        all
    }

    pub(super) fn order(&self) -> String {
        format!("{}, {}", self.due.sql, self.key_columns.join(", "))
    }

    pub(super) fn place(&self) -> String {
        let mut parts = vec![quoted(&self.due.sql)];
        parts.extend(self.key_columns.iter().map(|key| quoted(key)));
        format!("json_array({})", parts.join(", "))
    }

    /// The key as JSON that keeps its types. JSON holds no blobs: one is an array of its digits.
    pub(super) fn key_to_read(&self) -> String {
        let keys = self.key_columns.iter().map(|key| {
            format!(
                "CASE typeof({key}) WHEN 'blob' THEN '[\"' || hex({key}) || '\"]' ELSE json_quote({key}) END"
            )
        });
        let keys: Vec<String> = keys.collect();
        format!("'[' || {} || ']'", keys.join(" || ',' || "))
    }

    /// The columns of a key in JSON.
    pub(super) fn key_values(&self) -> String {
        let values = (0..self.key.len()).map(|number| {
            format!(
                "CASE json_type(value, '$[{number}]') WHEN 'array' THEN unhex(json_extract(value, '$[{number}][0]')) \
                 ELSE json_extract(value, '$[{number}]') END"
            )
        });
        let values: Vec<String> = values.collect();
        values.join(", ")
    }

    /// Whether a row is one of those at hand.
    pub(super) fn at_hand(&self) -> String {
        if let Some(rowid) = &self.rowid {
            let rows = param("rows");
            return format!("{rowid} IN (SELECT value FROM json_each({rows}))");
        }
        let keys = self.key_columns.iter().enumerate();
        let keys: Vec<String> = keys
            .map(|(number, key)| format!("{key} = {}", requoted('a', number)))
            .collect();
        format!("({})", keys.join(" AND "))
    }
}

/// A value as text that reads as it again. A text that `quote` may cut, or that may be no UTF-8, is
/// its bytes.
fn quoted(sql: &str) -> String {
    format!(
        "CASE WHEN typeof({sql}) = 'text' AND ({sql} GLOB '*[^ -~]*' OR length(CAST({sql} AS BLOB)) <> length({sql}) * length(CAST('x' AS BLOB))) \
         THEN 'T''' || hex({sql}) || '''' ELSE quote({sql}) END"
    )
}

/// A value that was quoted, by its number among those of a kind.
fn requoted(kind: char, number: usize) -> String {
    let (value, bytes) = (
        param(&format!("{kind}{number}")),
        param(&format!("{}{number}", kind.to_ascii_uppercase())),
    );
    format!("ifnull(CAST({bytes} AS TEXT), {value})")
}

/// A value as JSON. A blob is hexadecimal text.
pub(super) fn in_json(sql: &str) -> String {
    format!("json_quote(CASE typeof({sql}) WHEN 'blob' THEN hex({sql}) ELSE {sql} END)")
}

/// A key of one column as text. SQLite lets the key of a table be NULL.
pub(super) fn shown_key(sql: &str, takes_any: bool) -> String {
    format!("coalesce({}, 'NULL')", key_text(sql, takes_any))
}

/// A column of a key as text. Of one that may be of any type, what reads as another value is as SQL
/// writes it: 1 is `1`, and the text is `'1'`.
pub(super) fn key_text(sql: &str, takes_any: bool) -> String {
    if !takes_any {
        return shown(sql);
    }
    format!(
        "CASE typeof({sql}) WHEN 'blob' THEN quote({sql}) WHEN 'text' THEN \
         CASE WHEN {sql} = CAST(CAST({sql} AS NUMERIC) AS TEXT) OR {sql} IN ('Inf', '-Inf') OR {sql} GLOB '''*' OR {sql} GLOB 'X''*' \
         THEN quote({sql}) ELSE {sql} END ELSE CAST({sql} AS TEXT) END"
    )
}

/// A value as text for people.
pub(super) fn shown(sql: &str) -> String {
    format!("CASE typeof({sql}) WHEN 'blob' THEN hex({sql}) ELSE CAST({sql} AS TEXT) END")
}
