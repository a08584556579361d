//! Foreign keys that keep rows, and keys without an index.

use diesel::prelude::*;
use diesel_async::AsyncPgConnection;

use super::explain;
use crate::rule::{Action, Columns, Finding, Findings, OnParent, Rule, bare_name};
use crate::store::postgres::rule::catalogue::{Catalogue, Reference, Table, create_index};
use crate::store::rule::{Compiler, identifier, index, overlap, table_name};

pub(super) fn foreign_keys(rule: &Rule, catalogue: &Catalogue, findings: &mut Findings) {
    let Some(own) = catalogue.tables.get(&rule.table) else {
        return;
    };
    if matches!(rule.action, Some(Action::Set(_))) {
        return;
    }
    let is = |name: &str, columns: &Columns, found: &Reference| {
        catalogue.oid(name) == Some(found.oid)
            && overlap::<Catalogue>(columns.names(), &found.key.columns)
    };
    for found in catalogue
        .foreign_keys
        .iter()
        .filter(|found| found.parent == own.oid)
    {
        let (key, place) = (&found.key, found.key.place());
        let unless = rule.unless.iter().filter(|related| related.only.is_none());
        let mut kept = rule.keeps.iter().chain(unless);
        let declared = rule
            .with
            .iter()
            .any(|children| is(&children.table, &children.column, found))
            || kept.any(|related| is(&related.table, &related.column, found));
        if key.refuses() && !declared && !rule.keeps_referenced {
            let text = format!(
                "the foreign key {place} keeps rows from going: declare it `with` (they go along) or `keeps` (such rows stay and are reported)"
            );
            findings
                .refused
                .push(Finding::new(&rule.name, "with", text));
        }
    }
    // Children that go have keys of their own to be looked up.
    let mut going = vec![own.oid];
    going.extend(
        rule.children()
            .into_iter()
            .filter(|children| children.action == OnParent::Delete)
            .filter_map(|children| Some(catalogue.tables.get(&children.table)?.oid)),
    );
    for found in &catalogue.foreign_keys {
        let key = &found.key;
        if !key.indexed && going.contains(&found.parent) {
            let text = format!(
                "{} has no index, so its whole table is read for each row deleted from {}",
                key.place(),
                key.parent
            );
            let finding = Finding::new(&rule.name, "with", text);
            findings
                .advice
                .push(finding.mend(key.mend(create_index(found.has_parts))));
        }
    }
}

/// Advises of indexes for the looks at other tables.
pub(super) async fn lookups(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    // A sample is read in a way of its own, and rows by themselves are looked up one by one.
    let rows = format!(
        "FROM {} AS {} TABLESAMPLE SYSTEM (1)",
        table_name(&rule.table),
        identifier(bare_name(&rule.table))
    );
    for lookup in Compiler::new(rule, catalogue, false, false).lookups() {
        let mut reads_all = true;
        for condition in &lookup.conditions {
            let open = condition.strip_suffix(')').unwrap_or(condition);
            let lines = explain(conn, &format!("SELECT {open} OFFSET 0) {rows}")).await?;
            reads_all &= lines.iter().any(|line| line.contains("Seq Scan"));
        }
        let table = catalogue.tables.get(lookup.table);
        let create = create_index(table.is_some_and(Table::is_partitioned));
        let statement = index(create, &table_name(lookup.table), lookup.columns.names());
        findings.advise_once(reads_all.then(|| lookup.advise(rule).mend(statement)));
    }
    Ok(())
}
