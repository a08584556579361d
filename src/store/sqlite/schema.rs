//! The tables as diesel sees them on SQLite.

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
        number -> BigInt,
        recorded_at -> Text,
        runs -> BigInt,
        report -> Text,
        instance -> Nullable<Text>,
    }
}

diesel::table! {
    housekeeper_pauses (job) {
        job -> Text,
        since -> Text,
        requested_by -> Nullable<Text>,
    }
}

diesel::table! {
    housekeeper_instances (instance) {
        instance -> Text,
        seen_at -> Text,
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
