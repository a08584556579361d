//! The two rules, for both databases.

use std::time::Duration;

use ractor_housekeeper::rule::{
    InstantColumn, Rule, Stamp, Value, age, children, eq, moment, newest,
};

/// A session that is idle for a day goes, with its image and video records.
///
/// The user's messages keep it. Session and message both refer to the user, whose row is locked, so
/// that no message is written while its session is judged and deleted.
pub(crate) fn session_cleaner() -> Rule {
    Rule::new("python-session-cleaner", "sessions")
        .due(age(utc("created_at"), Duration::from_secs(24 * 60 * 60)))
        .active(
            newest("messages", "user_id", utc("timestamp"))
                .references("user_id")
                .only(eq("sender", "user"))
                .through("users", "id"),
        )
        .with(
            children("imageSent", "session_id")
                .counts_as("image_records")
                .show_count(),
        )
        .with(
            children("videoSent", "session_id")
                .counts_as("video_records")
                .show_count(),
        )
        .scope("user_id")
        .delete()
}

/// A booking that is pending for a quarter of an hour expires.
pub(crate) fn booking_expirer() -> Rule {
    Rule::new("python-booking-expirer", "bookings")
        .due(age(utc("created_at"), Duration::from_secs(15 * 60)))
        .only(eq("status", "Pending"))
        .set("status", "Expired")
        .set("updated_at", Value::Now)
        .scope("user_id")
        .show(["shift_type"])
}

/// The application keeps UTC without saying so; on SQLite, as text.
fn utc(column: &str) -> InstantColumn {
    let text = Stamp::Text("%Y-%m-%d %H:%M:%S%.f".to_owned());
    moment(column).stamp(Stamp::NaiveUtc).on_sqlite(text)
}
