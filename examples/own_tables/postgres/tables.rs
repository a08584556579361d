//! The application's tables, as they have always been. Timestamps are UTC without saying so.

use std::io::Write;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::query_builder::QueryId;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::SqlType;

use crate::status::BookingStatus;

#[derive(Debug, QueryId, SqlType)]
#[diesel(postgres_type(name = "booking_status_enum"))]
pub struct BookingStatusEnum;

impl ToSql<BookingStatusEnum, Pg> for BookingStatus {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(self.name().as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<BookingStatusEnum, Pg> for BookingStatus {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Self::named(std::str::from_utf8(value.as_bytes())?)
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Uuid,
        created_at -> Timestamp,
    }
}

diesel::table! {
    messages (id) {
        id -> Text,
        user_id -> Uuid,
        sender -> Text,
        content -> Text,
        timestamp -> Timestamp,
    }
}

diesel::table! {
    #[sql_name = "imageSent"]
    image_sent (id) {
        id -> Text,
        session_id -> Text,
        property_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    #[sql_name = "videoSent"]
    video_sent (id) {
        id -> Text,
        session_id -> Text,
        property_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    bookings (booking_id) {
        booking_id -> Text,
        user_id -> Uuid,
        property_id -> Nullable<Uuid>,
        booking_date -> Nullable<Date>,
        shift_type -> Nullable<Text>,
        total_cost -> Nullable<Numeric>,
        booking_source -> Nullable<Text>,
        status -> crate::postgres::tables::BookingStatusEnum,
        booked_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::allow_tables_to_appear_in_same_query!(sessions, messages);
diesel::allow_tables_to_appear_in_same_query!(sessions, users);
diesel::allow_tables_to_appear_in_same_query!(sessions, image_sent);
diesel::allow_tables_to_appear_in_same_query!(sessions, video_sent);

pub(crate) const CREATE: &str = r#"
create type booking_status_enum as enum
    ('Pending', 'Waiting', 'Confirmed', 'Cancelled', 'Completed', 'Expired');

create table users (id uuid primary key);

create table sessions (
    id text primary key,
    user_id uuid not null references users (id),
    created_at timestamp without time zone not null
);
create index sessions_created_at on sessions (created_at, id);

create table messages (
    id text primary key,
    user_id uuid not null references users (id),
    sender text not null,
    content text not null default '',
    "timestamp" timestamp without time zone not null
);
create index messages_of_user on messages (user_id, sender, "timestamp");

create table "imageSent" (
    id text primary key,
    session_id text not null references sessions (id),
    property_id uuid
);
create index image_sent_session_id on "imageSent" (session_id);

create table "videoSent" (
    id text primary key,
    session_id text not null references sessions (id),
    property_id uuid
);
create index video_sent_session_id on "videoSent" (session_id);

create table bookings (
    booking_id text primary key,
    user_id uuid not null references users (id),
    property_id uuid,
    booking_date date,
    shift_type text,
    total_cost numeric,
    booking_source text,
    status booking_status_enum not null,
    booked_at timestamp without time zone,
    created_at timestamp without time zone not null,
    updated_at timestamp without time zone not null
);
create index bookings_status on bookings (status, created_at, booking_id);
"#;
