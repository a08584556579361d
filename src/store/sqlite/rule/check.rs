//! The check of a rule against its database.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::catalogue::{self, Catalogue};
use super::plan::{Plan, Values};
use super::queries;
use crate::rule::{Action, Finding, Findings, Rule, bare_name};
use crate::store::rule::{identifier, table_name};
use crate::store::tx_error::TxResult;

/// Everything that is wrong with a rule or could be better.
pub(super) fn findings(
    conn: &mut SqliteConnection,
    rule: &Rule,
    now: DateTime<Utc>,
) -> TxResult<Findings> {
    let mut catalogue = catalogue::read(conn, rule)?;
    catalogue::look(conn, rule, &mut catalogue)?;
    let mut findings = Findings::default();
    match Plan::compile(rule, &catalogue) {
        Err(refused) => findings.refused = refused,
        Ok(plan) => look(conn, rule, &catalogue, &plan, now, &mut findings)?,
    }
    if !matches!(rule.action, Some(Action::Set(_))) {
        foreign_keys(conn, rule, &mut findings)?;
    }
    Ok(findings)
}

/// What takes a look at rows and plans, once the rule can be compiled.
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
            Err(diesel::result::Error::DatabaseError(_, info)) => {
                let finding = Finding::new(&rule.name, "statement", info.message());
                findings.refused.push(finding);
                return Ok(());
            }
            prepared => prepared?,
        };
    }
    let steps: Vec<(i32, i32, i32, String)> = plan
        .preview
        .get(&values)
        .prefixed("EXPLAIN QUERY PLAN ")
        .bind::<(
            diesel::sql_types::Integer,
            diesel::sql_types::Integer,
            diesel::sql_types::Integer,
            Text,
        )>(|name| plan.value(name, &values))
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

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = Text)]
    column: String,
    #[diesel(sql_type = Text)]
    on_delete: String,
    #[diesel(sql_type = BigInt)]
    indexed: i64,
}

fn foreign_keys(
    conn: &mut SqliteConnection,
    rule: &Rule,
    findings: &mut Findings,
) -> QueryResult<()> {
    let keys: Vec<ForeignKey> = diesel::sql_query(FOREIGN_KEYS)
        .bind::<Text, _>(bare_name(&rule.table))
        .load(conn)?;
    for key in keys {
        let place = format!("{}.{}", key.holder, key.column);
        let is = |table: &str, column: &str| {
            bare_name(table).eq_ignore_ascii_case(&key.holder)
                && column.eq_ignore_ascii_case(&key.column)
        };
        let unless = rule.unless.iter().filter(|related| related.only.is_none());
        let declared = rule.with.iter().any(|one| is(&one.table, &one.column))
            || rule
                .keeps
                .iter()
                .chain(unless)
                .any(|one| is(&one.table, &one.column));
        let refuses = matches!(key.on_delete.as_str(), "NO ACTION" | "RESTRICT");
        if refuses && !declared {
            let text = format!(
                "the foreign key {place} keeps rows from going: declare it `with` (they go along) or `keeps` (such rows stay and are reported)"
            );
            findings
                .refused
                .push(Finding::new(&rule.name, "with", text));
        }
        if key.indexed == 0 {
            let text =
                format!("{place} has no index, so its whole table is read for each row that goes");
            let name = identifier(&format!("{}_{}", key.holder, key.column));
            let mend = format!(
                "create index {name} on {} ({})",
                identifier(&key.holder),
                identifier(&key.column)
            );
            findings
                .advice
                .push(Finding::new(&rule.name, "with", text).mend(mend));
        }
    }
    Ok(())
}

/// Keys that point at a table, by their first column.
const FOREIGN_KEYS: &str = "
    SELECT holder.name AS holder, key.\"from\" AS column, key.on_delete AS on_delete,
        EXISTS (SELECT 1 FROM pragma_index_list(holder.name) AS one, pragma_index_info(one.name) AS member
            WHERE member.seqno = 0 AND member.name = key.\"from\")
        OR EXISTS (SELECT 1 FROM pragma_table_info(holder.name) AS own WHERE own.pk = 1 AND own.name = key.\"from\") AS indexed
    FROM sqlite_master AS holder, pragma_foreign_key_list(holder.name) AS key
    WHERE holder.type = 'table' AND key.seq = 0 AND lower(key.\"table\") = lower(?)
    ORDER BY holder.name, key.id";
