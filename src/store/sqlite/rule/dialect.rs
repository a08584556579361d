//! A rule in SQLite's dialect: its catalogue, quoting and types.

use std::time::Duration;

use super::catalogue::{ADDRESS, Catalogue, Table};
use super::parts::{in_json, key_text};
use super::probe::FAILING;
use super::stamp::{Form, Moment};
use crate::rule::{Activity, Due, HandOn, InstantColumn, Source, Value, bare_name, split_name};
use crate::store::rule::{
    self, Active, ColumnFacts, Dialect, ForeignKey, HandedRows, Handing, Tables, identifier, param,
    qualified,
};

pub(super) type Compiler<'r> = rule::Compiler<'r, Catalogue>;

impl Tables for Catalogue {
    const DIALECT: Dialect = Dialect::Sqlite;
    const NO_TEXT: &'static str = "NULL";
    const ALWAYS: &'static str = "1";
    const ALONE: &'static str = " LIMIT -1 OFFSET 0";
    /// A transaction that writes has the file to itself.
    const RACES: bool = false;

    type Form = Form;
    type Moment = Moment;

    fn known(&self) -> &[String] {
        &self.known
    }

    fn kind(&self, table: &str) -> Option<Result<(), &str>> {
        Some(match self.tables.get(table)?.kind.as_str() {
            "table" => Ok(()),
            "view" => Err("a view"),
            "virtual" => Err("a virtual table"),
            "shadow" => Err("a part of a virtual table"),
            _ => Err("no table"),
        })
    }

    fn shows_rows(&self, table: &str) -> bool {
        let found = self.tables.get(table);
        found.is_some_and(|table| matches!(table.kind.as_str(), "view" | "virtual"))
    }

    fn has_key(&self, table: &str, of: &str, key: &[String]) -> Option<String> {
        let nullable = self.tables.get(table)?.nullable(key);
        let columns = qualified(of, &nullable).into_iter();
        let conditions: Vec<String> = columns.map(|name| format!("{name} IS NOT NULL")).collect();
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }

    fn columns(&self, table: &str) -> Vec<ColumnFacts<'_>> {
        let Some(table) = self.tables.get(table) else {
            return Vec::new();
        };
        let facts = table.columns.iter().map(|column| ColumnFacts {
            name: &column.name,
            not_null: column.not_null != 0,
            has_default: column.has_default != 0 || table.numbers_itself(column),
            generated: column.hidden != 0,
            computed: column.hidden != 0,
        });
        facts.collect()
    }

    /// Names that differ in case are one.
    fn is_same(one: &str, other: &str) -> bool {
        one.eq_ignore_ascii_case(other)
    }

    fn primary_key(&self, table: &str) -> Vec<String> {
        let table = self.tables.get(table);
        table.map_or(Vec::new(), Table::primary_key)
    }

    fn unique_keys(&self, table: &str) -> Vec<Vec<String>> {
        let table = self.tables.get(table);
        table.map_or(Vec::new(), |table| table.unique.clone())
    }

    fn foreign_keys(&self, table: &str, parent: &str) -> Vec<(&[String], &[String])> {
        let keys = self.tables.get(table).into_iter();
        let keys = keys.flat_map(|table| &table.foreign_keys);
        let keys = keys.filter(|key| key.parent.eq_ignore_ascii_case(bare_name(parent)));
        keys.map(|key| (&*key.columns, &*key.parent_columns))
            .collect()
    }

    fn refusing_keys(&self, parent: &str, except: &[&str]) -> Vec<&ForeignKey> {
        let keys = self.tables.get(parent).into_iter();
        let keys = keys.flat_map(|table| &table.pointed_at_by);
        let is_excepted = |table: &str| {
            let mut except = except.iter();
            except.any(|name| bare_name(name).eq_ignore_ascii_case(table))
        };
        keys.filter(|key| key.refuses() && !is_excepted(&key.table))
            .collect()
    }

    fn instant(
        compiler: &mut Compiler<'_>,
        part: &str,
        instant: &InstantColumn,
        of: &str,
    ) -> Option<Moment> {
        let name = &instant.column;
        if !compiler.column(part, &compiler.rule.table, name) {
            return None;
        }
        let sample = compiler.catalogue.samples.get(name);
        let sql = format!("{of}.{}", identifier(name));
        let moment = Moment::of(name, sql, instant.sqlite_stamp(), sample);
        compiler.noted(part, moment)
    }

    fn due(compiler: &mut Compiler<'_>, due: &Due, of: &str) -> Option<Moment> {
        let moment = match &due.source {
            Source::Column(instant) => Self::instant(compiler, "due", instant, of)?,
            Source::FirstOf(instants) => compiler.several(instants, of, |all| {
                all.into_iter()
                    .reduce(|a, b| format!("min(ifnull({a}, {b}), ifnull({b}, {a}))"))
                    .unwrap_or_default()
            })?,
            Source::Coalesce(instants) => {
                compiler.several(instants, of, |all| match all.as_slice() {
                    [one] => one.clone(),
                    all => format!("coalesce({})", all.join(", ")),
                })?
            }
            Source::Sql(sql, stamp) => {
                let text = Dialect::Sqlite.sql(sql).map(|text| format!("({text})"));
                let text = compiler.text("due", text)?;
                let moment = Moment::of("the expression", text, Some(stamp), None);
                compiler.noted("due", moment)?
            }
        };
        match (&due.plus, &due.lifetime) {
            (Some((name, unit)), _) => compiler
                .column("due", &compiler.rule.table, name)
                .then(|| moment.plus(&format!("{of}.{}", identifier(name)), unit.millis())),
            (None, Some(lifetime)) => {
                let span = compiler.lifetime(lifetime, of)?;
                Some(moment.plus(&span, lifetime.unit.millis()))
            }
            (None, None) => Some(moment),
        }
    }

    fn active(
        compiler: &mut Compiler<'_>,
        activity: &Activity,
        own: Moment,
        of: &str,
        key: &[String],
    ) -> Option<(Moment, Active<Moment>)> {
        compiler.active(activity, own, of, key)
    }

    fn unreadable(moment: &Moment) -> Option<String> {
        moment.unreadable()
    }

    fn failing_row(&self, table: &str, of: &str) -> Option<String> {
        let address = self.tables.get(table)?.address(of)?;
        let failing = param(FAILING);
        Some(format!(
            "{address} IN (SELECT json_extract(value, '$[0]') FROM json_each({failing}))"
        ))
    }

    fn failure(of: &str) -> String {
        let failing = param(FAILING);
        format!(
            "(SELECT json_extract(value, '$[1]') FROM json_each({failing}) WHERE json_extract(value, '$[0]') = {of}.{ADDRESS})"
        )
    }

    fn guarded(&self, moment: Moment, row: &str, only: &str) -> Moment {
        let (lowest, sql) = (moment.form.lowest(), &moment.sql);
        Moment {
            sql: format!("(CASE WHEN {row} THEN {lowest} WHEN {only} THEN {sql} END)"),
            ..moment
        }
    }

    fn value(
        compiler: &mut Compiler<'_>,
        part: &str,
        value: &Value,
        of: &str,
        _: (&str, &str),
    ) -> Option<String> {
        let after = match value {
            Value::Constant(literal) => return Some(Dialect::Sqlite.literal(literal)),
            Value::Null => return Some("NULL".to_owned()),
            Value::Column(name) => return Some(format!("{of}.{}", identifier(name))),
            Value::Sql(sql) => {
                let text = Dialect::Sqlite.sql(sql).map(|text| format!("({text})"));
                return compiler.text(part, text);
            }
            Value::Json(_) | Value::Key | Value::IdempotencyKey => {
                compiler.refuse(part, "this value is for `hand_on` alone");
                return None;
            }
            Value::Now => Duration::ZERO,
            Value::NowPlus(after) => *after,
        };
        // As the rule's own instants are kept.
        let stamp = compiler.rule.due.as_ref()?.sqlite_stamp();
        let form = Form::of("", stamp).ok()?;
        Some(compiler.instant_in(form, after))
    }

    fn call(
        compiler: &mut Compiler<'_>,
        hand_on: &HandOn,
        _: &str,
        _: &HandedRows<'_>,
    ) -> Option<Handing> {
        compiler.refuse(
            &hand_on.part(),
            "functions are called on Postgres alone; name a table",
        );
        None
    }

    fn key_text(columns: &[String]) -> String {
        let parts: Vec<String> = columns.iter().map(|key| in_json(key)).collect();
        format!("'[' || {} || ']'", parts.join(" || ', ' || "))
    }

    fn key_or_empty(&self, table: &str, name: &str, of: &str) -> String {
        let table = self.tables.get(table);
        let takes_any = table.is_some_and(|table| table.takes_any(name));
        let column = format!("{of}.{}", identifier(name));
        format!("coalesce({}, '')", key_text(&column, takes_any))
    }

    /// A value that JSON holds: a blob as hexadecimal text, a number beyond all numbers as text.
    fn json_field(sql: String) -> String {
        format!(
            "CASE typeof({sql}) WHEN 'blob' THEN lower(hex({sql})) \
             WHEN 'real' THEN CASE WHEN abs({sql}) > 1.7976931348623157e308 THEN CAST({sql} AS TEXT) ELSE {sql} END \
             ELSE {sql} END"
        )
    }

    fn json_boolean(value: bool) -> &'static str {
        if value {
            "json('true')"
        } else {
            "json('false')"
        }
    }

    fn json_object(pairs: &[String]) -> String {
        // One call takes at most 127 arguments; `json_patch` would drop what is null.
        let mut objects = pairs
            .chunks(MAX_PAIRS)
            .map(|pairs| format!("json_object({})", pairs.join(", ")));
        let Some(first) = objects.next() else {
            return "json_object()".to_owned();
        };
        // The text before the last brace, and that behind the first.
        objects.fold(first, |all, object| {
            format!("json(substr({all}, -1, -2147483647) || ',' || substr({object}, 2))")
        })
    }

    fn micros_of_run(compiler: &mut Compiler<'_>) -> String {
        compiler.instant_in(Form::Epoch(1_000_000), Duration::ZERO)
    }

    fn outbox_instant(compiler: &mut Compiler<'_>) -> String {
        Self::micros_of_run(compiler)
    }

    fn json_instant(compiler: &mut Compiler<'_>, after: Duration) -> String {
        let form = Form::Text("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned());
        compiler.instant_in(form, after)
    }
}

/// Whether two names are of one table.
pub(super) fn are_one(table: &str, other: &str) -> bool {
    let schema = |name| split_name(name).0.unwrap_or("main");
    Catalogue::is_same(bare_name(table), bare_name(other))
        && Catalogue::is_same(schema(table), schema(other))
}

impl Compiler<'_> {
    pub(super) fn own_table(&self) -> Option<&Table> {
        self.catalogue.tables.get(&self.rule.table)
    }

    /// Several columns in one form: their own if they share it, else whole seconds.
    fn several(
        &mut self,
        instants: &[InstantColumn],
        of: &str,
        joined: impl FnOnce(Vec<String>) -> String,
    ) -> Option<Moment> {
        let moments: Vec<Option<Moment>> = instants
            .iter()
            .map(|instant| Catalogue::instant(self, "due", instant, of))
            .collect();
        let mut moments: Vec<Moment> = moments.into_iter().collect::<Option<_>>()?;
        let form = moments.first()?.form.clone();
        if moments.iter().any(|moment| moment.form != form) {
            moments = moments.iter().map(Moment::in_seconds).collect();
        }
        let form = moments.first()?.form.clone();
        let doubts = moments.iter().flat_map(|moment| moment.doubts.clone());
        let doubts = doubts.collect();
        let sql = joined(moments.into_iter().map(|moment| moment.sql).collect());
        Some(Moment { sql, form, doubts })
    }

    /// An instant this long after the run's, in this form.
    fn instant_in(&mut self, form: Form, after: Duration) -> String {
        self.instants.push((form, after));
        param(&format!("i{}", self.instants.len() - 1))
    }
}

/// Pairs that one call of a function takes.
const MAX_PAIRS: usize = 50;
