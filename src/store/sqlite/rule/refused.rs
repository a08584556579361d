//! Errors that the host's triggers raise.
//!
//! A trigger chooses its text, which may begin like one of SQLite's own errors, and may end the
//! whole transaction (`RAISE(ROLLBACK)`, `ON CONFLICT ROLLBACK`).

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::store::tx_error::TxError;

/// Returns the database's reason if it refused a row and may accept others.
///
/// diesel hides the code of an error, so its text decides. A text that stands in a trigger which
/// raises errors is the trigger's.
pub(super) fn reason(conn: &mut SqliteConnection, error: &TxError) -> Option<String> {
    error.refusal().or_else(|| {
        let text = error.unknown()?;
        is_raised(conn, &text).unwrap_or(false).then_some(text)
    })
}

fn is_raised(conn: &mut SqliteConnection, text: &str) -> QueryResult<bool> {
    // Triggers may compose a text. Three words tell `no such tenant` from `no such table`.
    let start: Vec<&str> = text.splitn(4, ' ').take(3).collect();
    let found: Found = diesel::sql_query(TRIGGERS)
        .bind::<Text, _>(start.join(" "))
        .get_result(conn)?;
    Ok(found.triggers > 0)
}

/// Begins the transaction again if a trigger has ended it. diesel rolls back what it began, and
/// gives up a connection on which that fails. Returns whether the transaction had ended.
pub(super) fn begin_again(conn: &mut SqliteConnection) -> bool {
    conn.batch_execute("BEGIN IMMEDIATE").is_ok()
}

/// Begins a savepoint of diesel's, the first of its transaction, again as well.
pub(super) fn begin_savepoint_again(conn: &mut SqliteConnection) -> bool {
    begin_again(conn) && conn.batch_execute("SAVEPOINT diesel_savepoint_1").is_ok()
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    triggers: i64,
}

/// A quote within a text is doubled.
const TRIGGERS: &str = "
    SELECT count(*) AS triggers FROM (SELECT type, sql FROM sqlite_schema UNION ALL SELECT type, sql FROM sqlite_temp_schema)
    WHERE type = 'trigger' AND sql LIKE '%raise%' AND instr(replace(sql, '''''', ''''), ?) > 0";
