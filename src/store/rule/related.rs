//! Rows of other tables that decide about a row.

use super::keeper::Keepers;
use super::keys::place;
use super::parts::{alias, equal, identifier, table_name};
use super::tables::{Compiler, Tables};
use crate::rule::{Activity, Children, Columns, Finding, Related};

/// Said of a row whose instant cannot be read.
const UNREADABLE: &str = "its instant cannot be read";

impl<T: Tables> Compiler<'_, T> {
    /// The conditions of `when` and `unless`.
    pub(crate) fn related(&mut self, of: &str, key: &[String]) -> Option<String> {
        let rule = self.rule;
        let when = rule.when.iter().map(|related| ("when", related, ""));
        let unless = rule.unless.iter();
        let unless = unless.map(|related| ("unless", related, "NOT "));
        let mut all = Some(String::new());
        for (part, related, negation) in when.chain(unless) {
            let Some((exists, referred)) = self.exists(part, related, of, key) else {
                // The others may be wrong as well.
                all = None;
                continue;
            };
            let condition = format!("{negation}{exists}");
            let condition = match &related.only {
                Some(filter) if filter.is_opaque() => self.guarded(condition, of),
                _ => condition,
            };
            if let Some(all) = &mut all {
                all.extend([" AND ", &condition]);
            }
            self.locks(part, &related.table, &related.column, &referred);
        }
        all
    }

    /// Whether a row has a related row, and the columns by which.
    pub(super) fn exists(
        &mut self,
        part: &str,
        related: &Related,
        of: &str,
        key: &[String],
    ) -> Option<(String, Vec<String>)> {
        let part = format!("{part} {}", related.table);
        self.readable(&part, &related.table)?;
        let own = &self.rule.table;
        let declared = related.references.as_ref();
        let referred = self.reference(own, &related.table, &related.column, declared, key);
        let referred = if key.is_empty() {
            // Which was said.
            referred.ok()
        } else {
            self.noted(&part, referred)
        };
        let mut fine = self.all_columns(&part, &related.table, related.column.names());
        for column in related.only.iter().flat_map(|filter| filter.columns()) {
            fine &= self.column(&part, &related.table, column);
        }
        let referred = referred?;
        fine &= self.all_columns(&part, own, &referred);
        if !fine {
            return None;
        }
        let exists = T::DIALECT.exists(related, of, &referred);
        let exists = self.text(&part, exists)?;
        Some((self.judged_alone(exists, related, of), referred))
    }

    /// A row of another table that is written now must lock the row it belongs to, or it could be
    /// missed.
    pub(crate) fn locks(
        &mut self,
        part: &str,
        table: &str,
        columns: &Columns,
        referred: &[String],
    ) {
        let own = &self.rule.table;
        let keys = self.catalogue.foreign_keys(table, own);
        let has_key = keys
            .iter()
            .any(|(key, _)| overlap::<T>(columns.names(), key));
        if !T::RACES || has_key || self.rule.may_race {
            return;
        }
        let list = |names: &[String]| {
            let names: Vec<String> = names.iter().map(|name| identifier(name)).collect();
            names.join(", ")
        };
        let place = place(table, columns.names());
        let part = format!("{part} {table}");
        if let Some(Err(kind)) = self.catalogue.kind(table) {
            let text = format!(
                "`{table}` is {kind}, which no foreign key leads from, so a row written while its parent is handled could be missed; \
                 name the table whose rows it shows, or accept it with `may_race`"
            );
            self.refuse(&part, text);
            return;
        }
        let mut unique = self.catalogue.unique_keys(own);
        unique.push(self.catalogue.primary_key(own));
        let is_referable = unique
            .iter()
            .any(|key| key.len() == referred.len() && overlap::<T>(referred, key));
        if !is_referable {
            // Several rows may have the same values there, which no key can refer to.
            let text = format!(
                "no foreign key leads from `{place}` to `{own}`, so a row written while its parent is handled could be missed; \
                 accept it with `may_race`"
            );
            self.refuse(&part, text);
            return;
        }
        let finding = Finding::new(
            &self.rule.name,
            part,
            format!(
                "no foreign key from `{place}`, so a row written while its parent is handled could be missed; \
                 add one, or accept it with `may_race`"
            ),
        );
        self.findings.push(finding.mend(format!(
            "alter table {} add foreign key ({}) references {} ({})",
            table_name(table),
            list(columns.names()),
            table_name(own),
            list(referred),
        )));
    }

    /// Why a row stays, or null.
    pub(crate) fn keeper(
        &mut self,
        of: &str,
        key: &[String],
        unreadable: Option<String>,
    ) -> Option<String> {
        let rule = self.rule;
        let mut cases: Vec<(String, String)> = unreadable
            .map(|condition| (condition, UNREADABLE.to_owned()))
            .into_iter()
            .collect();
        let kept = rule.keeps.iter().map(|related| {
            let (exists, _) = self.exists("keeps", related, of, key)?;
            let reason = format!("kept by {}", place(&related.table, related.column.names()));
            Some((exists, reason))
        });
        let kept: Vec<Option<(String, String)>> = kept.collect();
        cases.extend(kept.into_iter().collect::<Option<Vec<_>>>()?);
        if self.suspects {
            cases.extend(self.undeclared_keys(of, key));
        }
        let failing = self.failing_row(of);
        if cases.is_empty() && failing.is_none() {
            return Some(T::NO_TEXT.to_owned());
        }
        let failing = failing.map(|row| format!(" WHEN {row} THEN {}", T::failure(of)));
        let cases = cases.into_iter().map(|(condition, reason)| {
            format!(" WHEN {condition} THEN {}", T::DIALECT.text(&reason))
        });
        let cases: String = failing.into_iter().chain(cases).collect();
        Some(format!("CASE{cases} END"))
    }

    /// Conditions of undeclared keys that refuse a deletion.
    fn undeclared_keys(&self, of: &str, key: &[String]) -> Vec<(String, String)> {
        let rule = self.rule;
        // Their own rows go as well, or are declared.
        let children = rule.children();
        let mut declared: Vec<&str> = rule.keeps.iter().map(|kept| kept.table.as_str()).collect();
        declared.push(&rule.table);
        declared.extend(children.iter().map(|children| children.table.as_str()));
        let keys_of = |table: &str| self.catalogue.refusing_keys(table, &declared);
        let referred = |table: &str, children: &Children| {
            let own = self.catalogue.primary_key(table);
            let key = if table == rule.table { key } else { &own };
            let declared = children.references.as_ref();
            self.reference(table, &children.table, &children.column, declared, key)
                .unwrap_or_default()
        };
        let keepers = Keepers {
            dialect: T::DIALECT,
            keys_of: &keys_of,
            referred: &referred,
        };
        keepers.of(&rule.table, of, &rule.with)
    }

    /// The activity of a row, from `FROM` on, and the columns of the row by which.
    pub(crate) fn activity_of(
        &mut self,
        part: &str,
        activity: &Activity,
        of: &str,
        key: &[String],
    ) -> Option<(String, Vec<String>)> {
        let rule = self.rule;
        self.readable(part, &activity.table)?;
        let mut fine = self.all_columns(part, &activity.table, activity.column.names());
        fine &= self.column(part, &activity.table, &activity.at.column);
        let declared = activity.references.as_ref();
        let referred = self.reference(
            &rule.table,
            &activity.table,
            &activity.column,
            declared,
            key,
        );
        let referred = if key.is_empty() {
            referred.ok()?
        } else {
            self.noted(part, referred)?
        };
        fine &= self.all_columns(part, &rule.table, &referred);
        for column in activity.only.iter().flat_map(|filter| filter.columns()) {
            fine &= self.column(part, &activity.table, column);
        }
        if !fine {
            return None;
        }
        let other = alias(&activity.table, of);
        let condition = equal(of, &referred, &other, activity.column.names());
        let only = activity.only.as_ref();
        let rows = T::DIALECT.rows_of(&activity.table, &other, only, &condition);
        Some((self.text(part, rows)?, referred))
    }
}

/// Whether a foreign key lies within these columns, or they within it.
pub(crate) fn overlap<T: Tables>(columns: &[String], key: &[String]) -> bool {
    let within = |some: &[String], all: &[String]| {
        some.iter()
            .all(|one| all.iter().any(|other| T::is_same(one, other)))
    };
    within(key, columns) || within(columns, key)
}
