//! The check of a rule against its database.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::catalogue::{self, ADDRESS, Catalogue};
use super::plan::{Plan, Values};
use super::probe::FailingRow;
use super::queries;
use super::stamp::middle;
use crate::rule::{Action, Columns, Finding, Findings, Rule, bare_name, doubted};
use crate::store::rule::{advice, identifier, overlap, quoted_list, table_name};
use crate::store::tx_error::{TxError, TxResult};

mod constants;
mod indexes;
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
    for (part, instant) in rule.instants() {
        let sample = catalogue.samples.get(&instant.column);
        let doubt = sample
            .zip(instant.sqlite_stamp())
            .and_then(|(sample, stamp)| {
                let value = middle(&sample.values)?;
                doubted(&instant.column, value, sample.values.len(), stamp)
            });
        let doubt = doubt.map(|text| Finding::new(&rule.name, part, text));
        findings.advice.extend(doubt);
    }
    match Plan::compile(rule, &catalogue, false, failing) {
        Err(refused) => findings.refused.splice(0..0, refused).for_each(drop),
        Ok(plan) => look(conn, rule, &catalogue, &plan, now, &mut findings)?,
    }
    if !matches!(rule.action, Some(Action::Set(_))) {
        foreign_keys(conn, rule, &catalogue, &mut findings)?;
    }
    if findings.refused.is_empty() {
        indexes::lookups(conn, rule, &catalogue, &mut findings)?;
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
    indexes::order(conn, rule, catalogue, plan, &values, findings)?;
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
        let is_most = if due.capped {
            most_of_sample(conn, rule, plan, &values)?
        } else {
            due.count * 2 > rows.unsigned_abs()
        };
        if rows >= 1_000 && is_most {
            let text = format!(
                "{due} rows are due, which is most of the table; `expect_backlog` says that this is meant"
            );
            findings.advice.push(Finding::new(&rule.name, "due", text));
        }
    }
    Ok(())
}

/// Whether most rows at evenly spaced addresses are due.
fn most_of_sample(
    conn: &mut SqliteConnection,
    rule: &Rule,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<bool> {
    if plan.without_rowid {
        return Ok(false);
    }
    let table = table_name(&rule.table);
    let (count, rows) = diesel::dsl::sql::<(BigInt, Text)>(&format!(
        "WITH RECURSIVE point(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM point WHERE n < 999) \
         SELECT count(*), json_group_array(address) FROM (SELECT DISTINCT (SELECT {ADDRESS} FROM {table} \
             WHERE {ADDRESS} >= first + (last - first) / 999.0 * n ORDER BY {ADDRESS} LIMIT 1) AS address \
             FROM point, (SELECT min({ADDRESS}) AS first, max({ADDRESS}) AS last FROM {table})) WHERE address IS NOT NULL"
    ))
    .get_result::<(i64, String)>(conn)?;
    let values = Values {
        rows: &rows,
        ..values.clone()
    };
    let due: i64 = plan
        .still
        .get(&values)
        .bind::<BigInt>(|name| plan.value(name, &values))
        .get_result(conn)?;
    Ok(due * 2 > count)
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

fn foreign_keys(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let (_, minds) = catalogue::version(conn)?;
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
            if minds && !table.is_unique(&key.parent_columns) {
                let columns = quoted_list(&key.parent_columns);
                let text = format!(
                    "the foreign key {place} refers to ({columns}) of `{name}`, on which there is no unique index, so SQLite deletes no row of it"
                );
                // Instead of what SQLite says of it.
                let refused = &mut findings.refused;
                refused.retain(|one| !one.text.starts_with("foreign key mismatch"));
                refused.push(Finding::new(&rule.name, "with", text));
            }
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
                let stem = format!("{}_{}", key.table, key.columns.join("_"));
                let columns = quoted_list(&key.columns);
                let table = (key.schema.as_deref(), key.table.as_str());
                findings
                    .advice
                    .push(indexes::mended(conn, finding, table, &stem, &columns)?);
            }
        }
    }
    Ok(())
}
