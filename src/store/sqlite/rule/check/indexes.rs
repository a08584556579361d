//! Indexes that a rule lacks.

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Bool, Integer, Text};

use super::super::catalogue::Catalogue;
use super::super::keys;
use super::super::plan::{Plan, Values};
use crate::rule::{Finding, Findings, Rule, bare_name, split_name};
use crate::store::rule::{
    Bind, Compiler, Dialect, Template, identifier, quoted_list, table_name, without_lookups,
};

/// The words of the steps of a statement.
fn explain(
    conn: &mut SqliteConnection,
    statement: &Template,
    value: impl Fn(&str) -> Bind,
) -> QueryResult<Vec<String>> {
    let steps: Vec<(i32, i32, i32, String)> = statement
        .prefixed("EXPLAIN QUERY PLAN ")
        .bind::<(Integer, Integer, Integer, Text)>(value)
        .load(conn)?;
    Ok(steps.into_iter().map(|step| step.3).collect())
}

/// The steps of a preview, if they sort its rows.
fn sorted(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<Option<Vec<String>>> {
    let preview = plan.preview.get(values);
    let steps = explain(conn, preview, |name| plan.value(name, values))?;
    let sorts = steps
        .iter()
        .any(|step| step == "USE TEMP B-TREE FOR ORDER BY");
    Ok(sorts.then_some(steps))
}

/// Advises of an index for the order of rows. One that begins with what `only` says serves both.
pub(super) fn order(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    plan: &Plan,
    values: &Values<'_>,
    findings: &mut Findings,
) -> QueryResult<()> {
    let Some(steps) = sorted(conn, plan, values)? else {
        return Ok(());
    };
    let alone = Rule {
        only: None,
        ..without_lookups(rule)
    };
    let is_served_alone = match Plan::compile(&alone, catalogue, false, None) {
        Ok(plan) => sorted(conn, &plan, values)?.is_none(),
        Err(_) => false,
    };
    let by_another = steps.first().is_some_and(|step| step.starts_with("SEARCH"));
    let only = rule.only.as_ref().filter(|_| by_another || is_served_alone);
    let mut columns: Vec<String> = only.map_or(Vec::new(), |only| {
        only.fixed().into_iter().map(identifier).collect()
    });
    let (table, bare) = (table_name(&rule.table), bare_name(&rule.table));
    let finding = |text| Finding::new(&rule.name, "due", text);
    if is_served_alone && columns.is_empty() {
        // The planner chose with statistics, or for want of them.
        if !is_analyzed(conn, rule)? {
            let text = "an index serves the order in which rows fall due, but the planner does not choose it without statistics";
            let analyze = finding(text).mend(format!("analyze {table}"));
            findings.advice.push(analyze);
        }
        return Ok(());
    }
    let finding = finding(if columns.is_empty() {
        "no index serves the order in which rows fall due, so each batch reads the whole table"
    } else {
        "no index serves both `only` and the order in which rows fall due, so each batch sorts what `only` leaves"
    });
    let name = if columns.is_empty() {
        "due"
    } else {
        "only_due"
    };
    columns.push(plan.order.replace(&format!("{}.", identifier(bare)), ""));
    let (stem, columns) = (format!("{bare}_{name}"), columns.join(", "));
    let finding = mended(conn, finding, split_name(&rule.table), &stem, &columns)?;
    findings.advice.push(finding);
    Ok(())
}

/// The finding with the statement that makes an index, if SQLite takes it. The name of the index is
/// a free one.
pub(super) fn mended(
    conn: &mut SqliteConnection,
    finding: Finding,
    (schema, table): (Option<&str>, &str),
    stem: &str,
    columns: &str,
) -> QueryResult<Finding> {
    let schema = schema.map_or(String::new(), |schema| format!("{}.", identifier(schema)));
    for number in 1..=9 {
        let name = if number == 1 {
            identifier(stem)
        } else {
            identifier(&format!("{stem}_{number}"))
        };
        let create = format!(
            "create index {schema}{name} on {} ({columns})",
            identifier(table)
        );
        match diesel::sql_query(format!("EXPLAIN {create}")).execute(conn) {
            Ok(_) => return Ok(finding.mend(create)),
            Err(Error::DatabaseError(_, info)) if info.message().contains("already ") => {}
            // No index takes a subquery, or a function that is not deterministic.
            Err(Error::DatabaseError(..)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(finding)
}

/// Whether the planner has statistics of a table, or the table has no rows for any.
fn is_analyzed(conn: &mut SqliteConnection, rule: &Rule) -> QueryResult<bool> {
    let mut holds = |rows: &str| {
        diesel::select(diesel::dsl::sql::<Bool>(&format!(
            "EXISTS (SELECT 1 FROM {rows})"
        )))
        .get_result::<bool>(conn)
    };
    let name = Dialect::Sqlite.text(bare_name(&rule.table));
    Ok(!holds(&table_name(&rule.table))?
        || holds("sqlite_master WHERE name = 'sqlite_stat1'")?
            && holds(&format!("sqlite_stat1 WHERE tbl = {name} COLLATE NOCASE"))?)
}

/// Advises of indexes for the looks at other tables.
pub(super) fn lookups(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let rows = format!(
        "FROM {} AS {}",
        table_name(&rule.table),
        identifier(bare_name(&rule.table))
    );
    for lookup in Compiler::new(rule, catalogue, false, false).lookups() {
        let mut reads_all = true;
        for condition in &lookup.conditions {
            let explained = Template::new(&format!("SELECT {condition} {rows}"));
            let steps = explain(conn, &explained, |_| Bind::Null)?;
            // The first reads the rule's own rows.
            let mut others = steps.iter().skip(1);
            reads_all &= others.any(|step| step.starts_with("SCAN") || step.contains("AUTOMATIC"));
        }
        if !reads_all {
            continue;
        }
        let (table, columns) = (lookup.table, lookup.columns.names());
        let advice = if keys::is_indexed(conn, &table_name(table), columns)? {
            lookup.advise_of_types(rule)
        } else {
            let stem = format!("{}_{}", bare_name(table), columns.join("_"));
            let columns = quoted_list(columns);
            mended(
                conn,
                lookup.advise(rule),
                split_name(table),
                &stem,
                &columns,
            )?
        };
        findings.advise_once(Some(advice));
    }
    Ok(())
}
