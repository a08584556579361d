//! The tables as diesel sees them on Postgres.

use diesel::expression::BoxableExpression;
use diesel::pg::Pg;
use diesel::sql_types::{Bool, Nullable, Numeric, Oid, Record, Text, Timestamptz};

use super::address::Tid;

diesel::table! {
    use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid};
    use super::Tid;

    sessions (id) {
        ctid -> Tid,
        id -> Text,
        user_id -> Uuid,
        created_at -> Timestamptz,
        last_activity_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    messages (id) {
        id -> Text,
        user_id -> Uuid,
        sender -> Text,
        content -> Text,
        timestamp -> Timestamptz,
    }
}

diesel::table! {
    image_sent (id) {
        id -> Text,
        session_id -> Text,
        property_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    video_sent (id) {
        id -> Text,
        session_id -> Text,
        property_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::{Date, Nullable, Numeric, Text, Timestamptz, Uuid};
    use super::Tid;

    bookings (booking_id) {
        ctid -> Tid,
        booking_id -> Text,
        user_id -> Uuid,
        property_id -> Nullable<Uuid>,
        booking_date -> Nullable<Date>,
        shift_type -> Nullable<Text>,
        total_cost -> Nullable<Numeric>,
        booking_source -> Nullable<Text>,
        status -> Text,
        held_until -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    housekeeper_activity (one) {
        one -> Integer,
        throttle_us -> BigInt,
    }
}

diesel::table! {
    housekeeper_runs (key) {
        key -> Text,
        job -> Text,
        started_at -> Timestamptz,
        number -> BigInt,
        recorded_at -> Timestamptz,
        runs -> BigInt,
        report -> Text,
    }
}

diesel::table! {
    housekeeper_migrations (name) {
        name -> Text,
        applied_at -> Timestamptz,
    }
}

diesel::table! {
    use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};
    use super::Tid;

    // What a batch has picked and locked: see `sweep`.
    picked (id) {
        address -> Tid,
        id -> Text,
        since -> Timestamptz,
        due -> Bool,
        keeper -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(bookings, picked);
diesel::allow_tables_to_appear_in_same_query!(sessions, picked);
diesel::allow_tables_to_appear_in_same_query!(sessions, messages);
diesel::allow_tables_to_appear_in_same_query!(sessions, image_sent);
diesel::allow_tables_to_appear_in_same_query!(sessions, video_sent);

#[diesel::declare_sql_function]
extern "SQL" {
    /// The first argument that is not null.
    fn coalesce(first: Nullable<Timestamptz>, second: Timestamptz) -> Timestamptz;

    /// The later of two instants.
    #[sql_name = "greatest"]
    fn later_of(first: Timestamptz, second: Nullable<Timestamptz>) -> Timestamptz;

    /// The number as text.
    fn text(number: Nullable<Numeric>) -> Nullable<Text>;

    /// The process of the server that this transaction runs in.
    fn pg_backend_pid() -> Integer;

    /// The instant it is, whenever the transaction began.
    fn clock_timestamp() -> Timestamptz;

    /// A table by its name, as the search path finds it.
    fn to_regclass(name: Text) -> Nullable<Oid>;

    /// Rows deleted from a table by this transaction, and by those before it that are not yet in
    /// the statistics.
    fn pg_stat_get_xact_tuples_deleted(table: Nullable<Oid>) -> Nullable<BigInt>;

    /// What a setting is.
    fn current_setting(name: Text) -> Text;
}

// In the text and not as values, so that every plan can use the partial indexes. Diesel's `sql`
// would do it too, but a statement with it is prepared anew each time.
diesel::postfix_operator!(IsPending, " = 'Pending'", backend: Pg);
diesel::postfix_operator!(IsGuest, " = 'user'", backend: Pg);

// Of rows `(a, b)`, which an index on both finds at once, however many have the same `a`.
diesel::infix_operator!(Behind, " > ", backend: Pg);

/// A place in the order of instants and ids.
pub(super) type Place = Record<(Timestamptz, Text)>;

/// A condition on rows of one table.
pub(super) type Condition<Table> = Box<dyn BoxableExpression<Table, Pg, SqlType = Bool>>;
