//! The parts of a statement that hand rows on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::parts::{identifier, qualified, table_name};
use super::tables::{ColumnFacts, Compiler, HandedRows, Handing, Tables};
use crate::rule::{Children, HandOn, OUTBOX, Target, Value, bare_name};
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
                    self.json_value(hand_on, value, handed)
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
        let payload = self.json_object(hand_on, &hand_on.columns, handed)?;
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
        hand_on: &HandOn,
        value: &Value,
        handed: &HandedRows<'_>,
    ) -> Option<String> {
        let part = &*hand_on.part();
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
            Value::Json(fields) => return self.json_object(hand_on, fields, handed),
            Value::Key => return Some(handed.key.clone()),
            Value::IdempotencyKey => {
                if !handed.is_unique {
                    let text = format!(
                        "`{}` has no primary key, so no text tells its rows apart: use `key`, or give it a key",
                        handed.table
                    );
                    self.refuse(part, text);
                    return None;
                }
                let rule = &self.rule.name;
                // A child may have the key of its parent, or of a child in another table.
                let before = if handed.table == self.rule.table {
                    format!("{rule}:")
                } else {
                    format!("{rule}:{}:", bare_name(handed.table))
                };
                let before = T::DIALECT.text(&before);
                let now = T::micros_of_run(self);
                // Rows of one key may go by several parts.
                let after = match self.rule.handing_number(hand_on) {
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
        hand_on: &HandOn,
        fields: &BTreeMap<String, Value>,
        handed: &HandedRows<'_>,
    ) -> Option<String> {
        let values: Vec<Option<String>> = fields
            .iter()
            .map(|(name, value)| {
                let value = self.json_value(hand_on, value, handed)?;
                Some(format!("{}, {value}", T::DIALECT.text(name)))
            })
            .collect();
        let pairs: Vec<String> = values.into_iter().collect::<Option<_>>()?;
        Some(T::json_object(&pairs))
    }

    /// Children that are handed on. Their key is the primary one, another that is never NULL, or
    /// else what refers to their parent.
    pub(crate) fn handed_children<'h>(
        &self,
        children: &'h Children,
        of: &'h str,
        from: &'h str,
    ) -> HandedRows<'h> {
        let table = &children.table;
        let mut unique = vec![self.catalogue.primary_key(table)];
        unique.extend(self.catalogue.unique_keys(table));
        let is_whole = |(number, key): &(usize, Vec<String>)| {
            let mut columns = key.iter().map(|name| self.find(table, name));
            let is_not_null =
                |column: Option<ColumnFacts<'_>>| column.is_some_and(|it| it.not_null);
            !key.is_empty() && (*number == 0 || columns.all(is_not_null))
        };
        let found = unique.into_iter().enumerate().find(is_whole);
        let is_unique = found.is_some();
        let names = found.map_or(children.column.names().to_vec(), |(_, key)| key);
        HandedRows {
            from,
            of,
            table,
            key: match names.as_slice() {
                // A child that no key names may refer to nothing.
                [one] => self.catalogue.key_or_empty(table, one, of),
                several => T::key_text(&qualified(of, several)),
            },
            is_unique,
        }
    }
}
