//! A rule held against the catalogue: what its names mean, and what is wrong with them.

use std::time::Duration;

use super::catalogue::{Catalogue, Table};
use super::stamp::{Form, Moment};
use crate::rule::{
    Children, Due, Filter, Finding, InstantColumn, Related, Rule, Source, bare_name, nearest,
};
use crate::store::rule::{Dialect, Keepers, MissingSql, UNREADABLE, identifier, table_name};

pub(super) struct Compiler<'r> {
    pub(super) rule: &'r Rule,
    pub(super) catalogue: &'r Catalogue,
    pub(super) findings: Vec<Finding>,
    pub(super) instants: Vec<(Form, Duration)>,
    /// Whether keys that are not declared are thought to keep rows.
    pub(super) suspects: bool,
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
        if table.kind == "table" {
            return Some(());
        }
        let kind = table.kind.clone();
        self.refuse(
            part,
            format!("`{name}` is a {kind}; name the table whose rows it shows"),
        );
        None
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
        let own = self.own_table()?;
        if rule.key.is_empty() {
            let primary = own.primary_key();
            if !primary.is_empty() {
                return Some(primary);
            }
            self.refuse(
                "key",
                "the table has no primary key: name a unique key with `key`",
            );
            return None;
        }
        let mut fine = true;
        for column in &rule.key {
            fine &= self.column("key", &rule.table, column);
        }
        if !fine {
            return None;
        }
        let own = self.own_table()?;
        let nullable = rule.key.iter().find(|name| {
            own.column(name)
                .is_some_and(|column| column.not_null == 0 && column.pk == 0)
        });
        let problem = nullable
            .map(|name| format!("`{name}` may be null, so rows cannot be told apart by it"));
        let within = |columns: &[String]| {
            !columns.is_empty()
                && columns.iter().all(|column| {
                    rule.key
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(column))
                })
        };
        let unique = own.unique.iter().any(|columns| within(columns)) || within(&own.primary_key());
        if let Some(problem) = problem {
            self.refuse("key", problem);
        }
        if !unique {
            self.refuse(
                "key",
                format!(
                    "no unique index without a condition is on ({})",
                    rule.key.join(", ")
                ),
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
        let name = &instant.column;
        let stamp = instant.sqlite.as_ref().or(instant.stamp.as_ref());
        let sample = self.catalogue.samples.get(name);
        let moment = Moment::of(name, format!("{of}.{}", identifier(name)), stamp, sample);
        self.noted(part, moment)
    }

    pub(super) fn due(&mut self, due: &Due, of: &str) -> Option<Moment> {
        let moment = match &due.source {
            Source::Column(instant) => self.instant("due", instant, of)?,
            Source::FirstOf(instants) => self.several(instants, of, |all| {
                all.into_iter()
                    .reduce(|a, b| format!("min(ifnull({a}, {b}), ifnull({b}, {a}))"))
                    .unwrap_or_default()
            })?,
            Source::Coalesce(instants) => {
                self.several(instants, of, |all| match all.as_slice() {
                    [one] => one.clone(),
                    all => format!("coalesce({})", all.join(", ")),
                })?
            }
            Source::Sql(sql, stamp) => {
                let text = self.text(
                    "due",
                    Dialect::Sqlite.sql(sql).map(|text| format!("({text})")),
                )?;
                self.noted("due", Moment::of("the expression", text, Some(stamp), None))?
            }
        };
        if let Some((name, unit)) = &due.plus {
            if !self.column("due", &self.rule.table, name) {
                return None;
            }
            return Some(moment.plus(&format!("{of}.{}", identifier(name)), unit.millis()));
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
            let span = format!(
                "(SELECT hk_l.{} FROM {} AS hk_l WHERE hk_l.{} = {of}.{})",
                identifier(&lifetime.column),
                table_name(&lifetime.table),
                identifier(&lifetime.key),
                identifier(&lifetime.by),
            );
            return Some(moment.plus(&span, lifetime.unit.millis()));
        }
        Some(moment)
    }

    /// Several columns in one form: their own if they share it, else whole seconds.
    pub(super) fn several(
        &mut self,
        instants: &[InstantColumn],
        of: &str,
        joined: impl FnOnce(Vec<String>) -> String,
    ) -> Option<Moment> {
        let moments: Vec<Option<Moment>> = instants
            .iter()
            .map(|instant| self.instant("due", instant, of))
            .collect();
        let mut moments: Vec<Moment> = moments.into_iter().collect::<Option<_>>()?;
        let form = moments.first()?.form.clone();
        if moments.iter().any(|moment| moment.form != form) {
            moments = moments.iter().map(Moment::in_seconds).collect();
        }
        let form = moments.first()?.form.clone();
        let sql = joined(moments.into_iter().map(|moment| moment.sql).collect());
        Some(Moment { sql, form })
    }

    pub(super) fn related(&mut self, of: &str, key: &str) -> Option<String> {
        let rule = self.rule;
        let mut all = String::new();
        for related in &rule.when {
            all.extend([format!(" AND {}", self.exists("when", related, of, key)?)]);
        }
        for related in &rule.unless {
            all.extend([format!(
                " AND NOT {}",
                self.exists("unless", related, of, key)?
            )]);
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
        for column in related.only.iter().flat_map(Filter::columns) {
            fine &= self.column(&part, &related.table, column);
        }
        if !fine {
            return None;
        }
        self.text(&part, Dialect::Sqlite.exists(related, of, &referred))
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
            return Some("NULL".to_owned());
        }
        let cases = cases.into_iter().map(|(condition, reason)| {
            format!(" WHEN {condition} THEN {}", Dialect::Sqlite.text(&reason))
        });
        Some(format!("CASE{} END", cases.collect::<String>()))
    }

    /// What the keys keep that refuse and are not declared.
    fn undeclared_keys(&self, of: &str, key: &str) -> Vec<(String, String)> {
        let rule = self.rule;
        // Their own rows go as well, or are declared.
        let mut declared: Vec<&str> = rule
            .keeps
            .iter()
            .map(|kept| bare_name(&kept.table))
            .collect();
        declared.push(bare_name(&rule.table));
        declared.extend(
            rule.children()
                .into_iter()
                .map(|children| bare_name(&children.table)),
        );
        let keys_of = |table: &str| {
            let keys = self.catalogue.tables.get(table).into_iter();
            let keys = keys.flat_map(|table| &table.pointed_at_by);
            let is_declared =
                |table: &str| declared.iter().any(|name| name.eq_ignore_ascii_case(table));
            keys.filter(|key| key.refuses() && !is_declared(&key.table))
                .collect()
        };
        let referred = |table: &str, children: &Children| {
            let or = if table == rule.table { key } else { "id" };
            let (child, column) = (&children.table, &children.column);
            self.reference(table, child, column, children.references.as_deref(), or)
        };
        let keepers = Keepers {
            dialect: Dialect::Sqlite,
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
        let known = || {
            let table = self.catalogue.tables.get(table)?;
            let key = table.foreign_keys.iter().find(|key| {
                key.columns == 1
                    && key.column.eq_ignore_ascii_case(column)
                    && key.parent.eq_ignore_ascii_case(bare_name(parent))
                    && !key.parent_column.is_empty()
            })?;
            Some(key.parent_column.as_str())
        };
        declared.or_else(known).unwrap_or(or).to_owned()
    }
}
