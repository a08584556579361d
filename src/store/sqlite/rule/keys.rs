//! Foreign keys that point at a table, as SQLite's catalogue lists them.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::rule::{bare_name, split_name};
use crate::store::rule::{ForeignKey, OnDelete, identifier};

/// One column of a key.
#[derive(QueryableByName)]
struct KeyColumn {
    #[diesel(sql_type = Text)]
    holder: String,
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Text)]
    holder_column: String,
    #[diesel(sql_type = Text)]
    parent_column: String,
    #[diesel(sql_type = Text)]
    on_delete: String,
}

/// A step of a plan.
#[derive(QueryableByName)]
struct PlanStep {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The foreign keys that point at a table of a rule.
pub(super) fn pointing_at(
    conn: &mut SqliteConnection,
    table: &str,
) -> QueryResult<Vec<ForeignKey>> {
    let (schema, parent) = (split_name(table).0, bare_name(table));
    let columns: Vec<KeyColumn> = diesel::sql_query(format!(
        "SELECT holder.name AS holder, key.id AS number, key.\"from\" AS holder_column, coalesce(key.\"to\", \
            (SELECT p.name FROM pragma_table_info(?1, ?2) AS p WHERE p.pk = key.seq + 1), '') AS parent_column, key.on_delete AS on_delete \
         FROM {}.sqlite_master AS holder, pragma_foreign_key_list(holder.name, ?2) AS key \
         WHERE holder.type = 'table' AND lower(key.\"table\") = lower(?1) ORDER BY holder.name, key.id, key.seq",
        identifier(schema.unwrap_or("main"))
    ))
    .bind::<Text, _>(parent)
    .bind::<Text, _>(schema.unwrap_or("main"))
    .load(conn)?;
    let mut keys: BTreeMap<(String, i64), ForeignKey> = BTreeMap::new();
    for column in columns {
        let number = (column.holder.clone(), column.number);
        let key = keys.entry(number).or_insert_with(|| ForeignKey {
            schema: schema.map(str::to_owned),
            table: column.holder,
            columns: Vec::new(),
            parent: parent.to_owned(),
            parent_columns: Vec::new(),
            on_delete: match column.on_delete.as_str() {
                "NO ACTION" | "RESTRICT" => OnDelete::Refuse,
                "CASCADE" => OnDelete::Cascade,
                _ => OnDelete::LetGo,
            },
            readable: true,
            indexed: false,
        });
        key.columns.push(column.holder_column);
        key.parent_columns.push(column.parent_column);
    }
    let mut keys: Vec<ForeignKey> = keys.into_values().collect();
    for key in &mut keys {
        key.indexed = is_indexed(conn, &key.quoted_table(), &key.columns)?;
    }
    Ok(keys)
}

/// Whether an index, or the table itself, leads to the rows of a key. SQLite plans it, and knows
/// which partial index serves.
pub(super) fn is_indexed(
    conn: &mut SqliteConnection,
    table: &str,
    columns: &[String],
) -> QueryResult<bool> {
    let conditions: Vec<String> = columns
        .iter()
        .map(|name| format!("{} = ?", identifier(name)))
        .collect();
    let planned = diesel::sql_query(format!(
        "EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {}",
        conditions.join(" AND ")
    ))
    .load::<PlanStep>(conn);
    match planned {
        Ok(steps) => Ok(steps
            .iter()
            .any(|step| step.detail.matches("=?").count() == conditions.len())),
        // The host's collation may be missing on this connection.
        Err(diesel::result::Error::DatabaseError(..)) => Ok(true),
        Err(error) => Err(error),
    }
}
