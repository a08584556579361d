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
