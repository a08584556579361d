//! Making and dropping the tables, on Postgres.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::schema::{clock_timestamp, housekeeper_activity, housekeeper_migrations};
use crate::store::migrations::{BOOKING_TABLES, LEDGER, Schema, foreign_table};
use crate::store::tx_error::{TxError, TxResult};

crate::store::migrations::migrations! {
    "postgres":
    Housekeeper [
        "housekeeper/2026-01-10-000000_create_runs" &["housekeeper_runs"],
        "housekeeper/2026-11-28-000000_add_replicas" &["housekeeper_pauses"],
        "housekeeper/2026-11-28-100000_note_instances" &["housekeeper_instances"],
    ]
    Outbox ["outbox/2026-11-28-000000_create_outbox" &["housekeeper_outbox"]]
    Booking [
        "booking/2026-01-10-000000_create_booking_tables" BOOKING_TABLES,
        "booking/2026-11-28-000000_note_activity_as_owner" &[],
    ]
}

/// Makes what is not there yet of one set.
pub(super) async fn migrate(conn: &mut AsyncPgConnection, schema: Schema) -> TxResult<()> {
    one_at_a_time(conn).await?;
    conn.batch_execute(
        "create table if not exists housekeeper_migrations (name text primary key, applied_at timestamptz not null)",
    )
    .await?;
    for migration in migrations(schema) {
        let recorded: i64 = housekeeper_migrations::table
            .find(migration.name)
            .count()
            .get_result(conn)
            .await?;
        if recorded > 0 {
            continue;
        }
        for table in migration.tables {
            if made_here(conn, table).await? {
                return Err(TxError::Schema(foreign_table(schema, table)));
            }
        }
        conn.batch_execute(migration.up).await?;
        diesel::insert_into(housekeeper_migrations::table)
            .values((
                housekeeper_migrations::name.eq(migration.name),
                housekeeper_migrations::applied_at.eq(clock_timestamp()),
            ))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Drops what `migrate` made, newest first.
pub(super) async fn revert(conn: &mut AsyncPgConnection, schema: Schema) -> TxResult<()> {
    one_at_a_time(conn).await?;
    if !made_here(conn, LEDGER).await? {
        return Ok(());
    }
    for migration in migrations(schema).iter().rev() {
        let was_ours = diesel::delete(housekeeper_migrations::table.find(migration.name))
            .execute(conn)
            .await?;
        if was_ours > 0 {
            conn.batch_execute(migration.down).await?;
        }
    }
    let left: i64 = housekeeper_migrations::table
        .count()
        .get_result(conn)
        .await?;
    if left == 0 {
        conn.batch_execute("drop table housekeeper_migrations")
            .await?;
    }
    Ok(())
}

/// Of several processes starting at once, one works and the others find it done. The lock ends with
/// the transaction, so that it cannot leak through a pooler.
async fn one_at_a_time(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    diesel::sql_query("select pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(MIGRATION_LOCK)
        .execute(conn)
        .await
        .map(drop)
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    yes: bool,
}

/// Whether the schema in which tables are made has one of this name.
async fn made_here(conn: &mut AsyncPgConnection, table: &str) -> QueryResult<bool> {
    ask(
        conn,
        "select to_regclass(format('%I.%I', current_schema(), $1)) is not null as yes",
        table,
    )
    .await
}

async fn ask(conn: &mut AsyncPgConnection, question: &str, name: &str) -> QueryResult<bool> {
    let answer: Answer = diesel::sql_query(question)
        .bind::<Text, _>(name.to_owned())
        .get_result(conn)
        .await?;
    Ok(answer.yes)
}

/// Reads the throttle of the trigger, in microseconds.
pub(super) async fn throttle(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    housekeeper_activity::table
        .select(housekeeper_activity::throttle_us)
        .first(conn)
        .await
}

/// Sets the throttle of the trigger, in microseconds.
pub(super) async fn set_throttle(
    conn: &mut AsyncPgConnection,
    throttle_us: i64,
) -> QueryResult<()> {
    diesel::update(housekeeper_activity::table)
        .set(housekeeper_activity::throttle_us.eq(throttle_us))
        .execute(conn)
        .await
        .map(drop)
}

/// A number that no other program is likely to lock.
const MIGRATION_LOCK: i64 = 0x6873_6b70_6d69_6772;
