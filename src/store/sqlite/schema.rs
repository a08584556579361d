//! The tables as diesel sees them on SQLite.

use diesel::sql_types::{Nullable, Text};

diesel::table! {
    sessions (id) {
        rowid -> BigInt,
        id -> Text,
        user_id -> Text,
        created_at -> Text,
        last_activity_at -> Nullable<Text>,
    }
}

diesel::table! {
    messages (id) {
        id -> Text,
        user_id -> Text,
        sender -> Text,
        content -> Text,
        timestamp -> Text,
    }
}

diesel::table! {
    image_sent (id) {
        id -> Text,
        session_id -> Text,
        property_id -> Nullable<Text>,
    }
}

diesel::table! {
    video_sent (id) {
        id -> Text,
        session_id -> Text,
        property_id -> Nullable<Text>,
    }
}

diesel::table! {
    bookings (booking_id) {
        rowid -> BigInt,
        booking_id -> Text,
        user_id -> Text,
        property_id -> Nullable<Text>,
        booking_date -> Nullable<Text>,
        shift_type -> Nullable<Text>,
        total_cost -> Nullable<Text>,
        booking_source -> Nullable<Text>,
        status -> Text,
        held_until -> Nullable<Text>,
        created_at -> Text,
        updated_at -> Text,
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
        started_at -> Text,
        number -> BigInt,
        recorded_at -> Text,
        runs -> BigInt,
        report -> Text,
    }
}

diesel::table! {
    housekeeper_migrations (name) {
        name -> Text,
        applied_at -> Text,
    }
}

diesel::table! {
    sqlite_master (name) {
        #[sql_name = "type"]
        kind -> Text,
        name -> Text,
        tbl_name -> Text,
    }
}

diesel::table! {
    pragma_schema_version (schema_version) {
        schema_version -> BigInt,
    }
}

diesel::table! {
    pragma_foreign_keys (foreign_keys) {
        foreign_keys -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(sessions, messages);
diesel::allow_tables_to_appear_in_same_query!(sessions, image_sent);
diesel::allow_tables_to_appear_in_same_query!(sessions, video_sent);

#[diesel::declare_sql_function]
extern "SQL" {
    /// The first argument that is not null.
    fn coalesce(first: Nullable<Text>, second: Text) -> Text;

    /// The larger of two texts.
    #[sql_name = "max"]
    fn later_of(first: Text, second: Text) -> Text;
}
