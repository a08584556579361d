//! The tables as diesel sees them on Postgres.

diesel::table! {
    use diesel::sql_types::{Nullable, Text, Timestamptz, Uuid};

    sessions (id) {
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

    bookings (booking_id) {
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
        instance -> Nullable<Text>,
    }
}

diesel::table! {
    housekeeper_pauses (job) {
        job -> Text,
        since -> Timestamptz,
        requested_by -> Nullable<Text>,
    }
}

diesel::table! {
    housekeeper_instances (instance) {
        instance -> Text,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    housekeeper_migrations (name) {
        name -> Text,
        applied_at -> Timestamptz,
    }
}

#[diesel::declare_sql_function]
extern "SQL" {
    /// The process of the server that this transaction runs in.
    fn pg_backend_pid() -> Integer;

    /// The instant it is, whenever the transaction began.
    fn clock_timestamp() -> Timestamptz;
}
