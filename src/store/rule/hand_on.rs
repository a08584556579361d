//! The parts of a statement that hand rows on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::parts::{identifier, qualified, table_name};
use super::tables::{Compiler, HandedRows, Handing, Tables};
use crate::rule::{HandOn, OUTBOX, Target, Value, bare_name};
use crate::store::migrations::{Schema, missing_schema};

impl<T: Tables> Compiler<'_, T> {
    pub(crate) fn handed_on(
        &mut self,
        hand_on: &HandOn,
        handed: &HandedRows<'_>,
    ) -> Option<Handing> {
        match &hand_on.to {
            Target::Table(table) => self.row_for_table(hand_on, table, handed),
            Target::Function(function) => T::call(self, hand_on, function, handed),
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
            values.push(match value {
                Value::Json(_) | Value::Key | Value::IdempotencyKey => {
                    self.json_value(&part, value, handed)
                }
                value => T::value(self, &part, value, handed.of, (table, name)),
            });
        }
        let given = |name: &str| hand_on.columns.keys().any(|given| T::is_same(given, name));
        let columns = self.catalogue.columns(table).into_iter();
        let missing = columns.filter(|column| {
            column.not_null && !column.has_default && !column.generated && !given(column.name)
        });
        for name in missing
            .map(|column| column.name.to_owned())
            .collect::<Vec<_>>()
        {
            self.refuse(
                &part,
                format!("`{name}` is not null, has no default and gets nothing"),
            );
        }
        let values: Vec<String> = values.into_iter().collect::<Option<_>>()?;
        fine.then(|| {
            Handing::Insert(format!(
                "INSERT INTO {} ({}) SELECT {} {}",
                table_name(table),
                names.join(", "),
                values.join(", "),
                handed.from
            ))
        })
    }

    fn entry_for_outbox(
        &mut self,
        hand_on: &HandOn,
        topic: Option<&str>,
        handed: &HandedRows<'_>,
    ) -> Option<Handing> {
        let part = hand_on.part();
        if self.catalogue.kind(OUTBOX).is_none() {
            self.refuse(&part, missing_schema(Schema::Outbox));
            return None;
        }
        let payload = self.json_object(&part, &hand_on.columns, handed)?;
        let now = T::outbox_instant(self);
        Some(Handing::Insert(format!(
            "INSERT INTO {OUTBOX} (rule, topic, key, at, due_at, payload) SELECT {}, {}, {}, {now}, {now}, {payload} {}",
            T::DIALECT.text(&self.rule.name),
            T::DIALECT.text(topic.unwrap_or_else(|| bare_name(handed.table))),
            handed.key,
            handed.from
        )))
    }

    /// A value that says its own type.
    pub(crate) fn json_value(
        &mut self,
        part: &str,
        value: &Value,
        handed: &HandedRows<'_>,
    ) -> Option<String> {
        let after = match value {
            Value::Constant(crate::rule::Literal::Bool(value)) => {
                return Some(T::json_boolean(*value).to_owned());
            }
            Value::Constant(literal) => return Some(T::DIALECT.literal(literal)),
            Value::Null => return Some("NULL".to_owned()),
            Value::Column(name) => {
                let of = handed.of;
                return self
                    .column(part, handed.table, name)
                    .then(|| T::json_field(format!("{of}.{}", identifier(name))));
            }
            Value::Sql(sql) => {
                let text = T::DIALECT.sql(sql);
                return self.text(part, text.map(|text| T::json_field(format!("({text})"))));
            }
            Value::Json(fields) => return self.json_object(part, fields, handed),
            Value::Key => return Some(handed.key.clone()),
            Value::IdempotencyKey => {
                let rule = &self.rule.name;
                // A child may have the key of its parent, or of a child in another table.
                let before = if handed.table == self.rule.table {
                    format!("{rule}:")
                } else {
                    format!("{rule}:{}:", bare_name(handed.table))
                };
                let before = T::DIALECT.text(&before);
                let now = T::micros_of_run(self);
                let after = match handed.number {
                    0 => String::new(),
                    number => format!(" || ':{}'", number + 1),
                };
                return Some(format!(
                    "({before} || {} || ':' || {now}{after})",
                    handed.key
                ));
            }
            Value::Now => Duration::ZERO,
            Value::NowPlus(after) => *after,
        };
        Some(T::json_instant(self, after))
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
                Some(format!("{}, {value}", T::DIALECT.text(name)))
            })
            .collect();
        let pairs: Vec<String> = values.into_iter().collect::<Option<_>>()?;
        Some(T::json_object(&pairs))
    }

    /// The key of a child as text: its primary key, or else what refers to its parent.
    pub(crate) fn child_key(&self, table: &str, of: &str, or: &[String]) -> String {
        let mut names = self.catalogue.primary_key(table);
        if names.is_empty() {
            names = or.to_vec();
        }
        match names.as_slice() {
            // A child that no key names may refer to nothing.
            [one] => self.catalogue.key_or_empty(table, one, of),
            several => T::key_text(&qualified(of, several)),
        }
    }
}
