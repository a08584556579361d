//! Looks at other tables for each row, which an index should serve.

use super::keys::place;
use super::parts::identifier;
use super::tables::{Compiler, Tables};
use crate::rule::{Activity, Columns, Finding, Related, Rule, bare_name};

/// A look at another table for each row.
#[derive(Debug)]
pub(crate) struct Lookup<'r> {
    part: String,
    pub(crate) table: &'r str,
    pub(crate) columns: &'r Columns,
    /// The condition for a row, and the same without the host's, which an index need not know.
    pub(crate) conditions: Vec<String>,
}

impl<'r, T: Tables> Compiler<'r, T> {
    /// Returns the looks at tables of this database.
    pub(crate) fn lookups(&mut self) -> Vec<Lookup<'r>> {
        let rule = self.rule;
        let Some(key) = self.key() else {
            return Vec::new();
        };
        let of = identifier(bare_name(&rule.table));
        let mut found = Vec::new();
        for (part, all) in [
            ("when", &rule.when),
            ("unless", &rule.unless),
            ("keeps", &rule.keeps),
        ] {
            for related in all {
                let bare = Related {
                    only: None,
                    ..related.clone()
                };
                let conditions = [related, &bare].map(|one| self.exists(part, one, &of, &key));
                found.push(Lookup {
                    part: format!("{part} {}", related.table),
                    table: &related.table,
                    columns: &related.column,
                    conditions: conditions.into_iter().flatten().map(|one| one.0).collect(),
                });
            }
        }
        if let Some(activity) = &rule.active {
            let bare = Activity {
                only: None,
                ..activity.clone()
            };
            let rows = [activity, &bare].map(|one| self.activity_of("active", one, &of, &key));
            let rows = rows.into_iter().flatten();
            found.push(Lookup {
                part: "active".to_owned(),
                table: &activity.table,
                columns: &activity.column,
                conditions: rows
                    .map(|(rows, _)| format!("EXISTS (SELECT 1 {rows})"))
                    .collect(),
            });
        }
        found.retain(|lookup| self.catalogue.kind(lookup.table) == Some(Ok(())));
        found
    }
}

impl Lookup<'_> {
    /// Advises of an index.
    pub(crate) fn advise(&self, rule: &Rule) -> Finding {
        let place = place(self.table, self.columns.names());
        let text = format!("{place} has no index, so each batch reads its whole table");
        Finding::new(&rule.name, &self.part, text)
    }

    /// Advises of types that keep an index from serving.
    #[cfg(feature = "sqlite")]
    pub(crate) fn advise_of_types(&self, rule: &Rule) -> Finding {
        let place = place(self.table, self.columns.names());
        let text = format!(
            "{place} has another type than the column it is compared with, so its index does not serve and each batch reads its whole table: declare both with the same type"
        );
        Finding::new(&rule.name, &self.part, text)
    }
}

/// Returns the rule without its looks at other tables, whose order is the same.
pub(crate) fn without_lookups(rule: &Rule) -> Rule {
    let mut alone = rule.clone();
    (alone.when, alone.unless, alone.keeps) = Default::default();
    alone.active = alone.active.filter(|active| active.noted_in.is_some());
    alone
}
