//! The tables, as SQL that is part of the program.
//!
//! The runner is our own and not diesel's harness, for two reasons. The host's `diesel migration`
//! commands look into diesel's ledger and trip over versions they do not know, so ours are noted in
//! a table of our own. And diesel's harness for asynchronous connections blocks the thread it runs
//! on, which a current-thread runtime refuses.

/// A set of tables that [`migrate`](crate::store) makes and `revert` drops.
///
/// The sets are independent. A host that brings its own tables for its own jobs needs only the
/// first, or none, and [`Schema::Outbox`] if a rule of it hands on to the
/// [outbox](crate::rule::outbox).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Schema {
    /// The housekeeper's own tables: the history of runs, pauses for all replicas, and the
    /// instances.
    Housekeeper,
    /// The table `housekeeper_outbox`, which rules hand entries on to and couriers deliver from.
    Outbox,
    /// Tables of the two built-in jobs: sessions, messages, sent images and videos, bookings. Users
    /// and properties are UUIDs. A message counts as activity if its `sender` is `user`. On SQLite
    /// instants are text as `store::sqlite::timestamp_text` writes it, and UUIDs lower-case text
    /// with hyphens:
    ///
    /// ```sql
    #[doc = include_str!("../../migrations/sqlite/booking/2026-01-10-000000_create_booking_tables/up.sql")]
    /// ```
    ///
    /// A later step makes the checks reject instants that do not exist, as a 30th of February.
    Booking,
}

impl Schema {
    /// All sets: enough for an application that starts with this crate's tables.
    pub const ALL: &[Self] = &[Self::Housekeeper, Self::Outbox, Self::Booking];

    /// The name in the ledger and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Housekeeper => "housekeeper",
            Self::Outbox => "outbox",
            Self::Booking => "booking",
        }
    }

    /// How the set is written in a call.
    pub(crate) fn variant(self) -> &'static str {
        match self {
            Self::Housekeeper => "Schema::Housekeeper",
            Self::Outbox => "Schema::Outbox",
            Self::Booking => "Schema::Booking",
        }
    }
}

/// One step of a set.
pub(crate) struct Migration {
    /// Its name in the ledger: set, date and title.
    pub(crate) name: &'static str,
    /// The schema that it creates.
    pub(crate) up: &'static str,
    /// Undoes `up`.
    pub(crate) down: &'static str,
    /// The tables it creates. An existing one belongs to the host.
    pub(crate) tables: &'static [&'static str],
}

/// Embeds the steps of one database: of each set, the name of each and the tables it makes.
macro_rules! migrations {
    ($database:literal: $($schema:ident [$($name:literal $tables:expr),+ $(,)?])+) => {
        /// The steps of a set, oldest first.
        pub(crate) fn migrations(
            schema: $crate::store::Schema,
        ) -> &'static [$crate::store::migrations::Migration] {
            match schema {
                $($crate::store::Schema::$schema => &[$($crate::store::migrations::Migration {
                    name: $name,
                    up: include_str!(concat!(
                        env!("CARGO_MANIFEST_DIR"), "/migrations/", $database, "/", $name, "/up.sql"
                    )),
                    down: include_str!(concat!(
                        env!("CARGO_MANIFEST_DIR"), "/migrations/", $database, "/", $name, "/down.sql"
                    )),
                    tables: $tables,
                }),+],)+
            }
        }
    };
}
pub(crate) use migrations;

/// The tables of the two built-in jobs.
pub(crate) const BOOKING_TABLES: &[&str] = &[
    "sessions",
    "messages",
    "image_sent",
    "video_sent",
    "bookings",
    "housekeeper_activity",
];

/// The trigger that keeps `sessions.last_activity_at`.
pub(crate) const ACTIVITY_TRIGGER: &str = "housekeeper_note_activity";

/// The ledger.
pub(crate) const LEDGER: &str = "housekeeper_migrations";

/// Says that a table is in the way.
pub(crate) fn foreign_table(schema: Schema, table: &str) -> String {
    format!(
        "table `{table}` already exists and was not made by this crate, so the {} schema was not created: rename it, or hand in a Job over \
         your own tables",
        schema.name()
    )
}

/// Says that nothing is there.
pub(crate) fn missing_schema(schema: Schema) -> String {
    let advice = match schema {
        Schema::Housekeeper | Schema::Outbox => "",
        Schema::Booking => " or hand in a Job over your own tables",
    };
    format!(
        "the {} schema is missing: call migrate(&[{}]){advice}",
        schema.name(),
        schema.variant()
    )
}

/// Says that something is there, but not all.
pub(crate) fn incomplete_schema(schema: Schema, what: &str) -> String {
    format!(
        "the {} schema is incomplete: {what}; it is not the one migrate(&[{}]) makes",
        schema.name(),
        schema.variant()
    )
}
