//! The archive of a rule: the statement that copies rows into it, and what is wrong with it.

use super::parts::{identifier, table_name};
use super::tables::{Compiler, Tables};
use crate::rule::{Archive, Finding, Rule};

impl<T: Tables> Compiler<'_, T> {
    /// The columns that are copied into an archive, and those of it that get a value.
    pub(super) fn archived(
        &mut self,
        archive: &Archive,
        of: &str,
    ) -> Option<(Vec<String>, Vec<String>)> {
        let rule = self.rule;
        self.table("archive", &archive.into)?;
        self.all_columns("archive", &rule.table, &archive.without);
        let copied: Vec<(String, bool)> = self
            .catalogue
            .columns(&rule.table)
            .iter()
            .filter(|column| archive.copies::<T>(column.name))
            .map(|column| (column.name.to_owned(), column.computed))
            .collect();
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (name, is_computed) in copied {
            let target = self.find(&archive.into, &name);
            // A column that is made of others can be made again.
            if target.map_or(is_computed, |target| target.computed) {
                continue;
            }
            if target.is_none() {
                let text = format!(
                    "`{}` has no column `{name}`: add it, or leave it out with `without`",
                    archive.into
                );
                self.refuse("archive", text);
                continue;
            }
            values.push(format!("{of}.{}", identifier(&name)));
            names.push(identifier(&name));
        }
        for (name, value) in &archive.columns {
            if !self.column("archive", &archive.into, name) {
                continue;
            }
            let value = T::value(self, "archive", value, of, (&archive.into, name));
            names.push(identifier(name));
            values.extend(value);
        }
        (names.len() == values.len()).then_some((names, values))
    }

    /// The statement that inserts rows into an archive, up to where they come from.
    pub(crate) fn insert_into_archive(&mut self, archive: &Archive, of: &str) -> Option<String> {
        let (names, values) = self.archived(archive, of)?;
        let columns = self.catalogue.columns(&archive.into).into_iter();
        let mut numbered = columns.filter(|column| column.generated && !column.computed);
        // A column that is always numbered takes the row's own number only by these words.
        let overriding = if numbered.next().is_some() {
            " OVERRIDING SYSTEM VALUE"
        } else {
            ""
        };
        Some(format!(
            "INSERT INTO {} ({}){overriding} SELECT {}",
            table_name(&archive.into),
            names.join(", "),
            values.join(", ")
        ))
    }
}

impl Archive {
    /// Whether a column of the rule's table is copied.
    pub(crate) fn copies<T: Tables>(&self, name: &str) -> bool {
        let is = |other: &String| T::is_same(other, name);
        !self.without.iter().any(is) && !self.columns.keys().any(is)
    }

    /// Whether each column is copied as it is.
    pub(crate) fn copies_all(&self) -> bool {
        self.without.is_empty() && self.columns.is_empty()
    }

    /// Refuses an archive whose rows are rows of the rule's table.
    pub(crate) fn within_table(&self, rule: &Rule) -> Finding {
        let text = format!(
            "`{}` holds rows of `{}`, which the rule would handle again: name a table outside it",
            self.into, rule.table
        );
        Finding::new(&rule.name, "archive", text)
    }

    /// Refuses an archive with a column that needs a value and gets none.
    pub(crate) fn gets_nothing(&self, rule: &Rule, column: &str) -> Finding {
        let text = format!(
            "`{column}` of `{}` is not null, has no default, and gets nothing from `{}`",
            self.into, rule.table
        );
        Finding::new(&rule.name, "archive", text)
    }
}
