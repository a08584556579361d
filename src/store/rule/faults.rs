//! Faults of the parts that write, once a rule does not compile: the first must not hide others.

use super::parts::identifier;
use super::tables::{Compiler, HandedRows, Tables};
use crate::rule::{Action, Children, HandOn, OnParent, bare_name};

impl<T: Tables> Compiler<'_, T> {
    /// Notes what is wrong with the action, the children and what is handed on.
    pub(super) fn faults_of_writes(&mut self) {
        let rule = self.rule;
        let of = identifier(bare_name(&rule.table));
        let key = match self.catalogue.kind(&rule.table) {
            Some(Ok(())) => self.key().unwrap_or_default(),
            _ => Vec::new(),
        };
        for children in &rule.with {
            self.faults_of_children(children, &rule.table, &key);
        }
        match &rule.action {
            Some(Action::Set(columns)) => drop(self.set(columns, &of, &key)),
            Some(Action::Archive(archive)) => drop(self.archived(archive, &of)),
            Some(Action::Delete) | None => {}
        }
        self.faults_of_handing(&rule.hand_on, &rule.table);
    }

    fn faults_of_children(&mut self, children: &Children, parent: &str, key: &[String]) {
        let part = format!("with {}", children.table);
        if self.table(&part, &children.table).is_none() {
            return;
        }
        let fine = if key.is_empty() {
            self.all_columns(&part, &children.table, children.column.names())
        } else {
            self.referred(parent, children, key).is_some()
        };
        if fine && children.action == OnParent::SetNull {
            self.let_go(children);
        }
        self.faults_of_handing(&children.hand_on, &children.table);
        let own = self.catalogue.primary_key(&children.table);
        for below in &children.with {
            self.faults_of_children(below, &children.table, &own);
        }
    }

    fn faults_of_handing(&mut self, all: &[HandOn], table: &str) {
        let of = identifier(bare_name(table));
        let handed = HandedRows {
            from: "",
            of: &of,
            table,
            key: String::new(),
            // Whether it is has been seen, if the statement came so far.
            is_unique: true,
        };
        for hand_on in all {
            self.handed_on(hand_on, &handed);
        }
    }
}
