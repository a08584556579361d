//! A rule held against the catalogue: what its names mean, and what is wrong with them.

use std::collections::BTreeMap;

use super::parts::{MissingSql, identifier, qualified, table_name};
use super::tables::{Basics, ColumnFacts, Compiler, Tables};
use crate::rule::{Children, Columns, Finding, Lifetime, Rule, Source, Value, bare_name, nearest};

impl<'r, T: Tables> Compiler<'r, T> {
    /// Begins with a rule and the catalogue. With `suspects`, keys that are not declared are
    /// thought to keep rows; with `careful`, the host's SQL may fail for a row, and sums of
    /// instants and spans may be larger than their types hold.
    pub(crate) fn new(rule: &'r Rule, catalogue: &'r T, suspects: bool, careful: bool) -> Self {
        Self {
            rule,
            catalogue,
            findings: Vec::new(),
            instants: Vec::new(),
            suspects,
            careful,
        }
    }
}

impl<T: Tables> Compiler<'_, T> {
    /// Returns what was compiled, or everything that is wrong, each once.
    pub(crate) fn finish<P>(mut self, compiled: Option<P>) -> Result<P, Vec<Finding>> {
        if compiled.is_none() {
            self.faults_of_writes();
        }
        let mut findings: Vec<Finding> = Vec::new();
        for finding in self.findings {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        match compiled {
            Some(compiled) if findings.is_empty() => Ok(compiled),
            _ => Err(findings),
        }
    }

    pub(crate) fn refuse(&mut self, part: &str, text: impl Into<String>) {
        self.findings
            .push(Finding::new(&self.rule.name, part, text));
    }

    /// Notes what is wrong and goes on.
    pub(crate) fn noted<V>(&mut self, part: &str, result: Result<V, String>) -> Option<V> {
        match result {
            Ok(value) => Some(value),
            Err(text) => {
                self.refuse(part, text);
                None
            }
        }
    }

    pub(crate) fn text(
        &mut self,
        part: &str,
        result: Result<String, MissingSql>,
    ) -> Option<String> {
        self.noted(part, result.map_err(MissingSql::problem))
    }

    /// A table that is only read, or what shows rows like one.
    pub(crate) fn readable(&mut self, part: &str, name: &str) -> Option<()> {
        if self.catalogue.shows_rows(name) {
            return Some(());
        }
        self.table(part, name)
    }

    pub(crate) fn table(&mut self, part: &str, name: &str) -> Option<()> {
        let text = match self.catalogue.kind(name) {
            Some(Ok(())) => return Some(()),
            Some(Err(kind)) => format!("`{name}` is {kind}; name the table whose rows it shows"),
            None => {
                let known = self.catalogue.known();
                let bare = known.iter().map(|known| bare_name(known));
                let close = nearest(bare_name(name), bare)
                    .and_then(|close| known.iter().find(|known| bare_name(known) == close));
                let hint = close.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
                format!("there is no table `{name}`{hint}")
            }
        };
        self.refuse(part, text);
        None
    }

    pub(crate) fn column(&mut self, part: &str, table: &str, name: &str) -> bool {
        if self.find(table, name).is_some() {
            return true;
        }
        let columns = self.catalogue.columns(table);
        // A table that is missing has been named.
        if !columns.is_empty() {
            let hint = nearest(name, columns.iter().map(|column| column.name))
                .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            self.refuse(part, format!("`{table}` has no column `{name}`{hint}"));
        }
        false
    }

    /// Names every column that is missing.
    pub(crate) fn all_columns<'n>(
        &mut self,
        part: &str,
        table: &str,
        names: impl IntoIterator<Item = &'n String>,
    ) -> bool {
        let found = names.into_iter().map(|name| self.column(part, table, name));
        found.fold(true, |all, found| all & found)
    }

    pub(crate) fn find(&self, table: &str, name: &str) -> Option<ColumnFacts<'_>> {
        let mut columns = self.catalogue.columns(table).into_iter();
        columns.find(|column| T::is_same(column.name, name))
    }

    pub(super) fn key(&mut self) -> Option<Vec<String>> {
        let rule = self.rule;
        if rule.key.is_empty() {
            let primary = self.catalogue.primary_key(&rule.table);
            if primary.is_empty() {
                let mut unique = self.catalogue.unique_keys(&rule.table);
                unique.retain(|key| {
                    let mut found = key.iter().map(|name| self.find(&rule.table, name));
                    found.all(|column| column.is_some_and(|column| column.not_null))
                });
                let found = unique
                    .first()
                    .map(|key| format!(", such as `{}`", key.join("`, `")));
                self.refuse(
                    "key",
                    format!(
                        "the table has no primary key: name a unique key with `key`{}",
                        found.unwrap_or_default()
                    ),
                );
                return None;
            }
            return Some(primary);
        }
        if !self.all_columns("key", &rule.table, &rule.key) {
            return None;
        }
        let primary = self.catalogue.primary_key(&rule.table);
        let nullable = rule.key.iter().find(|name| {
            let found = self.find(&rule.table, name);
            found.is_some_and(|column| !column.not_null)
                && !primary.iter().any(|key| T::is_same(key, name))
        });
        if let Some(name) = nullable {
            self.refuse(
                "key",
                format!("`{name}` may be null, so it does not identify rows"),
            );
        }
        let within = |columns: &[String]| {
            let mut columns = columns.iter();
            columns.all(|column| rule.key.iter().any(|name| T::is_same(name, column)))
        };
        let mut unique = self.catalogue.unique_keys(&rule.table);
        unique.extend(Some(primary).filter(|key| !key.is_empty()));
        if !unique.iter().any(|columns| within(columns)) {
            let columns = rule.key.join(", ");
            self.refuse(
                "key",
                format!("no unique index without a condition is on ({columns})"),
            );
        }
        Some(rule.key.clone())
    }

    /// Returns the parts of all statements, or nothing once a problem was reported.
    pub(crate) fn basics(&mut self) -> Option<Basics<T::Moment>> {
        let rule = self.rule;
        let of = identifier(bare_name(&rule.table));
        let found = self.table("table", &rule.table).and_then(|()| self.key());
        // The other parts may be wrong as well.
        let key = found.clone().unwrap_or_default();
        let declared = rule.due.as_ref()?;
        let own_due = T::due(self, declared, &of);
        let held = rule.held_until.as_ref();
        let held = held.map(|instant| T::instant(self, "held_until", instant, &of));
        self.all_columns("show", &rule.table, &rule.show);
        let scope = rule.scope.as_ref();
        let scope = scope.filter(|name| self.column("scope", &rule.table, name));
        let only = match &rule.only {
            None => Some(T::ALWAYS.to_owned()),
            Some(filter) => {
                for column in filter.columns() {
                    self.column("only", &rule.table, column);
                }
                for (column, constants) in filter.constants() {
                    for constant in constants {
                        T::label(self, "only", column, constant);
                    }
                }
                self.only(filter, &of)
            }
        };
        let only = match self.catalogue.has_key(&rule.table, &of, &key) {
            Some(has_key) => only.map(|only| format!("{only} AND {has_key}")),
            None => only,
        };
        let related = self.related(&of, &key);
        let own_due = match (&declared.source, own_due, &only) {
            (Source::Sql(..), Some(due), Some(only)) => Some(self.guarded_instant(due, only, &of)),
            (_, due, _) => due,
        };
        let due = match (&rule.active, own_due) {
            (None, due) => due.map(|due| (due, None)),
            (Some(activity), None) => {
                self.activity_of("active", activity, &of, &key);
                None
            }
            (Some(activity), Some(own_due)) => T::active(self, activity, own_due, &of, &key)
                .map(|(due, active)| (due, Some(active))),
        };
        let unreadable = due.as_ref().and_then(|(due, _)| T::unreadable(due));
        let keeper = self.keeper(&of, &key, unreadable);
        // Each has named what is wrong with it.
        found?;
        let ((due, mut active), only, related) = (due?, only?, related?);
        if let Some(active) = &mut active {
            let truth = active.truth.clone();
            active.truth = self.guarded_instant(truth, &only, &of);
        }
        let held = match held {
            None => None,
            Some(held) => Some(held?),
        };
        let keeper = keeper?;
        Some(Basics {
            from: table_name(&rule.table),
            inclusive: declared.inclusive,
            due,
            active,
            held,
            only,
            related,
            key_names: key.iter().map(|name| identifier(name)).collect(),
            key_columns: qualified(&of, &key),
            key,
            scope: scope.map(|name| format!("{of}.{}", identifier(name))),
            keeper,
            of,
        })
    }

    /// The span that another table keeps for a row of `of`, as an expression.
    pub(crate) fn lifetime(&mut self, lifetime: &Lifetime, of: &str) -> Option<String> {
        self.readable("due", &lifetime.table)?;
        let fine = [
            self.column("due", &lifetime.table, &lifetime.key),
            self.column("due", &lifetime.table, &lifetime.column),
            self.column("due", &self.rule.table, &lifetime.by),
        ];
        (!fine.contains(&false)).then(|| {
            format!(
                "(SELECT max(hk_l.{}) FROM {} AS hk_l WHERE hk_l.{} = {of}.{})",
                identifier(&lifetime.column),
                table_name(&lifetime.table),
                identifier(&lifetime.key),
                identifier(&lifetime.by),
            )
        })
    }

    /// The columns of `parent` that columns of `table` hold: as declared, by their foreign key, or
    /// else these.
    pub(crate) fn reference(
        &self,
        parent: &str,
        table: &str,
        columns: &Columns,
        declared: Option<&Columns>,
        or: &[String],
    ) -> Result<Vec<String>, String> {
        if let Some(declared) = declared {
            return Ok(declared.names().to_vec());
        }
        let columns = columns.names();
        let known = self.catalogue.foreign_keys(table, parent).into_iter();
        let mut known = known.filter(|(own, _)| own.len() == columns.len());
        let in_order = |(own, theirs): (&[String], &[String])| {
            let column = |name: &String| {
                let number = own.iter().position(|own| T::is_same(own, name))?;
                theirs.get(number).filter(|name| !name.is_empty()).cloned()
            };
            columns.iter().map(column).collect::<Option<Vec<String>>>()
        };
        if let Some(found) = known.find_map(in_order) {
            return Ok(found);
        }
        if or.len() == columns.len() {
            return Ok(or.to_vec());
        }
        Err(format!(
            "({}) differs in number from the key ({}) of `{parent}`: name the columns that it holds with `references`",
            columns.join(", "),
            or.join(", ")
        ))
    }

    /// The columns of the rule's table that children hold.
    pub(crate) fn child_reference(
        &mut self,
        children: &Children,
        key: &[String],
    ) -> Option<Vec<String>> {
        let rule = self.rule;
        self.referred(&rule.table, children, key)
    }

    /// The columns of children that children of theirs hold.
    pub(crate) fn grandchild_reference(
        &mut self,
        parent: &Children,
        children: &Children,
    ) -> Option<Vec<String>> {
        let key = self.catalogue.primary_key(&parent.table);
        self.referred(&parent.table, children, &key)
    }

    pub(super) fn referred(
        &mut self,
        parent: &str,
        children: &Children,
        key: &[String],
    ) -> Option<Vec<String>> {
        let part = format!("with {}", children.table);
        self.table(&part, &children.table)?;
        let declared = children.references.as_ref();
        let referred = self.reference(parent, &children.table, &children.column, declared, key);
        let referred = self.noted(&part, referred)?;
        let fine = self.all_columns(&part, parent, &referred)
            & self.all_columns(&part, &children.table, children.column.names());
        fine.then_some(referred)
    }

    /// The columns of children to be set to NULL: those that may be.
    pub(crate) fn let_go(&mut self, children: &Children) -> Option<Vec<String>> {
        let nullable = children.column.names().iter().filter(|name| {
            let found = self.find(&children.table, name);
            found.is_some_and(|column| !column.not_null)
        });
        let nullable: Vec<String> = nullable.cloned().collect();
        if nullable.is_empty() {
            let part = format!("with {}", children.table);
            let text = format!(
                "`{}` is not null, so it cannot be set to NULL: leave `set_null` out, and the rows are deleted",
                children.column
            );
            self.refuse(&part, text);
            return None;
        }
        Some(nullable)
    }

    /// The new values of columns, an assignment each. None is in the key, which names a row before
    /// and after.
    pub(crate) fn set(
        &mut self,
        columns: &BTreeMap<String, Value>,
        of: &str,
        key: &[String],
    ) -> Option<String> {
        let table = &self.rule.table;
        let mut set = Vec::new();
        for (name, value) in columns {
            if !self.column("set", table, name) {
                continue;
            }
            if self.find(table, name)?.generated {
                self.refuse("set", format!("`{name}` is generated by the database"));
            }
            if key.iter().any(|key| T::is_same(key, name)) {
                self.refuse("set", in_key(name));
            }
            if let Value::Constant(literal) = value {
                T::label(self, "set", name, literal);
            }
            let value = T::value(self, "set", value, of, (table, name));
            set.extend(value.map(|value| format!("{} = {value}", identifier(name))));
        }
        let is_computed = |name: &str| {
            let found = self.find(table, name);
            found.is_none_or(|column| column.computed)
        };
        if self.rule.stays_true(T::is_same, is_computed) {
            self.refuse(
                "set",
                "the rule matches a row as before once it is set, so a run would never end: set a column of `only` or `due`",
            );
        }
        if !self.rule.changes.is_empty() {
            let changes = T::DIALECT.typed(&self.rule.changes);
            let changes = self.text("set", changes);
            // SQLite's names are in backticks there.
            let assigned =
                format!(", {}", changes.as_deref().unwrap_or_default()).replace('`', "\"");
            for name in key {
                if assigned.contains(&format!(", {} = ", identifier(name))) {
                    self.refuse("set", in_key(name));
                }
            }
            set.extend(changes);
        }
        Some(set.join(", "))
    }
}

/// The problem of a column that names the row before and after it is set.
fn in_key(column: &str) -> String {
    format!(
        "`{column}` is in the key, by which reports name the row: name a key that is not set with `key`"
    )
}
