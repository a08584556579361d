//! Which rows a foreign key keeps.

use super::keys::ForeignKey;
use super::parts::{Dialect, equal, identifier, table_name};
use crate::rule::{Children, OnParent};

/// Foreign keys that may refuse the deletion of a row or of a child that goes along.
pub(crate) struct Keepers<'k> {
    pub(crate) dialect: Dialect,
    /// The keys that point at a table, by its name in the rule.
    pub(crate) keys_of: &'k dyn Fn(&str) -> Vec<&'k ForeignKey>,
    /// The columns of a parent that children hold.
    pub(crate) referred: &'k dyn Fn(&str, &Children) -> Vec<String>,
}

impl Keepers<'_> {
    /// Conditions that keep a row of `of` in `table` with these children, with reasons.
    pub(crate) fn of(&self, table: &str, of: &str, with: &[Children]) -> Vec<(String, String)> {
        self.below(table, of, with, 0)
    }

    fn below(
        &self,
        table: &str,
        of: &str,
        with: &[Children],
        depth: usize,
    ) -> Vec<(String, String)> {
        let keys = (self.keys_of)(table).into_iter();
        let mut all: Vec<(String, String)> = keys
            .map(|key| (self.points_at(key, of), key.reason()))
            .collect();
        let child = format!("hk_j{depth}");
        for children in with {
            if children.action != OnParent::Delete {
                continue;
            }
            let inner = self.below(&children.table, &child, &children.with, depth + 1);
            all.extend(inner.into_iter().map(|(condition, reason)| {
                let referred = (self.referred)(table, children);
                let exists = format!(
                    "EXISTS (SELECT 1 FROM {} AS {child} WHERE {} AND {condition})",
                    table_name(&children.table),
                    equal(of, &referred, &child, children.column.names()),
                );
                (exists, reason)
            }));
        }
        all
    }

    /// Whether a row of the key's table points at the row of `of`.
    fn points_at(&self, key: &ForeignKey, of: &str) -> String {
        let pairs = key.columns.iter().zip(&key.parent_columns);
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let pairs: Vec<String> = pairs
                    .map(|(column, parent)| {
                        let (column, parent) = (identifier(column), identifier(parent));
                        format!("hk_k.{column} = {of}.{parent}")
                    })
                    .collect();
                let table = key.quoted_table();
                format!(
                    "EXISTS (SELECT FROM {table} AS hk_k WHERE {})",
                    pairs.join(" AND ")
                )
            }
            // Read once for a statement where no index serves it, and not for each row.
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => {
                let (columns, parents): (Vec<String>, Vec<String>) = pairs
                    .map(|(column, parent)| {
                        (identifier(column), format!("{of}.{}", identifier(parent)))
                    })
                    .unzip();
                format!(
                    "({}) IN (SELECT {} FROM {})",
                    parents.join(", "),
                    columns.join(", "),
                    key.quoted_table()
                )
            }
        }
    }
}
