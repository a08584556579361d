//! The check of the booking schema, by the catalogue alone: it needs no privilege on a table.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::store::migrations::{
    ACTIVITY_TRIGGER, BOOKING_TABLES, Schema, incomplete_schema, missing_schema,
};
use crate::store::tx_error::{TxError, TxResult};

/// Fails with everything that the built-in jobs cannot work with.
pub(super) async fn check(conn: &mut AsyncPgConnection) -> TxResult<()> {
    let tables: Vec<Table> = diesel::sql_query(TABLES)
        .bind::<Array<Text>, _>(BOOKING_TABLES)
        .load(conn)
        .await?;
    let is_missing = |table: &&Table| table.kind.is_empty();
    if tables.iter().all(|table| is_missing(&table)) {
        return Err(TxError::Schema(missing_schema(Schema::Booking)));
    }
    let incomplete = |what: &str| TxError::Schema(incomplete_schema(Schema::Booking, what));
    if let Some(table) = tables.iter().find(is_missing) {
        return Err(incomplete(&format!("table `{}` is missing", table.name)));
    }
    let mut found: Vec<String> = tables.iter().filter_map(Table::problem).collect();
    let (names, columns): (Vec<&str>, Vec<&str>) = COLUMNS
        .iter()
        .flat_map(|(table, columns)| columns.iter().map(|(column, _)| (*table, *column)))
        .unzip();
    let columns: Vec<Column> = diesel::sql_query(TYPES)
        .bind::<Array<Text>, _>(names)
        .bind::<Array<Text>, _>(columns)
        .load(conn)
        .await?;
    found.extend(columns.iter().filter_map(Column::problem));
    let surroundings: Surroundings = diesel::sql_query(SURROUNDINGS)
        .bind::<Text, _>(ACTIVITY_TRIGGER)
        .get_result(conn)
        .await?;
    found.extend(surroundings.problems());
    if surroundings.encoding == "SQL_ASCII" {
        tracing::warn!(
            "the database has the encoding SQL_ASCII: it may hold text that is no UTF-8, which cannot be read"
        );
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(incomplete(&found.join("; ")))
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    /// `pg_class.relkind`; empty without such a table.
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    has_parts: bool,
}

impl Table {
    fn problem(&self) -> Option<String> {
        let name = &self.name;
        match self.kind.as_str() {
            "r" | "p" if name == "sessions" && self.has_parts => Some(
                "table `sessions` has partitions, or tables that inherit from it, and rows are deleted by their place in one table"
                    .to_owned(),
            ),
            "r" | "p" => None,
            "v" => Some(format!("`{name}` is a view")),
            "m" => Some(format!("`{name}` is a materialized view")),
            "f" => Some(format!("`{name}` is a foreign table")),
            _ => Some(format!("`{name}` is no table")),
        }
    }
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    /// Its type without a length; empty without such a column.
    #[diesel(sql_type = Text)]
    base: String,
}

impl Column {
    fn problem(&self) -> Option<String> {
        let Self { table, name, base } = self;
        if base.is_empty() {
            return Some(format!("column {table}.{name} is missing"));
        }
        let columns = COLUMNS.iter().find(|(of, _)| of == table)?.1;
        let wanted = columns.iter().find(|(column, _)| column == name)?.1;
        let (is_right, wanted) = match wanted {
            Type::Instant => (base == "timestamp with time zone", "timestamptz"),
            Type::Uuid => (base == "uuid", "uuid"),
            Type::Number => (
                matches!(base.as_str(), "smallint" | "integer" | "bigint" | "numeric"),
                "bigint",
            ),
            Type::Any => return None,
        };
        if is_right {
            return None;
        }
        let convert = match base.as_str() {
            "timestamp without time zone" => format!(" using \"{name}\" at time zone 'UTC'"),
            _ => format!(" using \"{name}\"::{wanted}"),
        };
        Some(format!(
            "`{table}.{name}` is `{base}` and must be `{wanted}`: alter table {table} alter \"{name}\" type {wanted}{convert}"
        ))
    }
}

#[derive(QueryableByName)]
struct Surroundings {
    /// `pg_trigger.tgenabled`; empty without such a trigger.
    #[diesel(sql_type = Text)]
    enabled: String,
    /// Whether the trigger's function runs with its owner's privileges.
    #[diesel(sql_type = Bool)]
    as_owner: bool,
    /// Whether row security is on for `sessions`.
    #[diesel(sql_type = Bool)]
    row_security: bool,
    /// Whether it binds the owner of the trigger's function.
    #[diesel(sql_type = Bool)]
    binds_owner: bool,
    /// Roles whose sessions, and this one if it is the last, fire no triggers.
    #[diesel(sql_type = Array<Text>)]
    without_triggers: Vec<String>,
    #[diesel(sql_type = Text)]
    encoding: String,
}

impl Surroundings {
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        let trigger = ACTIVITY_TRIGGER;
        match self.enabled.as_str() {
            "O" | "A" => {}
            "" => found.push(format!("trigger `{trigger}` on `messages` is missing")),
            _ => found.push(format!(
                "trigger `{trigger}` on `messages` is off: alter table messages enable trigger {trigger}"
            )),
        }
        if self.row_security && !self.enabled.is_empty() && !self.as_owner {
            found.push(format!(
                "row security is on for `sessions`, and function `{trigger}` runs with the privileges of the role that inserts: call migrate"
            ));
        } else if self.binds_owner {
            found.push(format!(
                "row security of `sessions` is forced on the owner of function `{trigger}`: give the owner bypassrls, or no force row level security"
            ));
        }
        found.extend(self.without_triggers.iter().map(|role| {
            format!("session_replication_role is `replica` for {role}, so that triggers and foreign keys do nothing")
        }));
        found
    }
}

#[derive(Debug, Clone, Copy)]
enum Type {
    Instant,
    Uuid,
    Number,
    Any,
}

const COLUMNS: &[(&str, &[(&str, Type)])] = &[
    (
        "sessions",
        &[
            ("id", Type::Any),
            ("user_id", Type::Uuid),
            ("created_at", Type::Instant),
            ("last_activity_at", Type::Instant),
        ],
    ),
    (
        "messages",
        &[
            ("id", Type::Any),
            ("user_id", Type::Uuid),
            ("sender", Type::Any),
            ("timestamp", Type::Instant),
        ],
    ),
    (
        "image_sent",
        &[("id", Type::Any), ("session_id", Type::Any)],
    ),
    (
        "video_sent",
        &[("id", Type::Any), ("session_id", Type::Any)],
    ),
    (
        "bookings",
        &[
            ("booking_id", Type::Any),
            ("user_id", Type::Uuid),
            ("property_id", Type::Any),
            ("booking_date", Type::Any),
            ("shift_type", Type::Any),
            ("total_cost", Type::Any),
            ("booking_source", Type::Any),
            ("status", Type::Any),
            ("held_until", Type::Instant),
            ("created_at", Type::Instant),
            ("updated_at", Type::Instant),
        ],
    ),
    ("housekeeper_activity", &[("throttle_us", Type::Number)]),
];

const TABLES: &str = "
    select u.name, coalesce(c.relkind::text, '') as kind,
        coalesce(c.relkind = 'p' or exists (select from pg_inherits where inhparent = c.oid), false) as has_parts
    from unnest($1) with ordinality as u(name, place) left join pg_class c on c.oid = to_regclass(quote_ident(u.name))
    order by u.place";

const TYPES: &str = "
    select u.of as table, u.name,
        coalesce(format_type(case t.typtype when 'd' then t.typbasetype else t.oid end, null), '') as base
    from unnest($1, $2) with ordinality as u(of, name, place)
    left join pg_attribute a on a.attrelid = to_regclass(quote_ident(u.of)) and a.attname = u.name and a.attnum > 0
        and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid order by u.place";

const SURROUNDINGS: &str = "
    select coalesce(t.tgenabled::text, '') as enabled, coalesce(p.prosecdef, false) as as_owner,
        coalesce(s.relrowsecurity, false) as row_security,
        coalesce(s.relrowsecurity and p.prosecdef and not (o.rolsuper or o.rolbypassrls)
            and (s.relforcerowsecurity or s.relowner <> o.oid), false) as binds_owner,
        array(select coalesce('role ' || r.rolname, 'all roles') from pg_db_role_setting as setting
                left join pg_roles r on r.oid = setting.setrole
            where setting.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
                and 'session_replication_role=replica' = any (setting.setconfig) order by 1)
            || array(select 'role ' || current_user where current_setting('session_replication_role') = 'replica'
                and not exists (select from pg_db_role_setting as own join pg_roles r on r.oid = own.setrole
                    where r.rolname = current_user and 'session_replication_role=replica' = any (own.setconfig)))
            as without_triggers,
        current_setting('server_encoding') as encoding
    from (select to_regclass('sessions') as sessions, to_regclass('messages') as messages) as tables
    left join pg_class s on s.oid = tables.sessions
    left join pg_trigger t on t.tgrelid = tables.messages and t.tgname = $1
    left join pg_proc p on p.oid = t.tgfoid left join pg_roles o on o.oid = p.proowner";
