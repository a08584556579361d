//! The statements that write.

use super::catalogue::Catalogue;
use super::dialect::{Compiler, are_one};
use super::parts::Parts;
use super::plan::Step;
use crate::rule::{Action, Children, OnParent, bare_name};
use crate::store::rule::{
    Dialect, HandedRows, Handing, Tables, Template, identifier, param, qualified, table_name, tuple,
};

impl Compiler<'_> {
    /// Writes to the children of the rows that `parents` yields, deepest first. They are compared
    /// in this collation.
    pub(super) fn children(
        &mut self,
        children: &Children,
        parents: &str,
        collation: Option<String>,
        steps: &mut Steps,
    ) -> Option<()> {
        let (from, of) = (
            table_name(&children.table),
            identifier(bare_name(&children.table)),
        );
        let columns = children.column.names();
        let mut columns = qualified(&of, columns);
        if let ([column], Some(collation)) = (columns.as_mut_slice(), collation) {
            column.extend([" COLLATE ", &identifier(&collation)]);
        }
        let mut condition = format!("{} IN ({parents})", tuple(&columns));
        let deletes = children.action == OnParent::Delete;
        if deletes && are_one(&children.table, &self.rule.table) {
            // Rows at hand go as such.
            condition.extend([" AND NOT (", &steps.at_hand, ")"]);
        }
        for (table, deleted) in &steps.deleted {
            if Catalogue::is_same(table, bare_name(&children.table)) {
                // They go with an earlier part, which hands them on and counts them.
                condition.extend([" AND (", deleted, ") IS NOT TRUE"]);
            }
        }
        let rows = format!("FROM {from} WHERE {condition}");
        for below in in_order(&children.with) {
            let referred = self.grandchild_reference(children, below)?;
            let columns = qualified(&of, &referred).join(", ");
            let collation = self.collation(&children.table, &referred);
            self.children(below, &format!("SELECT {columns} {rows}"), collation, steps)?;
        }
        let kind = steps.kinds.len();
        let handed = self.handed_children(children, &of, &rows);
        for hand_on in &children.hand_on {
            let handing = self.handed_on(hand_on, &handed)?;
            steps.handing.push(handing_step(handing, kind));
        }
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
        steps.add(&write, Some(kind));
        if deletes {
            let table = bare_name(&children.table).to_owned();
            steps.deleted.push((table, condition));
        }
        Some(())
    }

    /// The collation of a column that children refer to. An index serves no collation of several
    /// columns, which go by their own.
    fn collation(&self, table: &str, referred: &[String]) -> Option<String> {
        let [column] = referred else { return None };
        let table = self.catalogue.tables.get(table)?;
        table.collation(column).map(str::to_owned)
    }

    pub(super) fn writing(&mut self, parts: &Parts) -> Option<Steps> {
        let rule = self.rule;
        let (from, of) = (&parts.from, &parts.of);
        let mut steps = Steps {
            kinds: vec![rule.kind().to_owned()],
            at_hand: parts.at_hand(),
            each: Vec::new(),
            handing: Vec::new(),
            deleted: Vec::new(),
            write: String::new(),
        };
        let rows = format!("FROM {from} WHERE {}", parts.at_hand());
        for children in in_order(&rule.with) {
            let referred = self.child_reference(children, &parts.key)?;
            let columns = qualified(of, &referred).join(", ");
            let collation = self.collation(&rule.table, &referred);
            let parents = format!("SELECT {columns} {rows}");
            self.children(children, &parents, collation, &mut steps)?;
        }
        let handed = HandedRows {
            from: &rows,
            of,
            table: &rule.table,
            key: parts.id.clone(),
            is_unique: true,
        };
        let mut own = Vec::new();
        for hand_on in &rule.hand_on {
            own.push(handing_step(self.handed_on(hand_on, &handed)?, 0));
        }
        let write = if let Action::Set(columns) = rule.action.as_ref()? {
            format!("UPDATE {from} SET {}", self.set(columns, of, &parts.key)?)
        } else {
            // Before the rows go.
            if let Some(Action::Archive(archive)) = &rule.action {
                let insert = self.insert_into_archive(archive, of)?;
                let insert = Handing::Insert(format!("{insert} {rows}"));
                // A row that the archive does not take stays.
                steps.handing.push(handing_step(insert, 0));
            }
            steps.handing.append(&mut own);
            format!("DELETE FROM {from}")
        };
        steps.add(&format!("{write} WHERE {}", parts.at_hand()), Some(0));
        steps.each.append(&mut own);
        // Expressions may read rows that go.
        steps.each.splice(0..0, steps.handing.drain(..));
        steps.write = write;
        Some(steps)
    }

    /// The host's statements, which read the keys of the rows just written from `written`.
    pub(super) fn then(&mut self, parts: &Parts) -> Option<Vec<Template>> {
        let rule = self.rule;
        let mut then = Vec::new();
        for statement in &rule.then {
            let text = self.text("then", Dialect::Sqlite.sql(statement))?;
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

/// Those that are deleted first: a row that several parts meet goes.
fn in_order(all: &[Children]) -> impl Iterator<Item = &Children> {
    let deletes = |children: &&Children| children.action == OnParent::Delete;
    let let_go = all.iter().filter(move |children| !deletes(children));
    all.iter().filter(deletes).chain(let_go)
}

/// A statement that hands on the rows of a kind.
fn handing_step(handing: Handing, kind: usize) -> Step {
    let step = |text: &str| Step {
        template: Template::new(text),
        kind: None,
        hands: Some(kind),
    };
    match handing {
        Handing::Insert(insert) => step(&insert),
        // Refused before.
        #[cfg(feature = "postgres")]
        Handing::Call { .. } => step(""),
    }
}

/// Statements that write, in order, and the words for what they count.
pub(super) struct Steps {
    pub(super) each: Vec<Step>,
    /// Those that come before all others.
    handing: Vec<Step>,
    /// Tables of children that go, with the condition for each.
    deleted: Vec<(String, String)>,
    pub(super) kinds: Vec<String>,
    /// Whether a row is one of those at hand.
    at_hand: String,
    /// The statement that writes the rows themselves, up to its condition.
    pub(super) write: String,
}

impl Steps {
    fn add(&mut self, text: &str, kind: Option<usize>) {
        self.each.push(Step {
            template: Template::new(text),
            kind,
            hands: None,
        });
    }
}
