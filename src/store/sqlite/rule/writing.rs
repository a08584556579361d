//! The statements that write.

use std::time::Duration;

use super::compiler::Compiler;
use super::hand_on::HandedRows;
use super::parts::Parts;
use super::plan::Step;
use super::stamp::Form;
use crate::rule::{Action, Children, OnParent, Value, bare_name};
use crate::store::rule::{Dialect, Template, identifier, param, table_name};

impl Compiler<'_> {
    /// How this rule's instants are kept, which is how `now` is written.
    pub(super) fn now_form(&self) -> Option<Form> {
        let stamp = self.rule.due.as_ref()?.sqlite_stamp();
        Form::of("", stamp).ok()
    }

    /// A value over a row of `of`.
    pub(super) fn value(&mut self, part: &str, value: &Value, of: &str) -> Option<String> {
        let after = match value {
            Value::Constant(literal) => return Some(Dialect::Sqlite.literal(literal)),
            Value::Null => return Some("NULL".to_owned()),
            Value::Column(name) => return Some(format!("{of}.{}", identifier(name))),
            Value::Sql(sql) => {
                return self.text(
                    part,
                    Dialect::Sqlite.sql(sql).map(|text| format!("({text})")),
                );
            }
            Value::Json(_) | Value::Key | Value::IdempotencyKey => {
                self.refuse(part, "this value is for `hand_on` alone");
                return None;
            }
            Value::Now => Duration::ZERO,
            Value::NowPlus(after) => *after,
        };
        let form = self.now_form()?;
        self.instants.push((form, after));
        Some(param(&format!("i{}", self.instants.len() - 1)))
    }

    /// Writes to the children of the rows that `parents` yields, deepest first.
    pub(super) fn children(
        &mut self,
        children: &Children,
        parents: &str,
        steps: &mut Steps,
    ) -> Option<()> {
        let part = format!("with {}", children.table);
        self.table(&part, &children.table)?;
        if !self.column(&part, &children.table, &children.column) {
            return None;
        }
        let (from, of) = (
            table_name(&children.table),
            identifier(bare_name(&children.table)),
        );
        let column = identifier(&children.column);
        let rows = format!("FROM {from} WHERE {of}.{column} IN ({parents})");
        for below in &children.with {
            let referred = self.reference(
                &children.table,
                &below.table,
                &below.column,
                below.references.as_deref(),
                "id",
            );
            if !self.column(&format!("with {}", below.table), &children.table, &referred) {
                return None;
            }
            self.children(
                below,
                &format!("SELECT {of}.{} {rows}", identifier(&referred)),
                steps,
            )?;
        }
        for hand_on in &children.hand_on {
            let handed = HandedRows {
                rows: &rows,
                of: &of,
                table: &children.table,
                key: self.child_key(&children.table, &of, &children.column),
            };
            let insert = self.handed_on(hand_on, &handed)?;
            steps.add(insert, None);
        }
        let kind = steps.kinds.len();
        steps.kinds.push(children.kind().to_owned());
        let write = match children.action {
            OnParent::Delete => format!("DELETE {rows}"),
            OnParent::SetNull => {
                format!("UPDATE {from} SET {column} = NULL WHERE {of}.{column} IN ({parents})")
            }
        };
        steps.add(Template::new(&write), Some(kind));
        Some(())
    }

    pub(super) fn writing(&mut self, parts: &Parts) -> Option<Steps> {
        let rule = self.rule;
        let (from, of) = (&parts.from, &parts.of);
        let mut steps = Steps {
            kinds: vec![rule.kind().to_owned()],
            each: Vec::new(),
            write: String::new(),
        };
        let rows = format!("FROM {from} WHERE {}", parts.at_hand());
        for children in &rule.with {
            let referred = self.child_reference(children, &parts.first_key);
            if !self.column(&format!("with {}", children.table), &rule.table, &referred) {
                return None;
            }
            self.children(
                children,
                &format!("SELECT {of}.{} {rows}", identifier(&referred)),
                &mut steps,
            )?;
        }
        let handed = HandedRows {
            rows: &rows,
            of,
            table: &rule.table,
            key: parts.id.clone(),
        };
        let hand_on: Vec<Template> = rule
            .hand_on
            .iter()
            .filter_map(|hand_on| self.handed_on(hand_on, &handed))
            .collect();
        match rule.action.as_ref()? {
            Action::Set(columns) => {
                let mut set = Vec::new();
                for (name, value) in columns {
                    if !self.column("set", &rule.table, name) {
                        continue;
                    }
                    if self.own_table()?.column(name)?.hidden != 0 {
                        self.refuse("set", format!("`{name}` is generated by the database"));
                    }
                    let value = self.value("set", value, of);
                    set.extend(value.map(|value| format!("{} = {value}", identifier(name))));
                }
                steps.write(
                    format!("UPDATE {from} SET {}", set.join(", ")),
                    &parts.at_hand(),
                );
                steps.hand(hand_on);
            }
            action => {
                // Before the rows go.
                if let Action::Archive(into) = action {
                    self.table("archive", into)?;
                    let names: Vec<String> = self
                        .own_table()?
                        .columns
                        .iter()
                        .filter(|column| column.hidden == 0)
                        .map(|column| column.name.clone())
                        .collect();
                    for name in &names {
                        self.column("archive", into, name);
                    }
                    let names: Vec<String> = names.iter().map(|name| identifier(name)).collect();
                    let names = names.join(", ");
                    let insert = format!(
                        "INSERT INTO {} ({names}) SELECT {names} {rows}",
                        table_name(into)
                    );
                    steps.add(Template::new(&insert), None);
                }
                steps.hand(hand_on);
                steps.write(format!("DELETE FROM {from}"), &parts.at_hand());
            }
        }
        Some(steps)
    }

    /// The host's statements, which read the keys of the rows just written from `written`.
    pub(super) fn then(&mut self, parts: &Parts) -> Option<Vec<Template>> {
        let rule = self.rule;
        let values: Vec<String> = (0..parts.key.len())
            .map(|number| format!("json_extract(value, '$[{number}]')"))
            .collect();
        let mut then = Vec::new();
        for statement in &rule.then {
            let text = self.text("then", Dialect::Sqlite.sql(statement).map(str::to_owned))?;
            then.push(Template::new(&format!(
                "WITH written ({}) AS (SELECT {} FROM json_each({})) {text}",
                parts.key_names.join(", "),
                values.join(", "),
                param("written")
            )));
        }
        Some(then)
    }
}

/// Statements that write, in order, and the words for what they count.
pub(super) struct Steps {
    pub(super) each: Vec<Step>,
    pub(super) kinds: Vec<String>,
    /// The statement that writes the rows themselves, up to its condition.
    pub(super) write: String,
}

impl Steps {
    pub(super) fn add(&mut self, template: Template, kind: Option<usize>) {
        self.each.push(Step {
            template,
            kind,
            writes_all: false,
        });
    }

    pub(super) fn write(&mut self, statement: String, at_hand: &str) {
        self.each.push(Step {
            template: Template::new(&format!("{statement} WHERE {at_hand}")),
            kind: Some(0),
            writes_all: true,
        });
        self.write = statement;
    }

    pub(super) fn hand(&mut self, inserts: Vec<Template>) {
        for insert in inserts {
            self.add(insert, None);
        }
    }
}
