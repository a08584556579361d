//! The host's SQL and constants in a rule, each with its part and its table.

use super::action::Action;
use super::due::Source;
use super::filter::Filter;
use super::hand_on::{HandOn, Target};
use super::sql::Sql;
use super::value::{Literal, Value};
use super::{Children, Rule};

/// A condition without `and`, `or` and `not`.
pub(crate) struct Condition<'r> {
    pub(crate) part: String,
    pub(crate) table: &'r str,
    pub(crate) leaf: &'r Filter,
}

/// An expression over the rows of a table.
pub(crate) struct Expression<'r> {
    pub(crate) part: String,
    pub(crate) table: &'r str,
    pub(crate) sql: &'r Sql,
    /// Whether it decides which rows are due.
    pub(crate) decides: bool,
}

/// A column's new value, if it is a constant or NULL.
pub(crate) struct Assignment<'r> {
    pub(crate) part: String,
    pub(crate) table: &'r str,
    pub(crate) column: &'r str,
    /// `None` is NULL.
    pub(crate) literal: Option<&'r Literal>,
    /// Whether the row is new.
    #[cfg_attr(
        not(feature = "postgres"),
        expect(dead_code, reason = "SQLite takes any type")
    )]
    pub(crate) inserts: bool,
}

impl Rule {
    pub(crate) fn conditions(&self) -> Vec<Condition<'_>> {
        let mut found = Vec::new();
        if let Some(filter) = &self.only {
            leaves("only", &self.table, filter, &mut found);
        }
        for (part, all) in [
            ("when", &self.when),
            ("unless", &self.unless),
            ("keeps", &self.keeps),
        ] {
            for related in all {
                if let Some(filter) = &related.only {
                    let part = format!("{part} {}", related.table);
                    leaves(&part, &related.table, filter, &mut found);
                }
            }
        }
        if let Some((activity, filter)) = self
            .active
            .as_ref()
            .and_then(|activity| Some((activity, activity.only.as_ref()?)))
        {
            let part = format!("active {}", activity.table);
            leaves(&part, &activity.table, filter, &mut found);
        }
        found
    }

    /// Whether SQL of the host, or a part typed by diesel, decides which rows are due. It may fail
    /// for a row.
    #[cfg(feature = "_store")]
    pub(crate) fn decides_by_sql(&self) -> bool {
        let source = self.due.as_ref().map(|due| &due.source);
        let mut conditions = self.conditions().into_iter();
        matches!(source, Some(Source::Sql(..))) || conditions.any(|one| one.leaf.is_opaque())
    }

    pub(crate) fn expressions(&self) -> Vec<Expression<'_>> {
        let mut found = Vec::new();
        if let Some(Source::Sql(sql, _)) = self.due.as_ref().map(|due| &due.source) {
            found.push(Expression {
                part: "due".to_owned(),
                table: &self.table,
                sql,
                decides: true,
            });
        }
        for condition in self.conditions() {
            if let Filter::Sql(sql) = condition.leaf {
                let Condition { part, table, .. } = condition;
                found.push(Expression {
                    part,
                    table,
                    sql,
                    decides: true,
                });
            }
        }
        for (part, table, _, _, value) in self.values() {
            if let Value::Sql(sql) = value {
                found.push(Expression {
                    part,
                    table,
                    sql,
                    decides: false,
                });
            }
        }
        found
    }

    pub(crate) fn assignments(&self) -> Vec<Assignment<'_>> {
        let mut found = Vec::new();
        for (part, _, table, column, value) in self.values() {
            let literal = match value {
                Value::Constant(literal) => Some(literal),
                Value::Null => None,
                _ => continue,
            };
            found.push(Assignment {
                inserts: part != "set",
                part,
                table,
                column,
                literal,
            });
        }
        found
    }

    /// Returns each new value as (part, table that is read, table and column that are written,
    /// value).
    fn values(&self) -> Vec<(String, &str, &str, &str, &Value)> {
        fn handed<'r>(
            all: &'r [HandOn],
            from: &'r str,
            found: &mut Vec<(String, &'r str, &'r str, &'r str, &'r Value)>,
        ) {
            for hand_on in all {
                // Entries of the outbox and arguments of a function are not in a host's table.
                let Target::Table(into) = &hand_on.to else {
                    continue;
                };
                let part = hand_on.part();
                found.extend(hand_on.columns.iter().map(|(column, value)| {
                    (part.clone(), from, into.as_str(), column.as_str(), value)
                }));
            }
        }
        fn below<'r>(
            all: &'r [Children],
            found: &mut Vec<(String, &'r str, &'r str, &'r str, &'r Value)>,
        ) {
            for children in all {
                handed(&children.hand_on, &children.table, found);
                below(&children.with, found);
            }
        }
        let mut found = Vec::new();
        if let Some(Action::Set(columns)) = &self.action {
            found.extend(columns.iter().map(|(column, value)| {
                let table = self.table.as_str();
                ("set".to_owned(), table, table, column.as_str(), value)
            }));
        }
        if let Some(Action::Archive(archive)) = &self.action {
            found.extend(archive.columns.iter().map(|(column, value)| {
                let (from, into) = (self.table.as_str(), archive.into.as_str());
                ("archive".to_owned(), from, into, column.as_str(), value)
            }));
        }
        handed(&self.hand_on, &self.table, &mut found);
        below(&self.with, &mut found);
        found
    }
}

fn leaves<'r>(part: &str, table: &'r str, filter: &'r Filter, found: &mut Vec<Condition<'r>>) {
    match filter {
        Filter::And(all) | Filter::Or(all) => {
            for one in all {
                leaves(part, table, one, found);
            }
        }
        Filter::Not(inner) => leaves(part, table, inner, found),
        leaf => found.push(Condition {
            part: part.to_owned(),
            table,
            leaf,
        }),
    }
}

/// Returns the names of functions that a text calls, in lower case.
pub(crate) fn called(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut word, mut quoted, mut space) = (String::new(), false, false);
    for c in text.chars() {
        if c == '\'' {
            quoted = !quoted;
            word.clear();
        } else if quoted {
        } else if c.is_alphanumeric() || c == '_' {
            if space {
                word.clear();
            }
            word.push(c);
            space = false;
        } else if c == '(' {
            if !word.is_empty() {
                names.push(std::mem::take(&mut word).to_lowercase());
            }
        } else if c.is_whitespace() {
            space = true;
        } else {
            word.clear();
        }
        if !c.is_whitespace() {
            space = false;
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_before_a_parenthesis_are_called() {
        let table = [
            ("random() < 0.5", &["random"][..]),
            (
                "s.Slow (id) and x in (1, length('now()'))",
                &["slow", "in", "length"],
            ),
            ("(a) = (b)", &[]),
            ("a b(c)", &["b"]),
        ];

        for (text, names) in table {
            assert_eq!(called(text), names, "{text}");
        }
    }
}
