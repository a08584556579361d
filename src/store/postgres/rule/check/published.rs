//! Tables whose rows Postgres does not delete, because it could not publish that.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::super::catalogue::Catalogue;
use crate::rule::{Action, Finding, Findings, OnParent, Rule};

#[derive(QueryableByName)]
struct Unidentified {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Finds them among the tables that a rule deletes from, and those that foreign keys cascade to,
/// whose deletions no statement of the rule shows.
pub(super) async fn published(
    conn: &mut AsyncPgConnection,
    rule: &Rule,
    catalogue: &Catalogue,
    findings: &mut Findings,
) -> QueryResult<()> {
    let children = rule.children().into_iter();
    let children = children.filter(|children| children.action == OnParent::Delete);
    let mut going: Vec<i64> = children
        .filter_map(|children| catalogue.oid(&children.table))
        .collect();
    if !matches!(rule.action, Some(Action::Set(_))) {
        going.extend(catalogue.oid(&rule.table));
    }
    let found: Vec<Unidentified> = diesel::sql_query(UNIDENTIFIED)
        .bind::<Array<BigInt>, _>(going)
        .load(conn)
        .await?;
    for Unidentified { name } in found {
        let text = format!(
            "`{name}` publishes deletions and has no replica identity, so the database refuses to delete its rows"
        );
        let finding = Finding::new(&rule.name, "action", text);
        findings
            .refused
            .push(finding.mend(format!("alter table {name} replica identity full")));
    }
    Ok(())
}

const UNIDENTIFIED: &str = "
    with recursive gone as (select unnest($1)::oid as oid union select k.conrelid from gone
        join pg_constraint k on k.confrelid = gone.oid and k.contype = 'f' and k.confdeltype = 'c')
    select distinct c.oid::regclass::text as name from gone join pg_class c on c.oid = gone.oid join pg_namespace n on n.oid = c.relnamespace
        join pg_publication_tables t on t.schemaname = n.nspname and t.tablename = c.relname
        join pg_publication p on p.pubname = t.pubname and p.pubdelete
    where c.relreplident <> 'f' and not exists (select from pg_index i where i.indrelid = c.oid and i.indisvalid
        and case c.relreplident when 'd' then i.indisprimary when 'i' then i.indisreplident else false end)
    order by 1";
