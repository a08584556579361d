//! The statements that hand rows on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::compiler::Compiler;
use super::parts::shown;
use super::stamp::Form;
use crate::rule::{HandOn, OUTBOX, Target, Value, bare_name};
use crate::store::migrations::{Schema, missing_schema};
use crate::store::rule::{Dialect, Template, identifier, param, table_name};

/// Rows that are handed on.
pub(super) struct HandedRows<'r> {
    /// `FROM` and what follows.
    pub(super) rows: &'r str,
    /// The name their columns go by.
    pub(super) of: &'r str,
    /// Their table, as the rule names it.
    pub(super) table: &'r str,
    /// Their key as text.
    pub(super) key: String,
}

impl Compiler<'_> {
    pub(super) fn handed_on(
        &mut self,
        hand_on: &HandOn,
        handed: &HandedRows<'_>,
    ) -> Option<Template> {
        match &hand_on.to {
            Target::Table(table) => self.row_for_table(hand_on, table, handed),
            Target::Function(_) => {
                self.refuse(
                    &hand_on.part(),
                    "functions are called on Postgres alone; name a table",
                );
                None
            }
            Target::Outbox(topic) => self.entry_for_outbox(hand_on, topic.as_deref(), handed),
        }
    }

    fn row_for_table(
        &mut self,
        hand_on: &HandOn,
        table: &str,
        handed: &HandedRows<'_>,
    ) -> Option<Template> {
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
                value => self.value(&part, value, handed.of),
            });
        }
        let missing: Vec<String> = self
            .catalogue
            .tables
            .get(table)?
            .columns
            .iter()
            .filter(|column| column.not_null != 0 && column.has_default == 0 && column.pk == 0)
            .filter(|column| {
                !hand_on
                    .columns
                    .keys()
                    .any(|name| name.eq_ignore_ascii_case(&column.name))
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
            Template::new(&format!(
                "INSERT INTO {} ({}) SELECT {} {}",
                table_name(table),
                names.join(", "),
                values.join(", "),
                handed.rows
            ))
        })
    }

    fn entry_for_outbox(
        &mut self,
        hand_on: &HandOn,
        topic: Option<&str>,
        handed: &HandedRows<'_>,
    ) -> Option<Template> {
        let part = hand_on.part();
        if !self.catalogue.tables.contains_key(OUTBOX) {
            self.refuse(&part, missing_schema(Schema::Outbox));
            return None;
        }
        let payload = self.json_object(&part, &hand_on.columns, handed)?;
        let now = self.micros_of_run();
        Some(Template::new(&format!(
            "INSERT INTO {OUTBOX} (rule, topic, key, at, due_at, payload) SELECT {}, {}, {}, {now}, {now}, {payload} {}",
            Dialect::Sqlite.text(&self.rule.name),
            Dialect::Sqlite.text(topic.unwrap_or_else(|| bare_name(handed.table))),
            handed.key,
            handed.rows
        )))
    }

    /// A value as a field of a JSON object takes it.
    fn json_value(&mut self, part: &str, value: &Value, handed: &HandedRows<'_>) -> Option<String> {
        let after = match value {
            Value::Constant(crate::rule::Literal::Bool(true)) => {
                return Some("json('true')".to_owned());
            }
            Value::Constant(crate::rule::Literal::Bool(false)) => {
                return Some("json('false')".to_owned());
            }
            Value::Constant(literal) => return Some(Dialect::Sqlite.literal(literal)),
            Value::Null => return Some("NULL".to_owned()),
            Value::Column(name) => {
                let of = handed.of;
                return self
                    .column(part, handed.table, name)
                    .then(|| holdable(&format!("{of}.{}", identifier(name))));
            }
            Value::Sql(sql) => {
                let text = Dialect::Sqlite
                    .sql(sql)
                    .map(|text| holdable(&format!("({text})")));
                return self.text(part, text);
            }
            Value::Json(fields) => return self.json_object(part, fields, handed),
            Value::Key => return Some(handed.key.clone()),
            Value::IdempotencyKey => {
                let rule = Dialect::Sqlite.text(&format!("{}:", self.rule.name));
                let now = self.micros_of_run();
                return Some(format!("({rule} || {} || ':' || {now})", handed.key));
            }
            Value::Now => Duration::ZERO,
            Value::NowPlus(after) => *after,
        };
        let form = Form::Text("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned());
        Some(self.instant_in(form, after))
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
                Some(format!("{}, {value}", Dialect::Sqlite.text(name)))
            })
            .collect();
        let pairs: Vec<String> = values.into_iter().collect::<Option<_>>()?;
        // One call takes at most 127 arguments; `json_patch` would drop what is null.
        let mut objects = pairs
            .chunks(MAX_PAIRS)
            .map(|pairs| format!("json_object({})", pairs.join(", ")));
        let Some(first) = objects.next() else {
            return Some("json_object()".to_owned());
        };
        Some(objects.fold(first, |all, object| {
            format!("json(rtrim({all}, '}}') || ',' || ltrim({object}, '{{'))")
        }))
    }

    fn micros_of_run(&mut self) -> String {
        self.instant_in(Form::Epoch(1_000_000), Duration::ZERO)
    }

    fn instant_in(&mut self, form: Form, after: Duration) -> String {
        self.instants.push((form, after));
        param(&format!("i{}", self.instants.len() - 1))
    }

    /// The key of a child as text: its primary key, or else what refers to its parent.
    pub(super) fn child_key(&self, table: &str, of: &str, or: &str) -> String {
        let known = self.catalogue.tables.get(table);
        let mut names = known.map_or(Vec::new(), super::catalogue::Table::primary_key);
        if names.is_empty() {
            names.push(or.to_owned());
        }
        let columns: Vec<String> = names
            .iter()
            .map(|name| format!("{of}.{}", identifier(name)))
            .collect();
        match columns.as_slice() {
            // A child that no key names may refer to nothing.
            [one] => format!("coalesce({}, '')", shown(one)),
            several => {
                let quoted: Vec<String> =
                    several.iter().map(|key| format!("quote({key})")).collect();
                format!("'[' || {} || ']'", quoted.join(" || ', ' || "))
            }
        }
    }
}

/// A value that JSON holds: a blob as hexadecimal text, a number beyond all numbers as text.
fn holdable(sql: &str) -> String {
    format!(
        "CASE typeof({sql}) WHEN 'blob' THEN lower(hex({sql})) \
         WHEN 'real' THEN CASE WHEN abs({sql}) > 1.7976931348623157e308 THEN CAST({sql} AS TEXT) ELSE {sql} END \
         ELSE {sql} END"
    )
}

/// Pairs that one call of a function takes.
const MAX_PAIRS: usize = 50;
