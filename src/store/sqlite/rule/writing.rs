//! The statements that write.

use super::dialect::Compiler;
use super::parts::Parts;
use super::plan::Step;
use crate::rule::{Action, Children, OnParent, bare_name};
use crate::store::rule::{
    Dialect, HandedRows, Handing, Template, identifier, param, qualified, table_name, tuple,
};

impl Compiler<'_> {
    /// Writes to the children of the rows that `parents` yields, deepest first.
    pub(super) fn children(
        &mut self,
        children: &Children,
        parents: &str,
        steps: &mut Steps,
    ) -> Option<()> {
        let (from, of) = (
            table_name(&children.table),
            identifier(bare_name(&children.table)),
        );
        let columns = children.column.names();
        let condition = format!("{} IN ({parents})", tuple(&qualified(&of, columns)));
        let rows = format!("FROM {from} WHERE {condition}");
        for below in &children.with {
            let referred = self.grandchild_reference(children, below)?;
            let columns = qualified(&of, &referred).join(", ");
            self.children(below, &format!("SELECT {columns} {rows}"), steps)?;
        }
        for (number, hand_on) in children.hand_on.iter().enumerate() {
            let handed = HandedRows {
                from: &rows,
                of: &of,
                table: &children.table,
                key: self.child_key(&children.table, &of, columns),
                number,
            };
            let handing = self.handed_on(hand_on, &handed)?;
            steps.hand(handing);
            if let Some(step) = steps.each.last_mut() {
                step.hands_children = true;
            }
        }
        let kind = steps.kinds.len();
        steps.kinds.push(children.kind().to_owned());
        let write = match children.action {
            OnParent::Delete => format!("DELETE {rows}"),
            OnParent::SetNull => {
                let columns = self.let_go(children)?;
                let columns: Vec<String> = columns
                    .iter()
                    .map(|name| format!("{} = NULL", identifier(name)))
                    .collect();
                format!("UPDATE {from} SET {} WHERE {condition}", columns.join(", "))
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
            let referred = self.child_reference(children, &parts.key)?;
            let columns = qualified(of, &referred).join(", ");
            self.children(children, &format!("SELECT {columns} {rows}"), &mut steps)?;
        }
        let mut hand_on = Vec::new();
        for (number, one) in rule.hand_on.iter().enumerate() {
            let handed = HandedRows {
                from: &rows,
                of,
                table: &rule.table,
                key: parts.id.clone(),
                number,
            };
            hand_on.extend(self.handed_on(one, &handed));
        }
        let write = if let Action::Set(columns) = rule.action.as_ref()? {
            format!("UPDATE {from} SET {}", self.set(columns, of, &parts.key)?)
        } else {
            // Before the rows go.
            if let Some(Action::Archive(archive)) = &rule.action {
                let insert = self.insert_into_archive(archive, of)?;
                steps.add(Template::new(&format!("{insert} {rows}")), None);
            }
            for handing in hand_on.drain(..) {
                steps.hand(handing);
            }
            format!("DELETE FROM {from}")
        };
        steps.write(write, &parts.at_hand());
        for handing in hand_on {
            steps.hand(handing);
        }
        Some(steps)
    }

    /// The host's statements, which read the keys of the rows just written from `written`.
    pub(super) fn then(&mut self, parts: &Parts) -> Option<Vec<Template>> {
        let rule = self.rule;
        let mut then = Vec::new();
        for statement in &rule.then {
            let text = self.text("then", Dialect::Sqlite.sql(statement).map(str::to_owned))?;
            then.push(Template::new(&format!(
                "WITH written ({}) AS (SELECT {} FROM json_each({})) {text}",
                parts.key_names.join(", "),
                parts.key_values(),
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
            hands_children: false,
        });
    }

    pub(super) fn write(&mut self, statement: String, at_hand: &str) {
        self.each.push(Step {
            template: Template::new(&format!("{statement} WHERE {at_hand}")),
            kind: Some(0),
            writes_all: true,
            hands_children: false,
        });
        self.write = statement;
    }

    pub(super) fn hand(&mut self, handing: Handing) {
        match handing {
            Handing::Insert(insert) => self.add(Template::new(&insert), None),
            // Refused before.
            #[cfg(feature = "postgres")]
            Handing::Call(_) => {}
        }
    }
}
