create table users (id text not null primary key);

create table sessions (
    id text not null primary key,
    user_id text not null references users (id),
    created_at timestamp not null
);
create index sessions_created_at on sessions (created_at, id);

create table messages (
    id text not null primary key,
    user_id text not null references users (id),
    sender text not null,
    content text not null default '',
    timestamp timestamp not null
);
create index messages_of_user on messages (user_id, sender, timestamp);

create table "imageSent" (
    id text not null primary key,
    session_id text not null references sessions (id),
    property_id text
);
create index image_sent_session_id on "imageSent" (session_id);

create table "videoSent" (
    id text not null primary key,
    session_id text not null references sessions (id),
    property_id text
);
create index video_sent_session_id on "videoSent" (session_id);

create table bookings (
    booking_id text not null primary key,
    user_id text not null references users (id),
    property_id text,
    booking_date date,
    shift_type text,
    total_cost text,
    booking_source text,
    status text not null
        check (status in ('Pending', 'Waiting', 'Confirmed', 'Cancelled', 'Completed', 'Expired')),
    booked_at timestamp,
    created_at timestamp not null,
    updated_at timestamp not null
);
create index bookings_status on bookings (status, created_at, booking_id);
