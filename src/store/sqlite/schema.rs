//! The tables as diesel sees them on SQLite.

use diesel::expression::BoxableExpression;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel::sqlite::Sqlite;

diesel::table! {
    sessions (id) {
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

/// A condition on rows of one table.
pub(super) type Condition<Table> = Box<dyn BoxableExpression<Table, Sqlite, SqlType = Bool>>;

/// Whether `column` is one of `ids`, which travel as one value however many they are.
pub(super) fn among<Table: 'static>(column: &str, ids: &[String]) -> Condition<Table> {
    listed(&format!("{column} in "), ids)
}

/// Whether `column` is none of `ids`.
pub(super) fn not_among<Table: 'static>(column: &str, ids: &[String]) -> Condition<Table> {
    listed(&format!("{column} not in "), ids)
}

fn listed<Table: 'static>(start: &str, ids: &[String]) -> Condition<Table> {
    let list = serde_json::Value::from(ids).to_string();
    Box::new(
        diesel::dsl::sql::<Bool>(&format!("{start}(select value from json_each("))
            .bind::<Text, _>(list)
            .sql("))"),
    )
}
