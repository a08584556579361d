//! The part of a statement that writes to children.

use super::dialect::Compiler;
use super::steps::Steps;
use crate::rule::{Action, Children, OnParent, bare_name};
use crate::store::rule::{OnDelete, identifier, qualified, table_name, tuple};

/// The rows of one table that a part of the rule writes to.
pub(super) struct ChildRows<'c> {
    children: &'c Children,
    oid: i64,
    from: String,
    of: String,
    condition: String,
    /// The columns to be set to NULL, or none if the rows are deleted.
    let_go: Option<Vec<String>>,
}

impl ChildRows<'_> {
    /// Assignments that let go of the rows of this part alone, without columns set otherwise.
    pub(super) fn set_null(&self, without: &[String]) -> Vec<String> {
        let columns = self.let_go.iter().flatten();
        let columns = columns.filter(|name| !without.contains(name));
        columns
            .map(|name| {
                let (name, of) = (identifier(name), &self.of);
                let condition = &self.condition;
                format!("{name} = CASE WHEN {condition} THEN NULL ELSE {of}.{name} END")
            })
            .collect()
    }
}

/// Those of a table, with their places.
pub(super) fn same_table<'a, 'c>(
    all: &'a [ChildRows<'c>],
    oid: i64,
) -> impl Iterator<Item = (usize, &'a ChildRows<'c>)> {
    let all = all.iter().enumerate();
    all.filter(move |(_, rows)| rows.oid == oid)
}

impl Compiler<'_> {
    /// Collects the children of the rows that `parents` yields, deepest first.
    pub(super) fn child_rows<'c>(
        &mut self,
        children: &'c Children,
        parents: &str,
        all: &mut Vec<ChildRows<'c>>,
    ) -> Option<()> {
        let (from, of) = (
            table_name(&children.table),
            identifier(bare_name(&children.table)),
        );
        let columns = children.column.names();
        let condition = format!("{} IN ({parents})", tuple(&qualified(&of, columns)));
        for below in &children.with {
            let referred = self.grandchild_reference(children, below)?;
            let columns = qualified(&of, &referred).join(", ");
            let parents = format!("SELECT {columns} FROM {from} WHERE {condition}");
            self.child_rows(below, &parents, all)?;
        }
        let let_go = match children.action {
            OnParent::Delete => None,
            OnParent::SetNull => Some(self.let_go(children)?),
        };
        all.push(ChildRows {
            children,
            oid: self.catalogue.tables.get(&children.table)?.oid,
            from,
            of,
            condition,
            let_go,
        });
        Some(())
    }

    /// Writes to all children. Each part of the rule is a part of the statement that counts its
    /// rows.
    ///
    /// A statement writes a row once. A row that several parts meet is deleted if one of them
    /// deletes it. Otherwise the first part sets the columns of all.
    pub(super) fn write_children(
        &mut self,
        all: &[ChildRows<'_>],
        steps: &mut Steps,
    ) -> Option<()> {
        for (place, rows) in all.iter().enumerate() {
            let children = rows.children;
            if steps.by_statistics && self.cascades(children) {
                steps.kinds.push(children.kind().to_owned());
                steps.counted.push("0".to_owned());
                steps.tallied.push((steps.counted.len() - 1, rows.oid));
                continue;
            }
            let name = format!("hk_c{}", steps.counted.len());
            let (from, of) = (&rows.from, &rows.of);
            let returning = if children.hand_on.is_empty() {
                "1".to_owned()
            } else {
                format!("{of}.*")
            };
            let mut condition = rows.condition.clone();
            let write = match &rows.let_go {
                None => format!("DELETE FROM {from}"),
                Some(columns) => {
                    let mut set: Vec<String> = columns
                        .iter()
                        .map(|name| format!("{} = NULL", identifier(name)))
                        .collect();
                    for (other, rows) in same_table(all, rows.oid) {
                        if other < place || rows.let_go.is_none() {
                            condition.extend([" AND (", &rows.condition, ") IS NOT TRUE"]);
                        } else if other > place {
                            set.extend(rows.set_null(columns));
                        }
                    }
                    format!("UPDATE {from} SET {}", set.join(", "))
                }
            };
            steps.ctes.push(format!(
                "{name} AS ({write} WHERE {condition} RETURNING {returning})"
            ));
            let count = format!("(SELECT count(*) FROM {name})");
            let from = format!("FROM {name} AS {of}");
            let handed = self.handed_children(children, of, &from);
            for hand_on in &children.hand_on {
                let handing = self.handed_on(hand_on, &handed)?;
                steps.hand(handing, &count);
            }
            steps.counted.push(count);
            steps.kinds.push(children.kind().to_owned());
        }
        Some(())
    }

    /// Whether children go by their foreign key alone, so that the server's statistics of the
    /// transaction count them: those of a table that no other part writes to.
    fn cascades(&self, children: &Children) -> bool {
        let tables = &self.catalogue.tables;
        let (Some(own), Some(child)) = (tables.get(&self.rule.table), tables.get(&children.table))
        else {
            return false;
        };
        let all = self.rule.children().into_iter();
        let parts = all.filter(|other| self.catalogue.oid(&other.table) == Some(child.oid));
        self.catalogue.tracks_counts
            && child.oid != own.oid
            && parts.count() == 1
            && !child.has_parts
            && children.action == OnParent::Delete
            && children.with.is_empty()
            && children.hand_on.is_empty()
            && !matches!(self.rule.action, Some(Action::Set(_)))
            && self.rule.with.contains(children)
            && self.catalogue.foreign_keys.iter().any(|found| {
                let key = &found.key;
                let refers = children.references.as_ref();
                found.oid == child.oid
                    && found.parent == own.oid
                    && key.on_delete == OnDelete::Cascade
                    && key.columns == children.column.names()
                    && refers.is_none_or(|columns| key.parent_columns == columns.names())
            })
    }
}
