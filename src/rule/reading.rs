//! Reads a rule part by part, so that an error names the rule and the part.

use std::cell::RefCell;

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error};
use serde_json::Value;

use super::nearest::nearest;
use super::strict::Strict;
use super::{Rule, RuleError};

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let fault = RefCell::default();
        let Value::Object(mut parts) = Strict::new(&fault).deserialize(source)? else {
            return Err(D::Error::custom(
                "a rule is a table with `name` and `table`",
            ));
        };
        let text = |part: Option<Value>| match part {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let name = text(parts.remove("name"));
        let wrong = |part: &str, problem: String| {
            let rule = name.clone().unwrap_or_default();
            let part = part.to_owned();
            D::Error::custom(RuleError {
                rule,
                part,
                problem,
            })
        };
        if let Some((path, problem)) = fault.into_inner() {
            let (part, rest) = path.split_at(path.find(['.', '[']).unwrap_or(path.len()));
            let place = rest.trim_start_matches('.');
            let colon = if place.is_empty() { "" } else { ": " };
            return Err(wrong(part, format!("{place}{colon}{problem}")));
        }
        let Some(table) = text(parts.remove("table")) else {
            return Err(wrong("table", "it is missing, or no text".to_owned()));
        };
        let Some(known) = &name else {
            return Err(wrong("name", "it is missing, or no text".to_owned()));
        };
        let mut rule = Self::new(known, table);
        for (part, value) in parts {
            rule.read(&part, value)
                .map_err(|problem| wrong(&part, problem))?;
        }
        Ok(rule)
    }
}

impl Rule {
    fn read(&mut self, part: &str, value: Value) -> Result<(), String> {
        fn of<T: DeserializeOwned>(value: Value) -> Result<T, String> {
            serde_path_to_error::deserialize(value).map_err(|error| plain(&error))
        }
        match part {
            "key" => self.key = of(value)?,
            "due" => self.due = of(value)?,
            "only" => self.only = of(value)?,
            "when" => self.when = of(value)?,
            "unless" => self.unless = of(value)?,
            "active" => self.active = of(value)?,
            "held_until" => self.held_until = of(value)?,
            "action" => self.action = of(value)?,
            "with" => self.with = of(value)?,
            "keeps" => self.keeps = of(value)?,
            "then" => self.then = of(value)?,
            "hand_on" => self.hand_on = of(value)?,
            "scope" => self.scope = of(value)?,
            "show" => self.show = of(value)?,
            "counts_as" => self.counts_as = of(value)?,
            "soonest" => {
                let soonest = crate::time::span::option::deserialize(value);
                self.soonest = soonest.map_err(|error: serde_json::Error| error.to_string())?;
            }
            "keeps_referenced" => self.keeps_referenced = of(value)?,
            "may_race" => self.may_race = of(value)?,
            "expect_backlog" => self.expect_backlog = of(value)?,
            _ => {
                let hint = nearest(part, PARTS.iter().copied());
                let hint = hint.map_or(String::new(), |part| format!("; did you mean `{part}`?"));
                return Err(format!("it is no part of a rule{hint}"));
            }
        }
        Ok(())
    }
}

/// The error in words of a file, behind the place of the value within the part.
fn plain(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let mut text = error.inner().to_string();
    for (of_serde, words) in [
        (
            "expected a sequence",
            "expected a list: write `[..]`, or `[[..]]` for tables",
        ),
        (
            "expected map with a single key",
            "expected one entry: write `and = [{ .. }, { .. }]` for several conditions",
        ),
        (
            "unit variant, expected newtype variant",
            "a word alone, expected `{ word = .. }`",
        ),
        (
            "unit variant, expected tuple variant",
            "a word alone, expected `{ word = .. }`",
        ),
        ("expected unit", "expected the word alone"),
        (
            "expected fewer elements in array",
            "expected `[column, value]`",
        ),
        ("expected fewer elements in map", "expected one entry"),
        ("expected tuple variant", "expected `[column, value]`"),
        ("expected string or map", "expected a word or a table"),
    ] {
        text = text.replace(of_serde, words);
    }
    match error.path().iter().next() {
        Some(_) => format!("{}: {text}", error.path()),
        None => text,
    }
}

const PARTS: &[&str] = &[
    "name",
    "table",
    "key",
    "due",
    "only",
    "when",
    "unless",
    "active",
    "held_until",
    "action",
    "with",
    "keeps",
    "then",
    "hand_on",
    "scope",
    "show",
    "counts_as",
    "soonest",
    "keeps_referenced",
    "may_race",
    "expect_backlog",
];

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::super::*;

    /// A configuration file with two rules.
    const FILE: &str = r#"
        [[rules]]
        name = "order-expirer"
        table = "shop.orders"
        due = { at = "created_at", after = "15m", sqlite = "seconds" }
        held_until = "held_until"
        scope = "user_id"
        show = ["total"]
        soonest = "1m"

        [rules.only]
        and = [{ eq = ["status", "Pending"] }, { not = { is_null = "user_id" } }]

        [[rules.unless]]
        table = "payments"
        column = ["shop_id", "order_id"]
        only = { eq = ["paid", true] }

        [rules.action.set]
        status = "Expired"
        attempts = 3
        updated_at = { now = true }
        purge_at = { now_plus = "30days" }
        note = { null = true }

        [[rules.with]]
        table = "lines"
        column = ["shop_id", "order_id"]
        references = ["shop_id", "id"]
        action = "set_null"

        [[rules.hand_on]]
        outbox = "orders"
        columns = { id = { column = "id" } }

        [[rules]]
        name = "old-orders"
        table = "orders"
        due = { first_of = ["paid_at", { column = "gone_at", stamp = "millis" }], after = "P90D" }

        [rules.action.archive]
        into = "order_archive"
        without = ["payload"]
        columns = { archived_at = { now = true } }
    "#;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct File {
        rules: Vec<Rule>,
    }

    #[test]
    fn rules_read_from_toml_as_they_are_built() {
        let minute = std::time::Duration::from_secs(60);
        let file: File = toml::from_str(FILE).expect("reads");
        let again: File =
            toml::from_str(&toml::to_string(&file).expect("is written")).expect("reads again");

        let columns = ["shop_id", "order_id"];
        let first = Rule::new("order-expirer", "shop.orders")
            .due(age("created_at", 15 * minute).on_sqlite(Stamp::Seconds))
            .held_until("held_until")
            .scope("user_id")
            .show(["total"])
            .soonest(minute)
            .only(and([eq("status", "Pending"), not(is_null("user_id"))]))
            .unless(related("payments", columns).only(eq("paid", true)))
            .set("status", "Expired")
            .set("attempts", 3)
            .set("updated_at", Value::Now)
            .set("purge_at", Value::NowPlus(30 * 24 * 60 * minute))
            .set("note", Value::Null)
            .with(
                children("lines", columns)
                    .references(["shop_id", "id"])
                    .set_null(),
            )
            .hand_on(outbox(["id"]).topic("orders"));
        let gone = moment("gone_at").stamp(Stamp::Millis);
        let second = Rule::new("old-orders", "orders")
            .due(first_of(["paid_at".into(), gone]).after(90 * 24 * 60 * minute))
            .archive(
                archive("order_archive")
                    .without(["payload"])
                    .column("archived_at", Value::Now),
            );
        assert_eq!(file.rules, [first, second]);
        assert_eq!(again, file);
        for rule in &file.rules {
            assert_eq!(rule.validate(), Ok(()));
        }
    }

    /// Parts of a file, and what is wrong with each.
    const FAULTS: &[(&str, &str)] = &[
        (
            "action = { set = { a = { null = false } } }",
            "`null`, `now`, `key` and `idempotency_key` are true",
        ),
        (
            "du = { at = \"a\" }",
            "rule `r`, du: it is no part of a rule; did you mean `due`?",
        ),
        (
            "due = { at = \"a\", plus = \"n\" }",
            "rule `r`, due: `plus` and `unit` go together",
        ),
        ("soonest = \"5\"", "rule `r`, soonest: `5` has no unit"),
        (
            "only = { eqq = [\"a\", 1] }",
            "rule `r`, only: unknown variant `eqq`",
        ),
        (
            "action = { set = { a = { nov = true } } }",
            "rule `r`, action: set.a.nov: unknown variant `nov`, expected one of `null`, `now`, `now_plus`, `column`, `sql`, `json`, `key`",
        ),
        (
            "action = { set = { a = { now_plus = \"5\" } } }",
            "rule `r`, action: set.a.now_plus: `5` has no unit",
        ),
        (
            "action = { set = { a = { now = true, null = true } } }",
            "rule `r`, action: set.a: invalid length 2, expected one entry",
        ),
        (
            "due = { at = { column = \"a\", stamp = \"secs\" } }",
            "rule `r`, due: at.stamp: unknown variant `secs`, expected one of `seconds`",
        ),
        (
            "due = { sql = { pg = \"a\" }, stamp = \"seconds\" }",
            "rule `r`, due: sql.pg: unknown field `pg`, expected `postgres` or `sqlite`",
        ),
        (
            "action = { archive = { into = \"old\", withot = [] } }",
            "rule `r`, action: archive.withot: unknown field `withot`, expected one of `into`, `without`, `columns`",
        ),
        (
            "only = { eq = [\"a\", 2026-01-10T12:00:00Z] }",
            "rule `r`, only: eq[1]: it is a date: give it as a text",
        ),
        (
            "only = { eq = [\"a\", inf] }",
            "rule `r`, only: eq[1]: it is no number that both databases know",
        ),
        (
            "only = { eq = [\"a\", 1, 2] }",
            "rule `r`, only: eq: invalid length 3, expected `[column, value]`",
        ),
        (
            "with = [{ table = \"t\", colum = \"a\" }]",
            "rule `r`, with: [0].colum: unknown field `colum`",
        ),
        (
            "due = \"at\"",
            "rule `r`, due: invalid type: string \"at\", expected when a row falls due, such as `{ at = \"created_at\", after = \"15m\" }`",
        ),
        (
            "unless = { table = \"t\", column = \"a\" }",
            "rule `r`, unless: invalid type: map, expected a list: write `[..]`, or `[[..]]` for tables",
        ),
        (
            "unless = [\"a\"]",
            "rule `r`, unless: [0]: invalid type: string \"a\", expected rows of another table, such as `{ table = \"payments\", column = \"order_id\" }`",
        ),
        (
            "only = { eq = \"a\" }",
            "rule `r`, only: eq: invalid type: string \"a\", expected `[column, value]`",
        ),
        (
            "only = \"not_null\"",
            "rule `r`, only: not_null: invalid type: a word alone, expected `{ word = .. }`",
        ),
        (
            "only = { eq = [\"a\", 1], is_null = \"b\" }",
            "rule `r`, only: invalid value: map, expected one entry: write `and = [{ .. }, { .. }]` for several conditions",
        ),
        (
            "only = 5",
            "rule `r`, only: invalid type: integer `5`, expected a word or a table",
        ),
        (
            "action = { delete = true }",
            "rule `r`, action: delete: invalid type: boolean `true`, expected the word alone",
        ),
        (
            "hand_on = [{ into = \"t\", outbox = true }]",
            "rule `r`, hand_on: [0]: give `into` or `outbox`",
        ),
    ];

    #[test]
    fn an_error_of_a_file_names_the_rule_and_the_part() {
        for (part, expected) in FAULTS {
            let text = format!("name = \"r\"\ntable = \"t\"\n{part}");
            let error = toml::from_str::<Rule>(&text)
                .expect_err(expected)
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
        for (part, expected) in [
            (
                r#""only": { "is_null": "a" }, "only": { "not_null": "a" }"#,
                "rule `r`, only: it is given twice",
            ),
            (
                r#""action": { "set": { "a": 1, "a": 2 } }"#,
                "rule `r`, action: set.a: it is given twice",
            ),
            (
                r#""only": { "eq": ["a", 18446744073709551615] }"#,
                "rule `r`, only: eq[1]: it is a whole number of more than 64 bits",
            ),
            (
                r#""only": { "one_of": ["a", [1, 99999999999999999999999]] }"#,
                "rule `r`, only: one_of[1][1]: it is a whole number of more than 64 bits",
            ),
        ] {
            let text = format!(r#"{{ "table": "t", {part}, "name": "r" }}"#);
            let error = serde_json::from_str::<Rule>(&text).expect_err(expected);
            assert!(error.to_string().contains(expected), "{error}");
        }
        let nameless = toml::from_str::<Rule>("table = \"t\"").expect_err("has no name");
        let text = nameless.to_string();
        assert!(text.contains("name: it is missing"), "{text}");
    }
}
