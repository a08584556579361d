create table sessions (
    id text primary key,
    user_id uuid not null,
    created_at timestamptz not null default now(),
    -- Null until the guest writes. Never later than the true last activity, but perhaps earlier: see the trigger.
    last_activity_at timestamptz
);

create index sessions_activity on sessions ((coalesce(last_activity_at, created_at)), id);
create index sessions_user_id on sessions (user_id);

create table messages (
    id text primary key,
    user_id uuid not null,
    sender text not null,
    content text not null default '',
    "timestamp" timestamptz not null default now()
);

create index messages_of_user on messages (user_id, "timestamp") where sender = 'user';

create table image_sent (
    id text primary key,
    session_id text not null references sessions (id) on delete cascade,
    property_id uuid
);

create index image_sent_session_id on image_sent (session_id);

create table video_sent (
    id text primary key,
    session_id text not null references sessions (id) on delete cascade,
    property_id uuid
);

create index video_sent_session_id on video_sent (session_id);

create table bookings (
    booking_id text primary key,
    user_id uuid not null,
    property_id uuid,
    booking_date date,
    shift_type text,
    total_cost numeric,
    booking_source text,
    status text not null default 'Pending'
        check (status in ('Pending', 'Waiting', 'Confirmed', 'Cancelled', 'Completed', 'Expired')),
    -- Set while a payment is in flight: the booking does not expire before this instant.
    held_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

-- The order in which bookings expire; only Pending ones, so that it stays small.
create index bookings_pending on bookings (created_at, booking_id) where status = 'Pending';
-- When the next hold ends.
create index bookings_held on bookings (held_until) where status = 'Pending' and held_until is not null;
create index bookings_pending_of_user on bookings (user_id, created_at, booking_id) where status = 'Pending';

-- One row: by how much `sessions.last_activity_at` may lag behind.
create table housekeeper_activity (
    one integer primary key check (one = 1),
    throttle_us bigint not null check (throttle_us >= 0)
);

insert into housekeeper_activity (one, throttle_us) values (1, 3600000000);

-- Notes that a guest wrote, but only once the stored instant lags by more than the throttle, so that a lively chat costs one look-up a
-- message. What is stored is therefore a lower bound, and a run looks up the true last activity of each candidate before it deletes.
--
-- A session about to be deleted has a stored instant before now - idle_after, which is far more than the throttle ago (idle_after is
-- kept above twice the throttle). A message of its user thus always writes, hence locks, the session row. If the message comes first,
-- the run skips the locked row or sees the new instant; if the run comes first, the message waits and finds the session gone.
--
-- The search path is the one the tables were made under: a host may insert with another.
create function housekeeper_note_activity() returns trigger language plpgsql set search_path from current as $$
begin
    update sessions set last_activity_at = new."timestamp"
    where user_id = new.user_id
        and coalesce(last_activity_at, created_at) < new."timestamp"
        and coalesce(last_activity_at, created_at) < greatest(new."timestamp", clock_timestamp())
            - (select throttle_us * interval '1 microsecond' from housekeeper_activity);
    return null;
end
$$;

create trigger housekeeper_note_activity after insert on messages
    for each row when (new.sender = 'user') execute function housekeeper_note_activity();
