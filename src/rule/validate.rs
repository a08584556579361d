//! Finds problems of a rule without a database.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::DateTime;
use thiserror::Error;

use super::Rule;
use super::action::Action;
use super::activity::Activity;
use super::columns::Columns;
use super::due::{Due, Source};
use super::filter::Filter;
use super::hand_on::{HandOn, Target};
use super::related::{Children, Related};
use super::sql::{Sql, split_name};
use super::stamp::{InstantColumn, Stamp};
use super::value::Value;

/// A problem of a rule, with the rule's name and the part.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("rule `{rule}`, {part}: {problem}")]
pub struct RuleError {
    /// The rule's name.
    pub rule: String,
    /// The part, such as `due` or `with attachments`.
    pub part: String,
    /// The problem, and its remedy.
    pub problem: String,
}

impl Rule {
    /// Checks the rule without a database.
    ///
    /// # Errors
    ///
    /// The first part that is missing or empty, or that contradicts another.
    pub fn validate(&self) -> Result<(), RuleError> {
        let wrong = |(part, problem): (String, String)| RuleError {
            rule: self.name.clone(),
            part,
            problem,
        };
        self.problems()
            .into_iter()
            .next()
            .map_or(Ok(()), |problem| Err(wrong(problem)))
    }

    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Problems::default();
        if self.name.trim().is_empty() {
            problems.add("name", "it is empty");
        }
        problems.table("table", &self.table);
        for column in &self.key {
            problems.column("key", column);
        }
        match &self.due {
            None => problems.add(
                "due",
                "it is missing: say when a row falls due, as in `.due(at(\"expires_at\"))`",
            ),
            Some(due) => problems.due(due),
        }
        if let Some(filter) = &self.only {
            problems.filter("only", filter);
        }
        if let Some(held) = &self.held_until {
            problems.instant("held_until", held);
        }
        let after = self.due.as_ref().and_then(|due| due.after);
        for (part, span) in [("due", after), ("soonest", self.soonest)] {
            if span.is_some_and(|span| span > crate::time::span::MAX) {
                problems.add(part, "the maximum of a time is 100 years");
            }
        }
        if self.soonest.is_some_and(|soonest| soonest.is_zero()) {
            problems.add("soonest", "it is zero: give a time, such as a minute");
        }
        if let Some(activity) = &self.active {
            problems.activity(activity);
            let due = self.due.as_ref();
            if due.is_some_and(|due| due.plus.is_some() || due.lifetime.is_some()) {
                problems.add("active", "it excludes `plus` and `lifetime`: give an age");
            }
        }
        for (part, all) in [
            ("when", &self.when),
            ("unless", &self.unless),
            ("keeps", &self.keeps),
        ] {
            for related in all {
                problems.related(part, related);
            }
        }
        match &self.action {
            None => problems.add("action", "it is missing: give `delete`, `set` or `archive`"),
            Some(Action::Set(columns)) => {
                if columns.is_empty() && self.changes.is_empty() {
                    problems.add("set", "no column is set");
                }
                for (column, value) in columns {
                    problems.column("set", column);
                    problems.value("set", value);
                }
            }
            Some(Action::Archive(archive)) => {
                problems.table("archive", &archive.into);
                for column in archive.without.iter().chain(archive.columns.keys()) {
                    problems.column("archive", column);
                }
                for value in archive.columns.values() {
                    problems.value("archive", value);
                }
            }
            Some(Action::Delete) => {}
        }
        for children in &self.with {
            problems.children(children);
        }
        for statement in &self.then {
            problems.sql("then", statement);
        }
        if !self.then.is_empty() && self.tables().iter().any(|name| is_written(name)) {
            problems.add(
                "then",
                "the rows just written go by the name `written`, which hides the table of that name: give it with its schema",
            );
        }
        for hand_on in &self.hand_on {
            problems.hand_on(hand_on);
        }
        for (part, columns) in [("scope", self.scope.as_slice()), ("show", &self.show)] {
            for column in columns {
                problems.column(part, column);
            }
        }
        problems.0
    }

    /// Returns whether the rule certainly matches a row again that it has set, because it sets no
    /// column that decides, and none that such a column is made of. Names of columns are compared
    /// by `is_same`.
    #[cfg(any(feature = "_store", test))]
    pub(crate) fn stays_true(
        &self,
        is_same: fn(&str, &str) -> bool,
        is_computed: impl Fn(&str) -> bool,
    ) -> bool {
        let (Some(Action::Set(set)), Some(due)) = (&self.action, &self.due) else {
            return false;
        };
        let opaque = matches!(due.source, Source::Sql(..))
            || self.only.as_ref().is_some_and(Filter::is_opaque)
            // Another table, or `then`, may change the row so that it no longer matches.
            || self.asks_others()
            || self.active.is_some()
            || !self.changes.is_empty()
            || !self.then.is_empty();
        if opaque {
            return false;
        }
        let mut decides: Vec<&str> = due.columns().collect();
        decides.extend(due.plus.iter().map(|(column, _)| column.as_str()));
        decides.extend(due.lifetime.iter().map(|lifetime| lifetime.by.as_str()));
        let value = |name: &str| set.iter().find(|(column, _)| is_same(column, name));
        if decides
            .iter()
            .any(|name| value(name).is_some() || is_computed(name))
        {
            return false;
        }
        let Some(only) = &self.only else {
            return true;
        };
        if only.columns().into_iter().any(is_computed) {
            return false;
        }
        let constant = |name: &str| match value(name)?.1 {
            Value::Constant(literal) => Some(Some(literal)),
            Value::Null => Some(None),
            _ => None,
        };
        let unknown = |name: &str| value(name).is_some() && constant(name).is_none();
        only.stays_true(&constant, &unknown)
    }
}

/// Parts with their problems.
#[derive(Default)]
struct Problems(Vec<(String, String)>);

impl Problems {
    fn add(&mut self, part: impl Into<String>, problem: impl Into<String>) {
        self.0.push((part.into(), problem.into()));
    }

    fn table(&mut self, part: &str, name: &str) {
        let (schema, table) = split_name(name);
        if table.is_empty() || schema.is_some_and(str::is_empty) || name.contains('\0') {
            self.add(part, format!("`{name}` is no name of a table"));
        }
    }

    fn column(&mut self, part: &str, name: &str) {
        if name.is_empty() || name.contains('\0') {
            self.add(part, format!("`{name}` is no name of a column"));
        }
    }

    fn instant(&mut self, part: &str, instant: &InstantColumn) {
        self.column(part, &instant.column);
        for stamp in instant.stamp.iter().chain(&instant.sqlite) {
            self.stamp(part, stamp);
        }
    }

    fn stamp(&mut self, part: &str, stamp: &Stamp) {
        let Stamp::Text(format) = stamp else { return };
        let mut written = String::new();
        if write!(written, "{}", DateTime::UNIX_EPOCH.format(format)).is_err() {
            self.add(
                part,
                format!("`{format}` is no format of chrono's, such as `%Y-%m-%d %H:%M:%S`"),
            );
        }
    }

    fn columns(&mut self, part: &str, columns: &Columns, references: Option<&Columns>) {
        let count = columns.names().len();
        if count == 0 {
            self.add(part, "no column is named");
        }
        for name in columns.names() {
            self.column(part, name);
        }
        let Some(references) = references else {
            return;
        };
        for name in references.names() {
            self.column(part, name);
        }
        if references.names().len() != count {
            self.add(
                part,
                format!("({columns}) and its `references` ({references}) differ in number"),
            );
        }
    }

    fn sql(&mut self, part: &str, sql: &Sql) {
        for text in sql.texts() {
            if text.trim().is_empty() {
                self.add(part, "the SQL is empty");
            }
            if text.contains(['\0', '\u{1}']) {
                self.add(part, "the SQL holds a control character");
            }
        }
    }

    fn due(&mut self, due: &Due) {
        match &due.source {
            Source::FirstOf(instants) | Source::Coalesce(instants) if instants.is_empty() => {
                self.add("due", "no column is named");
            }
            Source::Sql(sql, _) => self.sql("due", sql),
            _ => {}
        }
        for instant in due.instants() {
            self.instant("due", instant);
        }
        if let Source::Sql(_, stamp) = &due.source {
            self.stamp("due", stamp);
        }
        if due.plus.is_some() && due.lifetime.is_some() {
            self.add("due", "`plus` and `lifetime` exclude each other");
        }
    }

    fn filter(&mut self, part: &str, filter: &Filter) {
        for column in filter.columns() {
            self.column(part, column);
        }
        for text in filter.texts() {
            self.sql(part, text);
        }
        match filter {
            Filter::OneOf(column, values) | Filter::NoneOf(column, values) if values.is_empty() => {
                self.add(part, format!("no values are given for `{column}`"));
            }
            Filter::And(all) | Filter::Or(all) => {
                if all.is_empty() {
                    self.add(part, "`and` and `or` need a condition");
                }
                for one in all {
                    self.filter(part, one);
                }
            }
            Filter::Not(inner) => self.filter(part, inner),
            _ => {}
        }
    }

    fn related(&mut self, part: &str, related: &Related) {
        let part = format!("{part} {}", related.table);
        self.table(&part, &related.table);
        self.columns(&part, &related.column, related.references.as_ref());
        if let Some(filter) = &related.only {
            self.filter(&part, filter);
        }
    }

    fn activity(&mut self, activity: &Activity) {
        let part = format!("active {}", activity.table);
        self.table(&part, &activity.table);
        self.columns(&part, &activity.column, activity.references.as_ref());
        self.instant(&part, &activity.at);
        if let Some(filter) = &activity.only {
            self.filter(&part, filter);
        }
        if let Some(noted) = &activity.noted_in {
            self.column(&part, &noted.column);
            self.sql(&part, &noted.lag);
        }
        if let Some(through) = &activity.through {
            self.table(&part, &through.table);
            self.column(&part, &through.key);
        }
    }

    fn children(&mut self, children: &Children) {
        let part = format!("with {}", children.table);
        self.table(&part, &children.table);
        self.columns(&part, &children.column, children.references.as_ref());
        for children in &children.with {
            self.children(children);
        }
        for hand_on in &children.hand_on {
            self.hand_on(hand_on);
        }
    }

    fn hand_on(&mut self, hand_on: &HandOn) {
        let part = hand_on.part();
        match &hand_on.to {
            Target::Table(name) => self.table(&part, name),
            Target::Function(name) => {
                if split_name(name).1.is_empty() || name.contains('\0') {
                    self.add(&part, format!("`{name}` is no name of a function"));
                }
            }
            Target::Outbox(Some(topic)) if topic.trim().is_empty() || topic.contains('\0') => {
                self.add(&part, format!("`{topic}` is no name of a topic"));
            }
            Target::Outbox(_) => {}
        }
        if hand_on.columns.is_empty() && !matches!(hand_on.to, Target::Function(_)) {
            self.add(&part, "no column is filled");
        }
        self.fields(&part, &hand_on.columns);
    }

    fn fields(&mut self, part: &str, fields: &BTreeMap<String, Value>) {
        for (name, value) in fields {
            self.column(part, name);
            match value {
                Value::Json(fields) => self.fields(part, fields),
                Value::Key | Value::IdempotencyKey => {}
                value => self.value(part, value),
            }
        }
    }

    fn value(&mut self, part: &str, value: &Value) {
        match value {
            Value::Sql(sql) => self.sql(part, sql),
            Value::Column(column) => self.column(part, column),
            Value::Json(_) | Value::Key | Value::IdempotencyKey => self.add(
                part,
                "`json`, `key` and `idempotency_key` are values of `hand_on` alone",
            ),
            _ => {}
        }
    }
}

/// Returns whether a table, named without its schema, has the name of the rows that `then` reads.
fn is_written(table: &str) -> bool {
    let (schema, name) = split_name(table);
    schema.is_none() && name.eq_ignore_ascii_case("written")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::*;

    fn rule() -> Rule {
        Rule::new("expirer", "orders")
            .due(age("created_at", Duration::from_secs(900)))
            .only(eq("status", "Pending"))
    }

    #[test]
    fn a_problem_names_the_rule_and_the_part() {
        let table = [
            (rule(), "rule `expirer`, action: it is missing"),
            (
                rule().delete().due(at("a").text("%Y-%Q")),
                "rule `expirer`, due: `%Y-%Q` is no format of chrono's",
            ),
            (Rule::new("a", "t").delete(), "rule `a`, due: it is missing"),
            (
                Rule::new("a", "t")
                    .due(age("at", Duration::from_secs(100_000 * 31_536_000)))
                    .delete(),
                "rule `a`, due: the maximum of a time is 100 years",
            ),
            (
                rule().delete().only(one_of("kind", [0_i32; 0])),
                "rule `expirer`, only: no values",
            ),
            (
                rule().delete().then("delete from x \u{1}"),
                "rule `expirer`, then: the SQL holds a control character",
            ),
            (
                rule()
                    .delete()
                    .keeps(related("written", "order_id"))
                    .then("select 1"),
                "rule `expirer`, then: the rows just written go by the name `written`",
            ),
            (
                rule().delete().hand_on(hand_on("outbox")),
                "rule `expirer`, hand_on outbox: no column",
            ),
        ];

        for (rule, expected) in table {
            let error = rule.validate().expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_rule_that_ends_is_valid() {
        let moved_on = Rule::new("a", "t")
            .due(at("at"))
            .set("at", Value::NowPlus(Duration::from_secs(60)));
        let table = [
            rule().set("status", "Expired"),
            rule().set("status", Value::Null),
            rule().set("status", sql("'Gone'")),
            Rule::new("a", "t")
                .due(at("at"))
                .only(not(or([eq("s", 1), is_null("s")])))
                .set("s", 1),
            Rule::new("a", "t")
                .due(at("at"))
                .only(or([eq("s", 1), eq("t", 2)]))
                .set("s", 3),
            rule().delete(),
            Rule::new("a", "t")
                .due(at("at"))
                .only(not_null("ip"))
                .set("ip", Value::Null),
            moved_on,
        ];

        for rule in table {
            assert_eq!(rule.validate(), Ok(()));
        }
    }

    #[test]
    fn a_rule_that_sets_no_column_that_decides_stays_true() {
        let stays_true =
            |rule: &Rule| rule.stays_true(str::eq_ignore_ascii_case, |name| name == "made");
        let table = [
            (rule().set("note", "x"), true),
            (rule().set("status", "Pending"), true),
            (rule().set("STATUS", "Gone"), false),
            (rule().due(at("made")).set("note", "x"), false),
            (rule().only(eq("made", 1)).set("note", "x"), false),
        ];

        for (rule, expected) in table {
            assert_eq!(stays_true(&rule), expected, "{rule:?}");
        }
    }

    #[test]
    fn every_part_reads_as_it_was_written() {
        let rule = Rule::new("all", "s.t")
            .key(["a", "b"])
            .due(
                coalesce(["x", "y"])
                    .after(Duration::from_secs(60))
                    .naive_utc()
                    .on_sqlite(Stamp::Seconds)
                    .inclusive(),
            )
            .only(
                and([eq("a", 1), one_of("b", ["x", "y"]), none_of("c", [true])])
                    .and(or([is_null("d"), not(not_null("e"))])),
            )
            .only(sql("length(f) > 3"))
            .when(related("p", "t_id").only(eq("paid", true)))
            .unless(related("q", "t_id").references("other"))
            .active(
                newest("m", "t_id", "sent_at")
                    .references("b")
                    .only(eq("kind", 1))
                    .noted_in("seen_at", "note", "60000000")
                    .through("u", "id"),
            )
            .held_until(moment("held").stamp(Stamp::Text("%F".to_owned())))
            .set("a", 2)
            .set("b", Value::Null)
            .set("c", Value::Now)
            .set("d", Value::NowPlus(Duration::from_secs(5)))
            .set("e", column("f"))
            .set("f", Sql::by_database("now()", "unixepoch()"))
            .with(
                children("c1", "t_id")
                    .with(children("c2", "c1_id").set_null())
                    .counts_as("ones")
                    .show_count(),
            )
            .keeps(related("k", "t_id"))
            .then("update stock set n = n + 1 where id in (select a from written)")
            .hand_on(
                hand_on("queue")
                    .column("what", "gone")
                    .column("args", json(["a"]))
                    .column("id", column("a")),
            )
            .hand_on(outbox(["a"]).column("at", Value::Now))
            .hand_on(outbox(["b"]).topic("other"))
            .hand_on(
                call("q.send")
                    .argument("k", Value::Key)
                    .argument("u", Value::IdempotencyKey),
            )
            .scope("u")
            .show(["x"])
            .counts_as("things")
            .soonest(Duration::from_secs(30))
            .keeps_referenced()
            .may_race()
            .expect_backlog();
        let archive = Rule::new("b", "t")
            .due(at("x").plus("ttl", Unit::Seconds))
            .archive("old");
        let lifetime = Lifetime {
            table: "channel".into(),
            key: "id".into(),
            by: "channel_id".into(),
            column: "expire_after".into(),
            unit: Unit::Minutes,
        };
        let tenant = Rule::new("c", "t")
            .due(first_of(["x"]).lifetime(lifetime))
            .delete();

        for rule in [rule, archive, tenant] {
            let text = serde_json::to_string(&rule).expect("is written");
            let read: Rule = serde_json::from_str(&text).expect("is read");
            assert_eq!(read, rule, "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let wrong = [
            r#"{ "name": "a", "table": "t", "dew": {} }"#,
            r#"{ "name": "a", "table": "t", "due": { "at": "x", "afterwards": "1h" } }"#,
            r#"{ "name": "a", "table": "t", "due": { "at": "x", "first_of": ["y"] } }"#,
            r#"{ "name": "a", "table": "t", "with": [{ "table": "c", "column": "t_id", "also": 1 }] }"#,
        ];

        for text in wrong {
            assert!(serde_json::from_str::<Rule>(text).is_err(), "{text}");
        }
    }
}
