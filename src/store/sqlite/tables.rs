//! Making, dropping and checking the tables, on SQLite.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::schema::{
    bookings, housekeeper_activity, housekeeper_migrations, image_sent, messages, sessions,
    sqlite_master, video_sent,
};
use super::time::timestamp_text;
use crate::store::migrations::{
    ACTIVITY_TRIGGER, BOOKING_TABLES, LEDGER, Schema, foreign_table, incomplete_schema,
    missing_schema,
};
use crate::store::tx_error::{TxError, TxResult};

crate::store::migrations::migrations! {
    "sqlite":
    Housekeeper [
        "housekeeper/2026-01-10-000000_create_runs" &["housekeeper_runs"],
        "housekeeper/2026-11-28-000000_add_replicas" &["housekeeper_pauses"],
        "housekeeper/2026-11-28-100000_note_instances" &["housekeeper_instances"],
    ]
    Outbox ["outbox/2026-11-28-000000_create_outbox" &["housekeeper_outbox"]]
    Booking [
        "booking/2026-01-10-000000_create_booking_tables" BOOKING_TABLES,
        "booking/2026-11-28-000000_real_instants" &[],
    ]
}

/// Makes what is not there yet, each set in one transaction.
pub(super) fn migrate(conn: &mut SqliteConnection, schemas: &[Schema]) -> TxResult<()> {
    for schema in schemas {
        // Immediate, so that of several processes starting at once one works and the others find it
        // done.
        conn.immediate_transaction(|conn| migrate_one(conn, *schema))?;
    }
    Ok(())
}

/// Drops what `migrate` made, newest first.
pub(super) fn revert(conn: &mut SqliteConnection, schema: Schema) -> TxResult<()> {
    conn.immediate_transaction(|conn| {
        if !exists(conn, "table", LEDGER)? {
            return Ok(());
        }
        for migration in migrations(schema).iter().rev() {
            let was_ours =
                diesel::delete(housekeeper_migrations::table.find(migration.name)).execute(conn)?;
            if was_ours > 0 {
                conn.batch_execute(migration.down)?;
            }
        }
        let left: i64 = housekeeper_migrations::table.count().get_result(conn)?;
        if left == 0 {
            conn.batch_execute("drop table housekeeper_migrations")?;
        }
        Ok(())
    })
}

/// Whether the booking schema is whole.
pub(super) fn check(conn: &mut SqliteConnection) -> TxResult<()> {
    conn.transaction(|conn| {
        let mut missing = Vec::new();
        for table in BOOKING_TABLES {
            if !exists(conn, "table", table)? {
                missing.push(*table);
            }
        }
        if missing.len() == BOOKING_TABLES.len() {
            return Err(TxError::Schema(missing_schema(Schema::Booking)));
        }
        if let [table, ..] = missing.as_slice() {
            let what = if exists(conn, "view", table)? {
                format!("`{table}` is a view")
            } else {
                format!("table `{table}` is missing")
            };
            return Err(TxError::Schema(incomplete_schema(Schema::Booking, &what)));
        }
        if !has_trigger(conn)? {
            let what = format!("trigger `{ACTIVITY_TRIGGER}` on `messages` is missing");
            return Err(TxError::Schema(incomplete_schema(Schema::Booking, &what)));
        }
        check_columns(conn).map_err(|error| match error {
            diesel::result::Error::DatabaseError(_, info) => {
                TxError::Schema(incomplete_schema(Schema::Booking, info.message()))
            }
            error => error.into(),
        })
    })
}

fn migrate_one(conn: &mut SqliteConnection, schema: Schema) -> TxResult<()> {
    conn.batch_execute(
        "create table if not exists housekeeper_migrations (name text not null primary key, applied_at text not null)",
    )?;
    for migration in migrations(schema) {
        let recorded: i64 = housekeeper_migrations::table
            .find(migration.name)
            .count()
            .get_result(conn)?;
        if recorded > 0 {
            continue;
        }
        for table in migration.tables {
            if exists(conn, "table", table)? || exists(conn, "view", table)? {
                return Err(TxError::Schema(foreign_table(schema, table)));
            }
        }
        conn.batch_execute(migration.up)?;
        diesel::insert_into(housekeeper_migrations::table)
            .values((
                housekeeper_migrations::name.eq(migration.name),
                housekeeper_migrations::applied_at.eq(timestamp_text(chrono::Utc::now())),
            ))
            .execute(conn)?;
    }
    Ok(())
}

fn exists(conn: &mut SqliteConnection, kind: &str, name: &str) -> QueryResult<bool> {
    let found: i64 = sqlite_master::table
        .filter(sqlite_master::kind.eq(kind))
        // SQLite takes names that differ in case for one.
        .filter(lower(sqlite_master::name).eq(name))
        .count()
        .get_result(conn)?;
    Ok(found > 0)
}

/// Whether the trigger is there and still on `messages`: it follows a table that gets another name.
fn has_trigger(conn: &mut SqliteConnection) -> QueryResult<bool> {
    let found: i64 = sqlite_master::table
        .filter(sqlite_master::kind.eq("trigger"))
        .filter(lower(sqlite_master::name).eq(ACTIVITY_TRIGGER))
        .filter(lower(sqlite_master::tbl_name).eq("messages"))
        .count()
        .get_result(conn)?;
    Ok(found > 0)
}

/// Names every column; reads no row.
fn check_columns(conn: &mut SqliteConnection) -> QueryResult<()> {
    sessions::table.limit(0).execute(conn)?;
    messages::table.limit(0).execute(conn)?;
    image_sent::table.limit(0).execute(conn)?;
    video_sent::table.limit(0).execute(conn)?;
    bookings::table.limit(0).execute(conn)?;
    housekeeper_activity::table.limit(0).execute(conn)?;
    Ok(())
}

/// Reads the throttle of the trigger, in microseconds.
pub(super) fn throttle(conn: &mut SqliteConnection) -> QueryResult<i64> {
    housekeeper_activity::table
        .select(housekeeper_activity::throttle_us)
        .first(conn)
}

/// Sets the throttle of the trigger, in microseconds.
pub(super) fn set_throttle(conn: &mut SqliteConnection, throttle_us: i64) -> QueryResult<()> {
    diesel::update(housekeeper_activity::table)
        .set(housekeeper_activity::throttle_us.eq(throttle_us.into_sql::<BigInt>()))
        .execute(conn)
        .map(drop)
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// The text in lower case.
    fn lower(text: Text) -> Text;
}
