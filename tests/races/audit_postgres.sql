-- What guests did, and whether they found their row.
create table guest_writes (
    act text not null,
    place integer not null,
    found integer not null,
    at timestamptz not null default clock_timestamp()
);
-- What happened to rows.
create table audit (
    kind text not null,
    id text not null,
    was text not null,
    held_until timestamptz,
    decided_at timestamptz,
    at timestamptz not null default clock_timestamp()
);
create function audit_expiry() returns trigger language plpgsql as $$ begin
    insert into audit values ('booking', new.booking_id, old.status, old.held_until, new.updated_at);
    return null;
end $$;
create trigger audit_expiry after update on bookings for each row when (new.status = 'Expired') execute function audit_expiry();
create function audit_deletion() returns trigger language plpgsql as $$ begin
    insert into audit (kind, id, was) values ('session', old.id, case when exists (
        select from messages where user_id = old.user_id and sender = 'user' and content = 'keeps'
    ) then 'kept by a message' else 'idle' end);
    return old;
end $$;
create trigger audit_deletion before delete on sessions for each row execute function audit_deletion();
