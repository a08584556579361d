//! The parts of a statement that hand rows on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::compiler::Compiler;
use super::stamp::{Form, once};
use crate::rule::{HandOn, OUTBOX, Target, Value, bare_name};
use crate::store::migrations::{Schema, missing_schema};
use crate::store::rule::{Dialect, identifier, param, table_name};

/// Rows that are handed on.
pub(super) struct HandedRows<'r> {
    /// The part of the statement that yields them.
    pub(super) rows: &'r str,
    /// The name its columns go by.
    pub(super) of: &'r str,
    /// Their table, as the rule names it.
    pub(super) table: &'r str,
    /// Their key as text.
    pub(super) key: String,
}

/// A part of a statement that hands on.
pub(super) enum Handing {
    /// Inserts, which Postgres runs in any case.
    Insert(String),
    /// Calls, which Postgres runs only if their rows are read.
    Call(String),
}

impl Compiler<'_> {
    pub(super) fn handed_on(
        &mut self,
        hand_on: &HandOn,
        handed: &HandedRows<'_>,
    ) -> Option<Handing> {
        match &hand_on.to {
            Target::Table(table) => self.row_for_table(hand_on, table, handed),
            Target::Function(function) => self.call_of_function(hand_on, function, handed),
            Target::Outbox(topic) => self.entry_for_outbox(hand_on, topic.as_deref(), handed),
        }
    }

    fn row_for_table(
        &mut self,
        hand_on: &HandOn,
        table: &str,
        handed: &HandedRows<'_>,
    ) -> Option<Handing> {
        let part = hand_on.part();
        self.table(&part, table)?;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        let mut fine = true;
        for (name, value) in &hand_on.columns {
            fine &= self.column(&part, table, name);
            names.push(identifier(name));
            values.push(self.handed_value(&part, value, handed, (table, name)));
        }
        let missing: Vec<String> = self
            .catalogue
            .tables
            .get(table)?
            .columns
            .iter()
            .filter(|column| {
                column.not_null
                    && !column.has_default
                    && !hand_on.columns.contains_key(&column.name)
            })
            .map(|column| column.name.clone())
            .collect();
        for name in missing {
            self.refuse(
                &part,
                format!("`{name}` is not null, has no default and gets nothing"),
            );
        }
        let values: Vec<String> = values.into_iter().collect::<Option<_>>()?;
        fine.then(|| {
            Handing::Insert(format!(
                "INSERT INTO {} ({}) SELECT {} FROM {} AS {} RETURNING 1",
                table_name(table),
                names.join(", "),
                values.join(", "),
                handed.rows,
                handed.of
            ))
        })
    }

    fn call_of_function(
        &mut self,
        hand_on: &HandOn,
        function: &str,
        handed: &HandedRows<'_>,
    ) -> Option<Handing> {
        let part = hand_on.part();
        let overloads = self.catalogue.functions.get(function);
        let fitting = overloads.into_iter().flatten().find(|arguments| {
            let mut given = hand_on.columns.keys();
            given.all(|name| arguments.contains_key(name))
        });
        let Some(arguments) = fitting.cloned() else {
            let given: Vec<&str> = hand_on.columns.keys().map(String::as_str).collect();
            let problem = if overloads.is_some() {
                "no function of this name takes these arguments by name"
            } else {
                "there is no such function that this role may execute"
            };
            self.refuse(&part, format!("{problem}: {}", given.join(", ")));
            return None;
        };
        let mut given = Vec::new();
        for (name, value) in &hand_on.columns {
            let value = self.json_value(&part, value, handed)?;
            let cast = arguments.get(name)?;
            given.push(format!("{} => ({value})::{cast}", identifier(name)));
        }
        Some(Handing::Call(format!(
            "SELECT {}({}) IS NULL AS hk_called FROM {} AS {}",
            table_name(function),
            given.join(", "),
            handed.rows,
            handed.of
        )))
    }

    fn entry_for_outbox(
        &mut self,
        hand_on: &HandOn,
        topic: Option<&str>,
        handed: &HandedRows<'_>,
    ) -> Option<Handing> {
        let part = hand_on.part();
        if !self.catalogue.tables.contains_key(OUTBOX) {
            self.refuse(&part, missing_schema(Schema::Outbox));
            return None;
        }
        let payload = self.json_object(&part, &hand_on.columns, handed)?;
        let now = self.now_as(Form::Zoned);
        Some(Handing::Insert(format!(
            "INSERT INTO {OUTBOX} (rule, topic, key, at, due_at, payload) \
             SELECT {}, {}, {}, {now}, {now}, {payload} FROM {} AS {} RETURNING 1",
            Dialect::Postgres.text(&self.rule.name),
            Dialect::Postgres.text(topic.unwrap_or_else(|| bare_name(handed.table))),
            handed.key,
            handed.rows,
            handed.of
        )))
    }

    /// A value for a column of a table.
    fn handed_value(
        &mut self,
        part: &str,
        value: &Value,
        handed: &HandedRows<'_>,
        (table, column): (&str, &str),
    ) -> Option<String> {
        match value {
            Value::Json(_) | Value::Key | Value::IdempotencyKey => {
                self.json_value(part, value, handed)
            }
            value => self.value(part, value, handed.of, table, column),
        }
    }

    /// A value that says its own type.
    fn json_value(&mut self, part: &str, value: &Value, handed: &HandedRows<'_>) -> Option<String> {
        let after = match value {
            Value::Constant(literal) => return Some(Dialect::Postgres.literal(literal)),
            Value::Null => return Some("NULL".to_owned()),
            Value::Column(name) => {
                let of = handed.of;
                return self
                    .column(part, handed.table, name)
                    .then(|| format!("{of}.{}", identifier(name)));
            }
            Value::Sql(sql) => {
                let text = Dialect::Postgres.sql(sql).map(|text| format!("({text})"));
                return self.text(part, text);
            }
            Value::Json(fields) => return self.json_object(part, fields, handed),
            Value::Key => return Some(handed.key.clone()),
            Value::IdempotencyKey => {
                let micros = Form::Epoch {
                    per_second: 1_000_000,
                    cast: "text".to_owned(),
                };
                let rule = Dialect::Postgres.text(&format!("{}:", self.rule.name));
                let now = self.now_as(micros);
                return Some(format!("({rule} || {} || ':' || {now})", handed.key));
            }
            Value::Now => Duration::ZERO,
            Value::NowPlus(after) => *after,
        };
        self.instants.push((Form::Zoned, after));
        Some(once(&format!("i{}", self.instants.len() - 1), "text"))
    }

    fn json_object(
        &mut self,
        part: &str,
        fields: &BTreeMap<String, Value>,
        handed: &HandedRows<'_>,
    ) -> Option<String> {
        let values: Vec<Option<String>> = fields
            .iter()
            .map(|(name, value)| {
                let value = self.json_value(part, value, handed)?;
                Some(format!("{}, {value}", Dialect::Postgres.text(name)))
            })
            .collect();
        let pairs: Vec<String> = values.into_iter().collect::<Option<_>>()?;
        if pairs.len() <= MAX_PAIRS {
            return Some(format!("json_build_object({})", pairs.join(", ")));
        }
        let chunks: Vec<String> = pairs
            .chunks(MAX_PAIRS)
            .map(|pairs| format!("jsonb_build_object({})", pairs.join(", ")))
            .collect();
        Some(format!("({})::json", chunks.join(" || ")))
    }

    /// The instant of the run in this form.
    fn now_as(&mut self, form: Form) -> String {
        let cast = form.cast().to_owned();
        self.instants.push((form, Duration::ZERO));
        let number = self.instants.len() - 1;
        format!("(SELECT {}::{cast})", param(&format!("i{number}")))
    }

    /// The key of a child as text: its primary key, or else what refers to its parent.
    pub(super) fn child_key(&self, table: &str, of: &str, or: &str) -> String {
        let known = self.catalogue.primary_keys.get(table);
        let names = known.map_or(&[or.to_owned()][..], Vec::as_slice).to_vec();
        let columns: Vec<String> = names
            .iter()
            .map(|name| format!("{of}.{}", identifier(name)))
            .collect();
        match columns.as_slice() {
            // A child that no key names may refer to nothing.
            [one] => format!("coalesce({one}::text, '')"),
            several => format!("jsonb_build_array({})::text", several.join(", ")),
        }
    }
}

/// Pairs that one call of a function takes.
const MAX_PAIRS: usize = 50;
