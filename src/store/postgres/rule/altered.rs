//! Detects tables of a rule that were altered since the rule was checked.
//!
//! A check runs once, when a worker starts, and a host migrates while it runs. A statement that
//! still fits an altered table may mean another thing: compared with a `timestamp`, an instant is
//! read in the zone of the session; where row security was enabled, rows are no longer seen.

use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::catalogue::regclass;
use crate::rule::Rule;
use crate::store::rule::table_name;

#[derive(QueryableByName)]
struct Mark {
    #[diesel(sql_type = Text)]
    mark: String,
}

/// Returns a text that differs once a table of the rule, a column or a trigger of it was altered.
pub(super) async fn mark(conn: &mut AsyncPgConnection, rule: &Rule) -> QueryResult<String> {
    let names: Vec<String> = rule
        .tables()
        .iter()
        .map(|table| table_name(table))
        .collect();
    let found: Mark = diesel::sql_query(format!("{MARK}{}", regclass("given.name")))
        .bind::<Array<Text>, _>(names)
        .get_result(conn)
        .await?;
    Ok(found.mark)
}

/// A row of the catalogue has another `xmin` once it was written anew.
const MARK: &str = "
    select coalesce(string_agg(concat_ws(' ', c.oid, c.xmin,
        (select md5(string_agg(concat(a.attnum, ' ', a.xmin), ',' order by a.attnum)) from pg_attribute as a
            where a.attrelid = c.oid and a.attnum > 0),
        (select md5(string_agg(concat(t.oid, ' ', t.xmin), ',' order by t.oid)) from pg_trigger as t where t.tgrelid = c.oid)),
        ',' order by given.name), '') as mark
    from unnest($1) as given(name) left join pg_class as c on c.oid = ";
