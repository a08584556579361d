-- Instants are text of one width, `2026-01-10T12:00:00.123456Z`, so that comparing the text compares the instants.
-- Users and properties are UUIDs as lower-case text with hyphens.

create table sessions (
    id text not null primary key,
    user_id text not null
        check (user_id glob '????????-????-????-????-????????????' and user_id not glob '*[^-0-9a-f]*'),
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
        check (created_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    -- Null until the guest writes. Never later than the true last activity, but perhaps earlier: see the trigger.
    last_activity_at text
        check (last_activity_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
);

create index sessions_activity on sessions (coalesce(last_activity_at, created_at), id);
create index sessions_user_id on sessions (user_id);

create table messages (
    id text not null primary key,
    user_id text not null
        check (user_id glob '????????-????-????-????-????????????' and user_id not glob '*[^-0-9a-f]*'),
    sender text not null,
    content text not null default '',
    timestamp text not null default (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
        check (timestamp glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
);

create index messages_of_user on messages (user_id, timestamp) where sender = 'user';

create table image_sent (
    id text not null primary key,
    session_id text not null references sessions (id) on delete cascade,
    property_id text
        check (property_id glob '????????-????-????-????-????????????' and property_id not glob '*[^-0-9a-f]*')
);

create index image_sent_session_id on image_sent (session_id);

create table video_sent (
    id text not null primary key,
    session_id text not null references sessions (id) on delete cascade,
    property_id text
        check (property_id glob '????????-????-????-????-????????????' and property_id not glob '*[^-0-9a-f]*')
);

create index video_sent_session_id on video_sent (session_id);

create table bookings (
    booking_id text not null primary key,
    user_id text not null
        check (user_id glob '????????-????-????-????-????????????' and user_id not glob '*[^-0-9a-f]*'),
    property_id text
        check (property_id glob '????????-????-????-????-????????????' and property_id not glob '*[^-0-9a-f]*'),
    booking_date text
        check (booking_date glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    shift_type text,
    -- Text, because SQLite has no decimal numbers.
    total_cost text,
    booking_source text,
    status text not null default 'Pending'
        check (status in ('Pending', 'Waiting', 'Confirmed', 'Cancelled', 'Completed', 'Expired')),
    -- Set while a payment is in flight: the booking does not expire before this instant.
    held_until text
        check (held_until glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
        check (created_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    updated_at text not null default (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
        check (updated_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
);

-- The order in which bookings expire; only Pending ones, so that it stays small. With all of the rule in it, so that looking costs no row.
create index bookings_pending on bookings (created_at, booking_id, held_until) where status = 'Pending';
-- When the next hold ends.
create index bookings_held on bookings (held_until) where status = 'Pending' and held_until is not null;
create index bookings_pending_of_user on bookings (user_id, created_at, booking_id) where status = 'Pending';

-- One row: by how much `sessions.last_activity_at` may lag behind.
create table housekeeper_activity (
    one integer not null primary key check (one = 1),
    throttle_us integer not null check (throttle_us >= 0)
);

insert into housekeeper_activity (one, throttle_us) values (1, 3600000000);

-- Notes that a guest wrote, but only once the stored instant lags by more than the throttle, so that a lively chat costs one look-up a
-- message. What is stored is therefore a lower bound, and a run looks up the true last activity of each candidate before it deletes.
--
-- A session about to be deleted has a stored instant before now - idle_after, which is far more than the throttle ago (idle_after is
-- kept above twice the throttle). A message of its user thus always writes the session row, and meets the deletion there: whichever
-- comes second sees what the first has done.
--
-- SQLite adds to instants in whole milliseconds only, so no throttle at all must not depend on it.
create trigger housekeeper_note_activity after insert on messages when new.sender = 'user'
begin
    update sessions set last_activity_at = new.timestamp
    where user_id = new.user_id
        and coalesce(last_activity_at, created_at) < new.timestamp
        and (
            (select throttle_us from housekeeper_activity) = 0
            or coalesce(last_activity_at, created_at) < strftime(
                '%Y-%m-%dT%H:%M:%f000Z',
                max(new.timestamp, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')),
                (select printf('-%.6f seconds', throttle_us / 1000000.0) from housekeeper_activity)
            )
        );
end;
