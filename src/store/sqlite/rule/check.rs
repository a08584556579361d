//! The check of a rule against its database.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};

use super::catalogue::{self, Catalogue};
use super::plan::{Plan, Values};
use super::probe::FailingRow;
use super::queries;
use crate::rule::{Action, Columns, Finding, Findings, Rule, bare_name};
use crate::store::rule::{Compiler, advice, identifier, overlap, table_name};
use crate::store::tx_error::{TxError, TxResult};

mod constants;
mod parts;

/// Everything that is wrong with a rule or could be better.
pub(super) fn findings(
    conn: &mut SqliteConnection,
    rule: &Rule,
    now: DateTime<Utc>,
    failing: Option<&[FailingRow]>,
) -> TxResult<Findings> {
    let mut catalogue = catalogue::read(conn, rule)?;
    catalogue::look(conn, rule, &mut catalogue)?;
    let mut findings = Findings::default();
    parts::parts(conn, rule, &catalogue, &mut findings)?;
    let reasons: Vec<&str> = failing
        .iter()
        .flat_map(|rows| rows.iter().map(|row| &*row.1))
        .collect();
    findings.advice.extend(advice(rule, &reasons));
    match Plan::compile(rule, &catalogue, false, failing) {
        Err(refused) => findings.refused.splice(0..0, refused).for_each(drop),
        Ok(plan) => look(conn, rule, &catalogue, &plan, now, &mut findings)?,
    }
    if !matches!(rule.action, Some(Action::Set(_))) {
        foreign_keys(rule, &catalogue, &mut findings);
    }
    if findings.refused.is_empty() {
        lookups(conn, rule, &catalogue, &mut findings)?;
    }
    Ok(findings)
}

/// Checks that read rows and plans, once the rule compiles.
fn look(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    plan: &Plan,
    now: DateTime<Utc>,
    findings: &mut Findings,
) -> QueryResult<()> {
    let values = Values {
        limit: 1_000,
        ..Values::at(now, crate::time::before(now, plan.after))
    };
    // Only what is prepared is known to parse.
    let templates = plan.steps.iter().map(|step| &step.template);
    for template in templates.chain(&plan.then).chain([plan.judge.get(&values)]) {
        let explained = template.prefixed("EXPLAIN ");
        let prepared = explained
            .bind::<BigInt>(|name| plan.value(name, &values))
            .execute(conn);
        match prepared {
            // A part that was refused by itself makes the whole fail.
            Err(diesel::result::Error::DatabaseError(..)) if !findings.refused.is_empty() => {
                return Ok(());
            }
            Err(diesel::result::Error::DatabaseError(_, info)) => {
                let finding = Finding::new(&rule.name, "statement", info.message());
                findings.refused.push(finding);
                return Ok(());
            }
            prepared => prepared?,
        };
    }
    if findings.refused.is_empty() {
        constants::constraints(conn, rule, catalogue, plan, &values, findings)?;
    }
    if let Some(lag) = &plan.lag {
        let lag: i64 = lag
            .bind::<BigInt>(|name| plan.value(name, &values))
            .get_result(conn)?;
        if let Some(problem) = TxError::lag_problem(plan.after, lag) {
            let finding = Finding::new(&rule.name, "active", problem);
            findings.refused.push(finding);
        }
    }
    let steps: Vec<Step> = plan
        .preview
        .get(&values)
        .prefixed("EXPLAIN QUERY PLAN ")
        .bind::<(Integer, Integer, Integer, Text)>(|name| plan.value(name, &values))
        .load(conn)?;
    if steps
        .iter()
        .any(|step| step.3 == "USE TEMP B-TREE FOR ORDER BY")
    {
        let bare = plan
            .order
            .replace(&format!("{}.", identifier(bare_name(&rule.table))), "");
        let text =
            "no index serves the order in which rows fall due, so each batch reads the whole table";
        let finding = Finding::new(&rule.name, "due", text);
        let name = identifier(&format!("{}_due", bare_name(&rule.table)));
        findings.advice.push(if plan.order.contains("SELECT") {
            finding
        } else {
            finding.mend(format!(
                "create index {name} on {} ({bare})",
                table_name(&rule.table)
            ))
        });
    }
    let own = catalogue.tables.get(&rule.table);
    null_keys(conn, rule, catalogue, plan, findings)?;
    if own.is_some_and(|table| table.without_rowid) {
        let text = format!(
            "`{}` is WITHOUT ROWID, so its rows are written one by one",
            rule.table
        );
        findings
            .advice
            .push(Finding::new(&rule.name, "table", text));
    }
    if !rule.expect_backlog {
        let due = queries::count(conn, plan, &values)?;
        let Counted { rows } = diesel::sql_query(format!(
            "SELECT count(*) AS rows FROM (SELECT 1 FROM {} LIMIT {})",
            table_name(&rule.table),
            2 * crate::job::BoundedCount::CAP
        ))
        .get_result(conn)?;
        if rows >= 1_000 && due.count * 2 > rows.unsigned_abs() {
            let text = format!(
                "{due} rows are due, which is most of the table; `expect_backlog` says that this is meant"
            );
            findings.advice.push(Finding::new(&rule.name, "due", text));
        }
    }
    Ok(())
}

/// Names columns of the key that are NULL in some rows, which SQLite allows in a primary key.
fn null_keys(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    plan: &Plan,
    findings: &mut Findings,
) -> QueryResult<()> {
    let own = catalogue.tables.get(&rule.table);
    for name in own.map_or(Vec::new(), |table| table.nullable(&plan.key_names)) {
        let Counted { rows } = diesel::sql_query(format!(
            "SELECT count(*) AS rows FROM (SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1)",
            table_name(&rule.table),
            identifier(&name)
        ))
        .get_result(conn)?;
        if rows > 0 {
            let text = format!(
                "`{name}` is NULL in some rows, which it does not distinguish; they are left alone: name another key with `key`"
            );
            findings.advice.push(Finding::new(&rule.name, "key", text));
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// A step of a plan: its number, that of the step above it, one that is not used, and its words.
type Step = (i32, i32, i32, String);

/// Advises of indexes for the looks at other tables.
fn lookups(
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
            let explained = format!("EXPLAIN QUERY PLAN SELECT {condition} {rows}");
            let steps: Vec<Step> =
                diesel::dsl::sql::<(Integer, Integer, Integer, Text)>(&explained).load(conn)?;
            // The first reads the rule's own rows.
            let mut others = steps.iter().map(|step| &*step.3).skip(1);
            reads_all &= others.any(|step| step.starts_with("SCAN") || step.contains("AUTOMATIC"));
        }
        findings.advise_once(reads_all.then(|| lookup.advise(rule, "create index")));
    }
    Ok(())
}

fn foreign_keys(rule: &Rule, catalogue: &Catalogue, findings: &mut Findings) {
    for (name, table) in &catalogue.tables {
        for key in &table.pointed_at_by {
            let is = |table: &str, columns: &Columns| {
                bare_name(table).eq_ignore_ascii_case(&key.table)
                    && overlap::<Catalogue>(columns.names(), &key.columns)
            };
            let unless = rule.unless.iter().filter(|related| related.only.is_none());
            let declared = rule.with.iter().any(|one| is(&one.table, &one.column))
                || rule
                    .keeps
                    .iter()
                    .chain(unless)
                    .any(|one| is(&one.table, &one.column));
            let place = key.place();
            if *name == rule.table && key.refuses() && !declared && !rule.keeps_referenced {
                let text = format!(
                    "the foreign key {place} keeps rows from going: declare it `with` (they go along) or `keeps` (such rows stay and are reported)"
                );
                findings
                    .refused
                    .push(Finding::new(&rule.name, "with", text));
            }
            if !key.indexed {
                let text = format!(
                    "{place} has no index, so its whole table is read for each row deleted from {}",
                    key.parent
                );
                let finding = Finding::new(&rule.name, "with", text);
                findings.advice.push(finding.mend(key.mend("create index")));
            }
        }
    }
}
