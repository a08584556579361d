-- What guests did, and whether they found their row.
create table guest_writes (
    act text not null,
    place integer not null,
    found integer not null,
    at text not null default (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);
-- What happened to rows.
create table audit (
    kind text not null,
    id text not null,
    was text not null,
    held_until text,
    decided_at text,
    at text not null default (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))
);
create trigger audit_expiry after update on bookings when new.status = 'Expired' begin
    insert into audit (kind, id, was, held_until, decided_at)
    values ('booking', new.booking_id, old.status, old.held_until, new.updated_at);
end;
create trigger audit_deletion before delete on sessions begin
    insert into audit (kind, id, was) values ('session', old.id, case when exists (
        select 1 from messages where user_id = old.user_id and sender = 'user' and content = 'keeps'
    ) then 'kept by a message' else 'idle' end);
end;
