//! Foreign keys that keep rows, and keys without an index.

use crate::rule::{Action, Columns, Finding, Findings, OnParent, Rule};
use crate::store::postgres::rule::catalogue::{Catalogue, Reference};
use crate::store::rule::overlap;

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
            findings.advice.push(
                Finding::new(&rule.name, "with", text).mend(key.mend("create index concurrently")),
            );
        }
    }
}
