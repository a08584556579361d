//! Each part of a rule, tried by itself, so that all that is wrong is named at once.

use diesel::prelude::*;
use diesel::result::DatabaseErrorInformation;
use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};

use super::super::catalogue::Catalogue;
use super::explain;
use crate::rule::{Filter, Finding, Findings, Rule, bare_name, called};
use crate::store::rule::{Dialect, Tables, identifier, table_name};

/// Tries expressions, the key and constants.
pub(super) async fn parts(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    for expression in rule.expressions() {
        let Ok(text) = Dialect::Postgres.sql(expression.sql) else {
            continue;
        };
        if !catalogue.tables.contains_key(expression.table) {
            continue;
        }
        // Which refuses an aggregate as well.
        let from = table_name(expression.table);
        let tried = format!("SELECT 1 FROM {from} WHERE ({text}) IS NULL");
        if let Some(problem) = problem(conn, &tried).await? {
            let finding = Finding::new(&rule.name, expression.part, problem);
            findings.refused.push(finding);
        } else if expression.decides {
            let found = volatile(conn, rule, &expression.part, &text).await?;
            findings.refused.extend(found);
        }
    }
    order(conn, rule, catalogue, findings).await?;
    conditions(conn, rule, catalogue, findings).await?;
    assignments(conn, rule, catalogue, findings).await
}

/// A key that no operator finds the place behind a row with.
async fn order(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let Some(own) = catalogue.tables.get(&rule.table) else {
        return Ok(());
    };
    let primary = catalogue.primary_key(&rule.table);
    let key = if rule.key.is_empty() {
        &primary
    } else {
        &rule.key
    };
    for name in key.iter().filter(|name| own.column(name).is_some()) {
        let column = identifier(name);
        let tried = format!(
            "SELECT {column} > {column} FROM {}",
            table_name(&rule.table)
        );
        if let Some(problem) = problem(conn, &tried).await? {
            let text = format!("`{name}` has no order for batches to go on in: {problem}");
            findings.refused.push(Finding::new(&rule.name, "key", text));
        }
    }
    Ok(())
}

/// Constants that are compared with a column of another type.
async fn conditions(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    for condition in rule.conditions() {
        let (Filter::Eq(name, _) | Filter::OneOf(name, _) | Filter::NoneOf(name, _)) =
            condition.leaf
        else {
            continue;
        };
        let Some(column) = catalogue
            .tables
            .get(condition.table)
            .and_then(|table| table.column(name))
        else {
            continue;
        };
        let of = identifier(bare_name(condition.table));
        // Labels of the rule's own table are compared when it is compiled.
        let is_named = condition.table == rule.table && !column.labels.is_empty();
        let Ok(text) = Dialect::Postgres.filter(condition.leaf, &of) else {
            continue;
        };
        let tried = format!("SELECT 1 FROM {} WHERE {text}", table_name(condition.table));
        if let Some(problem) = problem(conn, &tried).await?.filter(|_| !is_named) {
            let text = format!("`{name}` is `{}`: {problem}", column.cast);
            findings
                .refused
                .push(Finding::new(&rule.name, condition.part, text));
        }
    }
    Ok(())
}

/// Constants that are written into a column of another type, or NULL into one that is not null.
async fn assignments(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    for one in rule.assignments() {
        let Some(column) = catalogue
            .tables
            .get(one.table)
            .and_then(|table| table.column(one.column))
        else {
            continue;
        };
        let name = identifier(one.column);
        let text = match one.literal {
            None if column.not_null => format!("`{}` is not null, and is set to NULL", one.column),
            None => continue,
            // Named when the rule is compiled.
            Some(_) if !one.inserts && (column.generated || !column.labels.is_empty()) => continue,
            Some(literal) => {
                let (table, literal) = (table_name(one.table), Dialect::Postgres.literal(literal));
                let tried = if one.inserts {
                    format!("INSERT INTO {table} ({name}) SELECT {literal} WHERE false")
                } else {
                    format!("UPDATE {table} SET {name} = {literal} WHERE false")
                };
                let problem = match problem(conn, &tried).await? {
                    // A domain's content is checked only when it runs.
                    None if column.is_domain => {
                        let cast = format!("SELECT {literal}::{} IS NULL AS fails", column.cast);
                        refusal(conn, &cast).await?.1
                    }
                    problem => problem,
                };
                match problem {
                    Some(problem) => format!("`{}` is `{}`: {problem}", one.column, column.cast),
                    None => continue,
                }
            }
        };
        findings
            .refused
            .push(Finding::new(&rule.name, one.part, text));
    }
    Ok(())
}

/// Returns the database's reason why it does not take a statement, as [`refused`] does. Privileges
/// on tables are checked apart.
pub(super) async fn problem(
    conn: &mut AsyncPgConnection,
    statement: &str,
) -> QueryResult<Option<String>> {
    let reason = refused(conn, statement).await?;
    Ok(reason.filter(|text| !text.starts_with("permission denied for table")))
}

/// Returns the database's reason why it does not take a statement, without running it.
pub(super) async fn refused(
    conn: &mut AsyncPgConnection,
    statement: &str,
) -> QueryResult<Option<String>> {
    // An error would fail the transaction.
    AnsiTransactionManager::begin_transaction(conn).await?;
    let explained = explain(conn, statement).await;
    AnsiTransactionManager::rollback_transaction(conn).await?;
    match explained {
        Ok(_) => Ok(None),
        Err(diesel::result::Error::DatabaseError(_, info)) if !is_timeout(&*info) => {
            Ok(Some(info.message().to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Whether a table was locked for too long, which says nothing of the rule. Diesel hides the code.
fn is_timeout(info: &(dyn DatabaseErrorInformation + Send + Sync)) -> bool {
    info.message().starts_with("canceling statement due to")
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Nullable<Bool>)]
    fails: Option<bool>,
}

/// The answer to a question, or the database's reason why it has none.
pub(super) async fn refusal(
    conn: &mut AsyncPgConnection,
    question: &str,
) -> QueryResult<(Option<bool>, Option<String>)> {
    AnsiTransactionManager::begin_transaction(conn).await?;
    let answered: QueryResult<Answer> = diesel::sql_query(question).get_result(conn).await;
    AnsiTransactionManager::rollback_transaction(conn).await?;
    match answered {
        Ok(answer) => Ok((answer.fails, None)),
        Err(diesel::result::Error::DatabaseError(_, info)) if !is_timeout(&*info) => {
            Ok((None, Some(info.message().to_owned())))
        }
        Err(error) => Err(error),
    }
}

#[derive(QueryableByName)]
struct Volatile {
    #[diesel(sql_type = Text)]
    name: String,
    /// The function's signature, if it is the host's.
    #[diesel(sql_type = Nullable<Text>)]
    own: Option<String>,
}

/// A volatile function may say something else of a row each time it is asked.
async fn volatile(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    part: &str,
    text: &str,
) -> QueryResult<Vec<Finding>> {
    let found: Vec<Volatile> = diesel::sql_query(
        "select proname::text as name, \
            min(case when pronamespace <> 'pg_catalog'::regnamespace then oid::regprocedure::text end) as own \
         from pg_proc where proname = any ($1) group by proname having bool_and(provolatile = 'v') order by 1",
    )
    .bind::<Array<Text>, _>(called(text))
    .load(conn)
    .await?;
    let finding = |Volatile { name, own }| {
        let text = format!(
            "`{name}` is volatile, so preview, batch and forecast may disagree about a row; use a stable expression"
        );
        let finding = Finding::new(&rule.name, part, text);
        match own {
            Some(own) => finding.mend(format!("alter function {own} stable")),
            None => finding,
        }
    };
    Ok(found.into_iter().map(finding).collect())
}
