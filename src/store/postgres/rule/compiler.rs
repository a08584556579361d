//! A rule held against the catalogue: what its names mean, and what is wrong with them.

use std::time::Duration;

use super::catalogue::{Catalogue, Table};
use super::stamp::{Form, Moment};
use crate::rule::{
    Children, Due, Filter, Finding, InstantColumn, Literal, Related, Rule, Source, bare_name,
    nearest,
};
use crate::store::rule::{Dialect, Keepers, MissingSql, UNREADABLE, identifier, table_name};

pub(super) struct Compiler<'r> {
    pub(super) rule: &'r Rule,
    pub(super) catalogue: &'r Catalogue,
    pub(super) findings: Vec<Finding>,
    pub(super) instants: Vec<(Form, Duration)>,
    /// Whether keys that are not declared are thought to keep rows.
    pub(super) suspects: bool,
    /// Whether sums of instants and spans may be larger than their types hold.
    pub(super) careful: bool,
}

impl Compiler<'_> {
    pub(super) fn refuse(&mut self, part: &str, text: impl Into<String>) {
        self.findings
            .push(Finding::new(&self.rule.name, part, text));
    }

    /// Notes what is wrong and goes on.
    pub(super) fn noted<T>(&mut self, part: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(text) => {
                self.refuse(part, text);
                None
            }
        }
    }

    pub(super) fn text(
        &mut self,
        part: &str,
        result: Result<String, MissingSql>,
    ) -> Option<String> {
        self.noted(part, result.map_err(MissingSql::problem))
    }

    pub(super) fn table(&mut self, part: &str, name: &str) -> Option<()> {
        let Some(table) = self.catalogue.tables.get(name) else {
            let known = self.catalogue.known.iter().map(String::as_str);
            let hint = nearest(bare_name(name), known)
                .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            self.refuse(part, format!("there is no table `{name}`{hint}"));
            return None;
        };
        match table.relkind.as_str() {
            "r" | "p" => Some(()),
            kind => {
                let what = match kind {
                    "v" => "a view",
                    "m" => "a materialized view",
                    "f" => "a foreign table",
                    _ => "no table",
                };
                self.refuse(
                    part,
                    format!("`{name}` is {what}; name the table whose rows it shows"),
                );
                None
            }
        }
    }

    pub(super) fn column(&mut self, part: &str, table: &str, name: &str) -> bool {
        let Some(found) = self.catalogue.tables.get(table) else {
            return false;
        };
        if found.column(name).is_some() {
            return true;
        }
        let names = found.columns.iter().map(|column| column.name.as_str());
        let hint =
            nearest(name, names).map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        self.refuse(part, format!("`{table}` has no column `{name}`{hint}"));
        false
    }

    pub(super) fn own_table(&self) -> Option<&Table> {
        self.catalogue.tables.get(&self.rule.table)
    }

    pub(super) fn key(&mut self) -> Option<Vec<String>> {
        let rule = self.rule;
        if rule.key.is_empty() {
            let primary = self.catalogue.keys.iter().find(|key| key.primary);
            if primary.is_none() {
                self.refuse(
                    "key",
                    "the table has no primary key: name a unique key with `key`",
                );
            }
            return primary.map(|key| key.columns.clone());
        }
        let mut fine = true;
        for column in &rule.key {
            fine &= self.column("key", &rule.table, column);
        }
        if !fine {
            return None;
        }
        let table = self.own_table()?;
        let nullable = rule
            .key
            .iter()
            .find(|name| table.column(name).is_some_and(|column| !column.not_null));
        if let Some(name) = nullable.cloned() {
            self.refuse(
                "key",
                format!("`{name}` may be null, so rows cannot be told apart by it"),
            );
        }
        let unique = self
            .catalogue
            .keys
            .iter()
            .any(|key| key.columns.iter().all(|column| rule.key.contains(column)));
        if !unique {
            let columns = rule.key.join(", ");
            self.refuse(
                "key",
                format!("no unique index without a condition is on ({columns})"),
            );
        }
        Some(rule.key.clone())
    }

    pub(super) fn instant(
        &mut self,
        part: &str,
        instant: &InstantColumn,
        of: &str,
    ) -> Option<Moment> {
        if !self.column(part, &self.rule.table, &instant.column) {
            return None;
        }
        let column = self.own_table()?.column(&instant.column)?;
        let moment = Moment::of(column, of, instant.stamp.as_ref());
        self.noted(part, moment)
    }

    pub(super) fn due(&mut self, due: &Due, of: &str) -> Option<Moment> {
        let moment = match &due.source {
            Source::Column(instant) => self.instant("due", instant, of)?,
            Source::FirstOf(instants) => self.several("least", instants, of)?,
            Source::Coalesce(instants) => self.several("coalesce", instants, of)?,
            Source::Sql(sql, stamp) => {
                let text = self.text("due", Dialect::Postgres.sql(sql).map(str::to_owned))?;
                Moment::of_sql(&text, stamp)
            }
        };
        if let Some((name, unit)) = &due.plus {
            if !self.column("due", &self.rule.table, name) {
                return None;
            }
            let base = self.own_table()?.column(name)?.base.clone();
            let span = format!("{of}.{}", identifier(name));
            let sum = self.sum(&moment, &span, &base, unit.millis());
            return self.noted("due", sum);
        }
        if let Some(lifetime) = &due.lifetime {
            self.table("due", &lifetime.table)?;
            let fine = [
                self.column("due", &lifetime.table, &lifetime.key),
                self.column("due", &lifetime.table, &lifetime.column),
                self.column("due", &self.rule.table, &lifetime.by),
            ];
            if fine.contains(&false) {
                return None;
            }
            let base = self
                .catalogue
                .tables
                .get(&lifetime.table)?
                .column(&lifetime.column)?
                .base
                .clone();
            let span = format!(
                "(SELECT hk_l.{} FROM {} AS hk_l WHERE hk_l.{} = {of}.{})",
                identifier(&lifetime.column),
                table_name(&lifetime.table),
                identifier(&lifetime.key),
                identifier(&lifetime.by),
            );
            let sum = self.sum(&moment, &span, &base, lifetime.unit.millis());
            return self.noted("due", sum);
        }
        Some(moment)
    }

    fn sum(&self, moment: &Moment, span: &str, base: &str, millis: i64) -> Result<Moment, String> {
        if self.careful {
            moment.plus_carefully(span, base, millis)
        } else {
            moment.plus(span, base, millis)
        }
    }

    /// Several columns in one form: their own if they share it.
    pub(super) fn several(
        &mut self,
        function: &str,
        instants: &[InstantColumn],
        of: &str,
    ) -> Option<Moment> {
        let moments: Vec<Option<Moment>> = instants
            .iter()
            .map(|instant| self.instant("due", instant, of))
            .collect();
        let mut moments: Vec<Moment> = moments.into_iter().collect::<Option<_>>()?;
        let form = moments.first()?.form.clone();
        if moments.iter().any(|moment| moment.form != form) {
            let naive: Result<Vec<Moment>, String> = moments.iter().map(Moment::naive).collect();
            moments = self.noted("due", naive)?;
        }
        let form = moments.first()?.form.clone();
        let columns: Vec<String> = moments.into_iter().map(|moment| moment.sql).collect();
        let sql = format!("{function}({})", columns.join(", "));
        Some(Moment { sql, form })
    }

    /// Refuses a constant that the column's enum does not have.
    pub(super) fn constants(&mut self, part: &str, filter: &Filter, column: &str) {
        let constants: Vec<&Literal> = match filter {
            Filter::Eq(name, value) if name == column => vec![value],
            Filter::OneOf(name, values) | Filter::NoneOf(name, values) if name == column => {
                values.iter().collect()
            }
            Filter::And(all) | Filter::Or(all) => {
                for one in all {
                    self.constants(part, one, column);
                }
                return;
            }
            Filter::Not(inner) => return self.constants(part, inner, column),
            _ => return,
        };
        for literal in constants {
            self.label(part, column, literal);
        }
    }

    pub(super) fn label(&mut self, part: &str, column: &str, literal: &Literal) {
        let Literal::Text(text) = literal else {
            return;
        };
        let Some(found) = self.own_table().and_then(|table| table.column(column)) else {
            return;
        };
        if !found.labels.is_empty() && !found.labels.contains(text) {
            let labels = found.labels.join(", ");
            let problem = format!("`{column}` is an enum without `{text}`; it has {labels}");
            self.refuse(part, problem);
        }
    }

    pub(super) fn related(&mut self, of: &str, key: &str) -> Option<String> {
        let rule = self.rule;
        let mut all = String::new();
        for (part, related, negation) in
            rule.when.iter().map(|related| ("when", related, "")).chain(
                rule.unless
                    .iter()
                    .map(|related| ("unless", related, "NOT ")),
            )
        {
            let exists = self.exists(part, related, of, key)?;
            all.extend([format!(" AND {negation}{exists}")]);
            let referred = related.references.as_deref().unwrap_or(key);
            self.locks(part, &related.table, &related.column, referred);
        }
        Some(all)
    }

    pub(super) fn exists(
        &mut self,
        part: &str,
        related: &Related,
        of: &str,
        key: &str,
    ) -> Option<String> {
        let part = format!("{part} {}", related.table);
        self.table(&part, &related.table)?;
        let mut fine = self.column(&part, &related.table, &related.column);
        let referred = self.reference(
            &self.rule.table,
            &related.table,
            &related.column,
            related.references.as_deref(),
            key,
        );
        fine &= self.column(&part, &self.rule.table, &referred);
        for column in related.only.iter().flat_map(|filter| filter.columns()) {
            fine &= self.column(&part, &related.table, column);
        }
        if !fine {
            return None;
        }
        self.text(&part, Dialect::Postgres.exists(related, of, &referred))
    }

    /// A row of another table that is written now must lock the row it belongs to, or it could be
    /// missed.
    pub(super) fn locks(&mut self, part: &str, table: &str, column: &str, referred: &str) {
        let own = self.own_table().map(|table| table.oid);
        let theirs = self.catalogue.tables.get(table).map(|table| table.oid);
        let has_key = self.catalogue.foreign_keys.iter().any(|found| {
            Some(found.parent) == own
                && Some(found.oid) == theirs
                && found.key.columns.iter().any(|name| name == column)
        });
        if has_key || self.rule.may_race {
            return;
        }
        let finding = Finding::new(
            &self.rule.name,
            format!("{part} {table}"),
            format!(
                "no foreign key from `{table}.{column}`, so a row written while its parent is handled could be missed; \
                 add one, or accept it with `may_race`"
            ),
        );
        self.findings.push(finding.mend(format!(
            "alter table {} add foreign key ({}) references {} ({})",
            table_name(table),
            identifier(column),
            table_name(&self.rule.table),
            identifier(referred),
        )));
    }

    /// Why a row stays, or null.
    pub(super) fn keeper(&mut self, of: &str, key: &str, due: &Moment) -> Option<String> {
        let rule = self.rule;
        let unreadable = due.unreadable();
        let unreadable = unreadable.map(|condition| (condition, UNREADABLE.to_owned()));
        let mut cases: Vec<(String, String)> = unreadable.into_iter().collect();
        for related in &rule.keeps {
            let exists = self.exists("keeps", related, of, key)?;
            cases.push((
                exists,
                format!("kept by {}.{}", related.table, related.column),
            ));
        }
        if self.suspects {
            cases.extend(self.undeclared_keys(of, key));
        }
        if cases.is_empty() {
            return Some("NULL::text".to_owned());
        }
        let cases = cases.into_iter().map(|(condition, reason)| {
            format!(" WHEN {condition} THEN {}", Dialect::Postgres.text(&reason))
        });
        Some(format!("CASE{} END", cases.collect::<String>()))
    }

    /// What the keys keep that refuse and are not declared.
    fn undeclared_keys(&self, of: &str, key: &str) -> Vec<(String, String)> {
        let rule = self.rule;
        let oid = |name: &str| self.catalogue.tables.get(name).map(|table| table.oid);
        // Their own rows go as well, or are declared.
        let mut declared: Vec<Option<i64>> =
            rule.keeps.iter().map(|kept| oid(&kept.table)).collect();
        declared.push(oid(&rule.table));
        declared.extend(
            rule.children()
                .into_iter()
                .map(|children| oid(&children.table)),
        );
        let keys_of = |table: &str| {
            let parent = oid(table);
            let keys = self.catalogue.foreign_keys.iter().filter(|found| {
                Some(found.parent) == parent
                    && found.key.refuses()
                    && found.key.readable
                    && !declared.contains(&Some(found.oid))
            });
            keys.map(|found| &found.key).collect()
        };
        let referred = |table: &str, children: &Children| {
            let or = if table == rule.table { key } else { "id" };
            let (child, column) = (&children.table, &children.column);
            self.reference(table, child, column, children.references.as_deref(), or)
        };
        let keepers = Keepers {
            dialect: Dialect::Postgres,
            keys_of: &keys_of,
            referred: &referred,
        };
        keepers.of(&rule.table, of, &rule.with)
    }

    /// The column of the rule's table that children hold.
    pub(super) fn child_reference(&self, children: &Children, key: &str) -> String {
        let declared = children.references.as_deref();
        let (own, child) = (&self.rule.table, &children.table);
        self.reference(own, child, &children.column, declared, key)
    }

    /// The column of `parent` that a column of `table` holds: as declared, by its foreign key, or
    /// else this one.
    pub(super) fn reference(
        &self,
        parent: &str,
        table: &str,
        column: &str,
        declared: Option<&str>,
        or: &str,
    ) -> String {
        let known = || self.catalogue.referred(table, column, parent);
        declared.or_else(known).unwrap_or(or).to_owned()
    }
}
