//! Constraints and triggers of the host on the table of a rule.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::parts;
use crate::rule::{Action, Finding, Findings, Rule};
use crate::store::postgres::rule::catalogue::Catalogue;
use crate::store::postgres::rule::plan::{Plan, Values};
use crate::store::rule::{fires, identifier};

#[derive(QueryableByName)]
struct Constraint {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    condition: String,
}

/// Finds constraints that hold for no due row once it is set.
pub(super) async fn constraints(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    plan: &Plan,
    values: &Values<'_>,
    findings: &mut Findings,
) -> QueryResult<()> {
    let (Some(rows), Some(oid)) = (&plan.after_set, catalogue.oid(&rule.table)) else {
        return Ok(());
    };
    let found: Vec<Constraint> = diesel::sql_query(
        "select conname::text as name, pg_get_expr(conbin, conrelid) as condition from pg_constraint \
         where contype = 'c' and conrelid::bigint = $1 order by 1",
    )
    .bind::<BigInt, _>(oid)
    .load(conn)
    .await?;
    let values = Values {
        limit: 20,
        ..Values::at(values.now, values.cutoff)
    };
    let rows = rows.inline(|name| plan.value(name, &values));
    for Constraint { name, condition } in found {
        let tried = format!(
            "SELECT (count(*) > 0 AND bool_and(({condition}) IS FALSE)) AS fails FROM ({rows}) AS {}",
            identifier(crate::rule::bare_name(&rule.table))
        );
        if parts::refusal(conn, &tried).await?.0 == Some(true) {
            let text = format!("no due row meets `{name}` once it is set: {condition}");
            findings.refused.push(Finding::new(&rule.name, "set", text));
        }
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Advises of triggers that fire for each row.
pub(super) async fn triggers(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let Some(own) = catalogue.tables.get(&rule.table) else {
        return Ok(());
    };
    let event = match &rule.action {
        Some(Action::Set(_)) => 16,
        _ => 8,
    };
    let found: Vec<Named> = diesel::sql_query(
        "select tgname::text as name from pg_trigger where tgrelid::bigint = $1 and not tgisinternal and tgenabled <> 'D' \
         and (tgtype::bigint & $2) <> 0 order by 1",
    )
    .bind::<BigInt, _>(own.oid)
    .bind::<BigInt, _>(event)
    .load(conn)
    .await?;
    let names = found.into_iter().map(|found| found.name);
    findings.advice.extend(fires(rule, names));
    Ok(())
}
