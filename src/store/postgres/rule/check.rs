//! The check of a rule against its database.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::catalogue::{Catalogue, Table, create_index};
use super::failing_rows;
use super::overloads;
use super::plan::{Plan, Values};
use crate::rule::{Action, Children, Finding, Findings, HandOn, OnParent, Rule};
use crate::store::rule::{advice, identifier, table_name, without_lookups};
use crate::store::tx_error::{TxError, TxResult};

mod archive;
mod host;
mod keys;
mod parts;
mod published;
mod stamps;

/// Everything that is wrong with a rule or could be better. Where a row may fail the host's SQL,
/// those that do are looked for, in statements with this timeout.
pub(super) async fn findings(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    now: DateTime<Utc>,
    careful: Option<Duration>,
) -> TxResult<Findings> {
    let catalogue = overloads::read(conn, rule).await?;
    let mut findings = Findings::default();
    // Without privileges no row can be read.
    privileges(rule, &catalogue, &mut findings);
    sequences(rule, &catalogue, &mut findings);
    let lacks = !findings.refused.is_empty();
    parts::parts(conn, rule, &catalogue, &mut findings).await?;
    archive::archive(conn, rule, &catalogue, &mut findings).await?;
    let knows_zones = stamps::zones(conn, rule, &mut findings).await?;
    if !lacks {
        stamps::stamps(conn, rule, &catalogue, &mut findings).await?;
    }
    keys::foreign_keys(rule, &catalogue, &mut findings);
    published::published(conn, rule, &catalogue, &mut findings).await?;
    match Plan::compile(rule, &catalogue, false, careful.is_some()) {
        Err(refused) => findings.refused.splice(0..0, refused).for_each(drop),
        Ok(_) if lacks || !knows_zones => {}
        Ok(mut plan) => {
            if let Some(timeout) = careful {
                let failing = failing_rows::find(conn, &plan, timeout, None).await?;
                findings.advice.extend(advice(rule, &failing.reasons));
                plan.failing = Arc::new(failing);
            }
            look(conn, rule, &catalogue, &plan, now, &mut findings).await?;
        }
    }
    Ok(findings)
}

/// Checks that read rows and plans, once the rule compiles.
async fn look(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    plan: &Plan,
    now: DateTime<Utc>,
    findings: &mut Findings,
) -> QueryResult<()> {
    let cutoff = crate::time::before(now, plan.after);
    let values = Values {
        limit: 1_000,
        ..Values::at(now, cutoff)
    };
    let write = if rule.asks_others() {
        &plan.write
    } else {
        plan.sweep.get(&values)
    };
    let statements = plan.then.iter().map(|then| ("then", then));
    for (part, statement) in [("statement", write)].into_iter().chain(statements) {
        let statement = statement.inline(|name| plan.value(name, &values));
        // A part that was refused by itself makes the whole fail.
        if let Some(problem) = parts::refused(conn, &statement).await? {
            if findings.refused.is_empty() {
                let finding = Finding::new(&rule.name, part, problem);
                findings.refused.push(finding);
            }
            return Ok(());
        }
    }
    if let Some(lag) = &plan.lag {
        let lag: i64 = lag
            .bind::<BigInt>(|name| plan.value(name, &values))
            .get_result(conn)
            .await?;
        if let Some(problem) = TxError::lag_problem(plan.after, lag) {
            findings
                .refused
                .push(Finding::new(&rule.name, "active", problem));
        }
    }
    if findings.refused.is_empty() {
        host::constraints(conn, rule, catalogue, plan, &values, findings).await?;
    }
    host::triggers(conn, rule, catalogue, findings).await?;
    if let Some(table) = catalogue
        .tables
        .get(&rule.table)
        .filter(|table| table.has_parts)
    {
        let what = if table.relkind == "p" {
            "partitions"
        } else {
            "tables that inherit from it"
        };
        let text = format!(
            "`{}` has {what}, so a batch looks into each of them",
            rule.table
        );
        findings
            .advice
            .push(Finding::new(&rule.name, "table", text));
    }
    let lines = explain(
        conn,
        &plan
            .preview
            .get(&values)
            .inline(|name| plan.value(name, &values)),
    )
    .await?;
    if !is_served(&lines) && !serves_alone(conn, rule, catalogue, now).await? {
        let order = &plan.order;
        // An index names its columns without their table.
        let bare = order.replace(
            &format!("{}.", identifier(crate::rule::bare_name(&rule.table))),
            "",
        );
        let bare = if bare.starts_with('"') {
            bare
        } else {
            format!("({bare})")
        };
        let finding = Finding::new(
            &rule.name,
            "due",
            "no index serves the order in which rows fall due, so each batch reads the whole table",
        );
        let lasting = !order.to_uppercase().contains("SELECT");
        findings.advice.push(if lasting {
            let table = catalogue.tables.get(&rule.table);
            let create = create_index(table.is_some_and(Table::is_partitioned));
            finding.mend(format!("{create} on {} ({bare})", table_name(&rule.table)))
        } else {
            finding
        });
    }
    keys::lookups(conn, rule, catalogue, findings).await?;
    backlog(conn, rule, plan, &values, findings).await
}

/// Whether an index serves the order, and only a look at another table is not served.
async fn serves_alone(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    match Plan::compile(&without_lookups(rule), catalogue, false, false) {
        Ok(plan) => has_index(conn, &plan, now).await,
        Err(_) => Ok(false),
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    text: String,
}

async fn explain(conn: &mut AsyncPgConnection, statement: &str) -> QueryResult<Vec<String>> {
    let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN (COSTS OFF) {statement}"))
        .load(conn)
        .await?;
    Ok(lines.into_iter().map(|line| line.text).collect())
}

/// Whether a plan takes its rows in order from an index, but for ties.
pub(super) fn is_served(plan: &[String]) -> bool {
    let count = |what: &str| plan.iter().filter(|line| line.contains(what)).count();
    count("Sort Key:") == count("Presorted Key:") && count("Seq Scan") == 0
}

/// Whether an index leads to the rows of a rule in their order.
pub(super) async fn has_index(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let values = Values {
        limit: 1_000,
        ..Values::at(now, crate::time::before(now, plan.after))
    };
    let statement = plan
        .preview
        .get(&values)
        .inline(|name| plan.value(name, &values));
    Ok(is_served(&explain(conn, &statement).await?))
}

/// Privileges needed on children, as part, table and privileges.
fn below<'r>(
    all: &'r [Children],
    needed: &mut Vec<(&'static str, &'r str, &'static [&'static str])>,
) {
    for children in all {
        let privileges: &[&str] = match children.action {
            OnParent::Delete => &["select", "delete"],
            OnParent::SetNull => &["select", "update"],
        };
        needed.push(("with", &children.table, privileges));
        needed.extend(
            children
                .hand_on
                .iter()
                .filter_map(HandOn::table)
                .map(|table| ("hand_on", table, &["insert"][..])),
        );
        below(&children.with, needed);
    }
}

fn privileges(rule: &Rule, catalogue: &Catalogue, findings: &mut Findings) {
    let grantee = identifier(&catalogue.role);
    for schema in &catalogue.closed {
        let text = format!("this role lacks usage on schema `{schema}`");
        let finding = Finding::new(&rule.name, "table", text);
        let schema = identifier(schema);
        findings
            .refused
            .push(finding.mend(format!("grant usage on schema {schema} to {grantee}")));
    }
    if !catalogue.closed.is_empty() {
        return;
    }
    // A row is locked only by who may update it.
    let own: &[&str] = match &rule.action {
        Some(Action::Set(_)) => &["select", "update"],
        _ => &["select", "update", "delete"],
    };
    let mut needed = vec![("table", rule.table.as_str(), own)];
    let read = [
        ("when", &rule.when),
        ("unless", &rule.unless),
        ("keeps", &rule.keeps),
    ];
    for (part, all) in read {
        needed.extend(
            all.iter()
                .map(|related| (part, related.table.as_str(), &["select"][..])),
        );
    }
    if let Some(activity) = &rule.active {
        needed.push(("active", &activity.table, &["select"]));
        // Locked, as the rule's own rows are.
        let through = activity.through.iter();
        needed
            .extend(through.map(|through| ("active", &*through.table, &["select", "update"][..])));
    }
    below(&rule.with, &mut needed);
    needed.extend(
        rule.hand_on
            .iter()
            .filter_map(HandOn::table)
            .map(|table| ("hand_on", table, &["insert"][..])),
    );
    if let Some(Action::Archive(archive)) = &rule.action {
        needed.push(("archive", &archive.into, &["insert"]));
    }
    for (part, name, privileges) in needed {
        let Some(table) = catalogue.tables.get(name) else {
            continue;
        };
        let is_own = part == "table";
        let lacks_rows = table.missing_privileges.ends_with(",rows");
        let lacks = |privilege: &&str| match *privilege {
            // Rows are found by their place.
            "select" if is_own && lacks_rows => true,
            "update" if is_own && !updates(rule, table) => true,
            privilege => table
                .missing_privileges
                .split(',')
                .any(|one| one == privilege),
        };
        let missing: Vec<&str> = privileges
            .iter()
            .copied()
            .filter(|one| lacks(one))
            .collect();
        if !missing.is_empty() {
            let list = missing.join(", ");
            let finding = Finding::new(
                &rule.name,
                part,
                format!("this role lacks {list} on `{name}`"),
            );
            findings
                .refused
                .push(finding.mend(format!("grant {list} on {} to {grantee}", table_name(name))));
        }
        let mut hidden = table.hidden_from.split(',');
        if hidden.any(|privilege| privileges.contains(&privilege)) {
            let text = format!(
                "row security hides rows of `{name}` from this role; use one that bypasses it"
            );
            findings.refused.push(Finding::new(&rule.name, part, text));
        }
    }
}

/// Whether this role may update the columns that a rule sets.
fn updates(rule: &Rule, own: &Table) -> bool {
    let set = match &rule.action {
        Some(Action::Set(columns)) => columns.keys(),
        _ => return true,
    };
    let mut found = set.filter_map(|name| own.column(name));
    found.all(|column| column.updates)
}

/// Sequences that number the rows of a queue, without a privilege on them.
fn sequences(rule: &Rule, catalogue: &Catalogue, findings: &mut Findings) {
    for hand_on in rule.handings() {
        let table = hand_on.table().and_then(|name| catalogue.tables.get(name));
        let columns = table.into_iter().flat_map(|table| &table.columns);
        for column in columns.filter(|column| !hand_on.columns.contains_key(&column.name)) {
            let Some(sequence) = &column.locked_sequence else {
                continue;
            };
            let text = format!(
                "this role lacks usage on `{sequence}`, which numbers `{}`",
                column.name
            );
            let grantee = identifier(&catalogue.role);
            let finding = Finding::new(&rule.name, hand_on.part(), text);
            let mend = format!("grant usage on sequence {sequence} to {grantee}");
            findings.refused.push(finding.mend(mend));
        }
    }
}

#[derive(QueryableByName)]
struct Largest {
    #[diesel(sql_type = Nullable<BigInt>)]
    largest: Option<i64>,
}

async fn backlog(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    plan: &Plan,
    values: &Values<'_>,
    findings: &mut Findings,
) -> QueryResult<()> {
    if rule.expect_backlog {
        return Ok(());
    }
    let due = super::queries::count(conn, plan, values).await?;
    let Largest { largest: rows } = diesel::sql_query(format!(
        "SELECT count(*) AS largest FROM (SELECT 1 FROM {} LIMIT {}) AS sample",
        table_name(&rule.table),
        2 * crate::job::BoundedCount::CAP
    ))
    .get_result(conn)
    .await?;
    let rows = rows.unwrap_or(0).unsigned_abs();
    let is_most = if due.capped {
        let most = plan.most_of_sample.inline(|name| plan.value(name, values));
        parts::refusal(conn, &most).await?.0 == Some(true)
    } else {
        due.count * 2 > rows
    };
    if rows >= 1_000 && is_most {
        let text = format!(
            "{due} rows are due, which is most of the table; `expect_backlog` says that this is meant"
        );
        findings.advice.push(Finding::new(&rule.name, "due", text));
    }
    Ok(())
}
