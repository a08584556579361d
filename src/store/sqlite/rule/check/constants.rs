//! Whether rows take what the action sets, tried on copies in memory.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::super::catalogue::{Catalogue, Table};
use super::super::host_text::HostText;
use super::super::plan::{Plan, Values};
use crate::rule::{Action, Finding, Findings, Rule, split_name};
use crate::store::rule::{Dialect, chained, identifier, table_name};

#[derive(QueryableByName)]
struct Statement {
    #[diesel(sql_type = Text)]
    sql: HostText,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Constants of another type than a STRICT table has, which are found without a row.
pub(super) fn types(
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let Ok(mut memory) = SqliteConnection::establish(":memory:") else {
        return Ok(());
    };
    for one in rule.assignments() {
        let table = catalogue.tables.get(one.table);
        let Some(table) = table.filter(|table| table.strict) else {
            continue;
        };
        let (Some(column), Some(literal)) = (table.column(one.column), one.literal) else {
            continue;
        };
        let name = identifier(one.column);
        memory.batch_execute(&format!(
            "DROP TABLE IF EXISTS probe; CREATE TABLE probe ({name} {}) STRICT",
            column.kind
        ))?;
        let literal = Dialect::Sqlite.literal(literal);
        let tried = memory.batch_execute(&format!("INSERT INTO probe VALUES ({literal})"));
        if tried.is_err() {
            let kind = &column.kind;
            let text = format!(
                "`{}` is `{kind}` in a STRICT table, and gets {literal}",
                one.column
            );
            let finding = Finding::new(&rule.name, one.part, text);
            findings.refused.push(finding);
        }
    }
    Ok(())
}

/// Constraints that hold for no due row once it is set. Without due rows, those that hold for no
/// row are only advice.
pub(super) fn constraints(
    conn: &mut SqliteConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    plan: &Plan,
    values: &Values<'_>,
    findings: &mut Findings,
) -> QueryResult<()> {
    let table = catalogue.tables.get(&rule.table);
    let (Some(Action::Set(_)), Some(table), false) = (&rule.action, table, plan.without_rowid)
    else {
        return Ok(());
    };
    let values = Values {
        limit: SAMPLE,
        ..values.clone()
    };
    let mut rows: Vec<i64> = plan
        .addresses
        .get(&values)
        .bind::<BigInt>(|name| plan.value(name, &values))
        .load(conn)?;
    let are_due = !rows.is_empty();
    if !are_due {
        let any = format!(
            "SELECT _rowid_ AS number FROM {} LIMIT {SAMPLE}",
            table_name(&rule.table)
        );
        let found: Vec<Number> = diesel::sql_query(any).load(conn)?;
        rows = found.into_iter().map(|row| row.number).collect();
    }
    let Some(mut memory) = copy(conn, rule, table, &rows)? else {
        return Ok(());
    };
    let copies: Vec<Number> = diesel::sql_query(format!(
        "SELECT _rowid_ AS number FROM {}",
        identifier(split_name(&rule.table).1)
    ))
    .load(&mut memory)?;
    let mut problem = None;
    for copy in &copies {
        let address = format!("[{}]", copy.number);
        let values = Values {
            rows: &address,
            ..values.clone()
        };
        for step in plan.steps.iter().filter(|step| step.kind == Some(0)) {
            let tried = step
                .template
                .bind::<BigInt>(|name| plan.value(name, &values))
                .execute(&mut memory);
            match tried {
                Err(diesel::result::Error::DatabaseError(_, info))
                    if is_constraint(info.message()) =>
                {
                    problem = Some(info.message().to_owned());
                }
                // One row that takes it is enough; any other error is of the copy.
                _ => return Ok(()),
            }
        }
    }
    if let Some(problem) = problem {
        let which = if are_due { "due row" } else { "row" };
        let text = format!("no {which} takes what is set: {problem}");
        let finding = Finding::new(&rule.name, "set", text);
        if are_due {
            findings.refused.push(finding);
        } else {
            findings.advice.push(finding);
        }
    }
    Ok(())
}

/// The table with these rows, in memory, if it can be made there.
fn copy(
    conn: &mut SqliteConnection,
    rule: &Rule,
    table: &Table,
    rows: &[i64],
) -> QueryResult<Option<SqliteConnection>> {
    let (schema, bare) = split_name(&rule.table);
    let made: Option<Statement> = diesel::sql_query(format!(
        "SELECT sql FROM {}.sqlite_master WHERE type = 'table' AND lower(name) = lower(?)",
        identifier(schema.unwrap_or("main"))
    ))
    .bind::<Text, _>(bare)
    .get_result(conn)
    .optional()?;
    let columns: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.hidden == 0)
        .map(|column| identifier(&column.name))
        .collect();
    let quoted: Vec<String> = columns
        .iter()
        .map(|name| format!("quote({name})"))
        .collect();
    let addresses: Vec<String> = rows.iter().map(i64::to_string).collect();
    let inserts: Vec<Statement> = diesel::sql_query(format!(
        "SELECT 'INSERT INTO {} ({}) VALUES (' || {} || ')' AS sql FROM {} WHERE _rowid_ IN ({})",
        identifier(bare).replace('\'', "''"),
        columns.join(", ").replace('\'', "''"),
        chained(&quoted, " || ', ' || "),
        table_name(&rule.table),
        addresses.join(", ")
    ))
    .load(conn)?;
    let (Some(made), Ok(mut memory)) = (made, SqliteConnection::establish(":memory:")) else {
        return Ok(None);
    };
    memory.batch_execute("PRAGMA foreign_keys = OFF")?;
    // The host's function, collation or default may be missing here.
    if memory.batch_execute(&made.sql.0).is_err() {
        return Ok(None);
    }
    for insert in inserts {
        if memory.batch_execute(&insert.sql.0).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(memory))
}

fn is_constraint(problem: &str) -> bool {
    problem.starts_with("CHECK constraint failed")
        || problem.starts_with("NOT NULL constraint failed")
        || problem.starts_with("cannot store")
}

/// Rows that are tried.
const SAMPLE: i64 = 20;
