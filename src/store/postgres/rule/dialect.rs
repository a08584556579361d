//! A rule in Postgres's dialect: its catalogue, quoting and types.

use std::time::Duration;

use super::catalogue::{Catalogue, Table};
use super::probe::{FAILING, FAILING_REASONS, address};
use super::stamp::{Form, Moment, once};
use crate::rule::{Activity, Due, HandOn, InstantColumn, Literal, Source, Stamp, Value};
use crate::store::rule::{
    self, Active, ColumnFacts, Dialect, ForeignKey, HandedRows, Handing, Tables, identifier, param,
    quoted_text, table_name,
};

pub(super) type Compiler<'r> = rule::Compiler<'r, Catalogue>;

impl Tables for Catalogue {
    const DIALECT: Dialect = Dialect::Postgres;
    const NO_TEXT: &'static str = "NULL::text";
    const ALWAYS: &'static str = "true";
    /// Postgres neither joins nor hashes it.
    const ALONE: &'static str = " OFFSET 0";
    const RACES: bool = true;

    type Form = Form;
    type Moment = Moment;

    fn known(&self) -> &[String] {
        &self.known
    }

    fn kind(&self, table: &str) -> Option<Result<(), &str>> {
        Some(match self.tables.get(table)?.relkind.as_str() {
            "r" | "p" => Ok(()),
            "v" => Err("a view"),
            "m" => Err("a materialized view"),
            "f" => Err("a foreign table"),
            _ => Err("no table"),
        })
    }

    fn shows_rows(&self, table: &str) -> bool {
        let found = self.tables.get(table);
        found.is_some_and(|table| matches!(table.relkind.as_str(), "v" | "m" | "f"))
    }

    fn columns(&self, table: &str) -> Vec<ColumnFacts<'_>> {
        let columns = self.tables.get(table).into_iter();
        let columns = columns.flat_map(|table| &table.columns);
        let facts = columns.map(|column| ColumnFacts {
            name: &column.name,
            not_null: column.not_null,
            has_default: column.has_default,
            generated: column.generated,
            computed: column.computed,
        });
        facts.collect()
    }

    fn is_same(one: &str, other: &str) -> bool {
        one == other
    }

    fn primary_key(&self, table: &str) -> Vec<String> {
        self.keys_of(table)
            .find(|key| key.primary)
            .map_or(Vec::new(), |key| key.columns.clone())
    }

    fn unique_keys(&self, table: &str) -> Vec<Vec<String>> {
        let keys = self.keys_of(table);
        keys.map(|key| key.columns.clone()).collect()
    }

    fn foreign_keys(&self, table: &str, parent: &str) -> Vec<(&[String], &[String])> {
        let (table, parent) = (self.oid(table), self.oid(parent));
        let keys = self.foreign_keys.iter();
        let keys = keys.filter(|key| Some(key.oid) == table && Some(key.parent) == parent);
        keys.map(|found| (&*found.key.columns, &*found.key.parent_columns))
            .collect()
    }

    fn refusing_keys(&self, parent: &str, except: &[&str]) -> Vec<&ForeignKey> {
        let parent = self.oid(parent);
        let except: Vec<Option<i64>> = except.iter().map(|name| self.oid(name)).collect();
        let keys = self.foreign_keys.iter().filter(|found| {
            Some(found.parent) == parent
                && found.key.refuses()
                && found.key.readable
                && !except.contains(&Some(found.oid))
        });
        keys.map(|found| &found.key).collect()
    }

    fn instant(
        compiler: &mut Compiler<'_>,
        part: &str,
        instant: &InstantColumn,
        of: &str,
    ) -> Option<Moment> {
        if !compiler.column(part, &compiler.rule.table, &instant.column) {
            return None;
        }
        let column = compiler.own_table()?.column(&instant.column)?;
        let moment = Moment::of(column, of, instant.stamp.as_ref());
        compiler.noted(part, moment)
    }

    fn due(compiler: &mut Compiler<'_>, due: &Due, of: &str) -> Option<Moment> {
        let moment = match &due.source {
            Source::Column(instant) => Self::instant(compiler, "due", instant, of)?,
            Source::FirstOf(instants) => compiler.several("least", instants, of)?,
            Source::Coalesce(instants) => compiler.several("coalesce", instants, of)?,
            Source::Sql(sql, stamp) => {
                let text = Dialect::Postgres.sql(sql);
                Moment::of_sql(&compiler.text("due", text)?, stamp)
            }
        };
        let (span, (table, name), unit) = match (&due.plus, &due.lifetime) {
            (Some((name, unit)), _) => {
                if !compiler.column("due", &compiler.rule.table, name) {
                    return None;
                }
                let span = format!("{of}.{}", identifier(name));
                (span, (&compiler.rule.table, name), unit)
            }
            (None, Some(lifetime)) => {
                let span = compiler.lifetime(lifetime, of)?;
                (span, (&lifetime.table, &lifetime.column), &lifetime.unit)
            }
            (None, None) => return Some(moment),
        };
        let table = compiler.catalogue.tables.get(table)?;
        let base = &table.column(name)?.base;
        let sum = if compiler.careful {
            moment.plus_carefully(&span, base, unit.millis())
        } else {
            moment.plus(&span, base, unit.millis())
        };
        compiler.noted("due", sum)
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

    fn failing_row(&self, _: &str, of: &str) -> Option<String> {
        let (address, failing) = (address(of), param(FAILING));
        Some(format!("{address} IN (SELECT unnest({failing}::text[]))"))
    }

    fn failure(of: &str) -> String {
        let (failing, reasons) = (param(FAILING), param(FAILING_REASONS));
        format!(
            "(SELECT hk_reason FROM unnest({failing}::text[], {reasons}::text[]) AS hk_f(hk_address, hk_reason) WHERE hk_address = {})",
            address(of)
        )
    }

    fn guarded(&self, moment: Moment, row: &str, only: &str) -> Moment {
        let lowest = quoted_text(moment.form.lowest(self.has_infinite_numerics));
        let (sql, cast) = (&moment.sql, moment.form.cast());
        Moment {
            sql: format!("(CASE WHEN {row} THEN {lowest}::{cast} WHEN {only} THEN {sql} END)"),
            ..moment
        }
    }

    fn label(compiler: &mut Compiler<'_>, part: &str, column: &str, constant: &Literal) {
        let Literal::Text(text) = constant else {
            return;
        };
        let Some(found) = compiler.own_table().and_then(|table| table.column(column)) else {
            return;
        };
        if !found.labels.is_empty() && !found.labels.contains(text) {
            let labels = found.labels.join(", ");
            let problem = format!("`{column}` is an enum without `{text}`; it has {labels}");
            compiler.refuse(part, problem);
        }
    }

    fn value(
        compiler: &mut Compiler<'_>,
        part: &str,
        value: &Value,
        of: &str,
        into: (&str, &str),
    ) -> Option<String> {
        compiler.value(part, value, of, into)
    }

    fn call(
        compiler: &mut Compiler<'_>,
        hand_on: &HandOn,
        function: &str,
        handed: &HandedRows<'_>,
    ) -> Option<Handing> {
        let part = hand_on.part();
        let number = compiler.rule.handing_number(hand_on);
        let fitting = compiler.catalogue.functions.get(&number);
        let Some(found) = fitting.and_then(|all| all.first()) else {
            let given: Vec<&str> = hand_on.columns.keys().map(String::as_str).collect();
            let problem = if fitting.is_some() {
                "no function of this name takes these arguments by name"
            } else {
                "there is no such function that this role may execute"
            };
            compiler.refuse(&part, format!("{problem}: {}", given.join(", ")));
            return None;
        };
        let (mut given, mut nulls) = (Vec::new(), Vec::new());
        for (name, value) in &hand_on.columns {
            let cast = match value {
                Value::Now | Value::NowPlus(_) if !found.casts => Some("timestamptz"),
                Value::Json(_) => found.argument(name),
                _ => found.argument(name).filter(|_| found.casts),
            };
            let mut value = format!("({})", compiler.json_value(hand_on, value, handed)?);
            nulls.push(format!("{value} IS NULL"));
            value.extend(cast.map(|cast| format!("::{cast}")));
            given.push(format!("{} => {value}", identifier(name)));
        }
        let unless = (found.is_strict && !nulls.is_empty())
            .then(|| format!("SELECT 1 {} WHERE {}", handed.from, nulls.join(" OR ")));
        Some(Handing::Call {
            call: format!(
                "SELECT {}({}) IS NULL AS hk_called {}",
                table_name(function),
                given.join(", "),
                handed.from
            ),
            unless,
        })
    }

    fn key_text(columns: &[String]) -> String {
        format!("jsonb_build_array({})::text", columns.join(", "))
    }

    fn key_or_empty(&self, _: &str, name: &str, of: &str) -> String {
        format!("coalesce({of}.{}::text, '')", identifier(name))
    }

    fn json_field(sql: String) -> String {
        sql
    }

    fn json_boolean(value: bool) -> &'static str {
        if value { "TRUE" } else { "FALSE" }
    }

    fn json_object(pairs: &[String]) -> String {
        // One call takes at most 100 arguments.
        if pairs.len() <= MAX_PAIRS {
            return format!("json_build_object({})", pairs.join(", "));
        }
        // `jsonb` would drop fields of one name, and refuse some texts.
        let chunks: Vec<String> = pairs
            .chunks(MAX_PAIRS)
            .map(|pairs| {
                format!(
                    "left(right(json_build_object({})::text, -1), -1)",
                    pairs.join(", ")
                )
            })
            .collect();
        format!("('{{' || {} || '}}')::json", chunks.join(" || ',' || "))
    }

    fn micros_of_run(compiler: &mut Compiler<'_>) -> String {
        let form = Form::Epoch {
            per_second: 1_000_000,
            cast: "text".to_owned(),
        };
        compiler.now_as(form, "text")
    }

    fn outbox_instant(compiler: &mut Compiler<'_>) -> String {
        compiler.now_as(Form::Zoned, Form::Zoned.cast())
    }

    fn json_instant(compiler: &mut Compiler<'_>, after: Duration) -> String {
        compiler.instants.push((Form::Zoned, after));
        once(&format!("i{}", compiler.instants.len() - 1), "text")
    }
}

impl Compiler<'_> {
    pub(super) fn own_table(&self) -> Option<&Table> {
        self.catalogue.tables.get(&self.rule.table)
    }

    /// Several columns in one form: their own if they share it.
    fn several(&mut self, function: &str, instants: &[InstantColumn], of: &str) -> Option<Moment> {
        let moments: Vec<Option<Moment>> = instants
            .iter()
            .map(|instant| Catalogue::instant(self, "due", instant, of))
            .collect();
        let mut moments: Vec<Moment> = moments.into_iter().collect::<Option<_>>()?;
        let form = moments.first()?.form.clone();
        if moments.iter().any(|moment| moment.form != form) {
            let naive: Result<Vec<Moment>, String> = moments.iter().map(Moment::naive).collect();
            moments = self.noted("due", naive)?;
        }
        let form = moments.first()?.form.clone();
        let columns: Vec<String> = moments.into_iter().map(|moment| moment.sql).collect();
        let sql = format!("{function}({})", columns.join(", "));
        Some(Moment { sql, form })
    }

    /// A value over a row of `of`, for a column of `table`.
    pub(super) fn value(
        &mut self,
        part: &str,
        value: &Value,
        of: &str,
        (table, column): (&str, &str),
    ) -> Option<String> {
        let after = match value {
            Value::Constant(literal) => return Some(Dialect::Postgres.literal(literal)),
            Value::Null => return Some("NULL".to_owned()),
            Value::Column(name) => return Some(format!("{of}.{}", identifier(name))),
            Value::Sql(sql) => {
                let text = Dialect::Postgres.sql(sql).map(|text| format!("({text})"));
                return self.text(part, text);
            }
            Value::Json(_) | Value::Key | Value::IdempotencyKey => {
                self.refuse(part, "this value is for `hand_on` alone");
                return None;
            }
            Value::Now => Duration::ZERO,
            Value::NowPlus(after) => *after,
        };
        let column_found = self.catalogue.tables.get(table)?.column(column)?;
        let base = column_found.base.clone();
        let declared = self.rule.due.as_ref().and_then(|due| match &due.source {
            Source::Column(instant) => instant.stamp.clone(),
            _ => None,
        });
        let mut zone = String::new();
        let form = match (base.as_str(), declared) {
            ("timestamp with time zone", _) => Form::Zoned,
            ("timestamp without time zone", Some(Stamp::NaiveIn(name))) => {
                zone = format!(" AT TIME ZONE {}", Dialect::Postgres.text(&name));
                Form::Zoned
            }
            ("timestamp without time zone", _) => Form::Naive,
            ("smallint" | "integer" | "bigint" | "numeric" | "double precision", stamp) => {
                Form::Epoch {
                    per_second: match stamp {
                        Some(Stamp::Millis) => 1_000,
                        Some(Stamp::Micros) => 1_000_000,
                        _ => 1,
                    },
                    cast: base,
                }
            }
            ("text" | "character varying", Some(Stamp::Text(format))) => Form::Text(format),
            _ => {
                let text = format!(
                    "`{column}` is `{base}`, which holds no instant: give an expression, such as `current_date`"
                );
                self.refuse(part, text);
                return None;
            }
        };
        let cast = form.cast().to_owned();
        self.instants.push((form, after));
        let number = self.instants.len() - 1;
        Some(format!("({}{zone})", once(&format!("i{number}"), &cast)))
    }

    /// The instant of the run in this form.
    fn now_as(&mut self, form: Form, cast: &str) -> String {
        self.instants.push((form, Duration::ZERO));
        let number = self.instants.len() - 1;
        format!("(SELECT {}::{cast})", param(&format!("i{number}")))
    }
}

/// Pairs that one call of a function takes.
const MAX_PAIRS: usize = 50;
