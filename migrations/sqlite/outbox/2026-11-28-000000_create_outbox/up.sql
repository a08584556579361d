-- Entries that rules hand on, until they are acknowledged. Instants are microseconds since 1970.
create table housekeeper_outbox (
    id integer primary key autoincrement,
    rule text not null,
    topic text not null,
    -- The key of the row that was changed, as text.
    key text not null,
    -- The instant of the run that changed it.
    at integer not null check (typeof(at) = 'integer'),
    payload text not null,
    -- From then on the entry may be claimed; a lease moves it to its end.
    due_at integer not null check (typeof(due_at) = 'integer'),
    leased_by text,
    attempts integer not null default 0,
    last_error text,
    parked_at integer
);

-- Parked entries are in an index of their own, so that they slow no claim.
create index housekeeper_outbox_due on housekeeper_outbox (rule, due_at, id) where parked_at is null;
create index housekeeper_outbox_parked on housekeeper_outbox (rule, id) where parked_at is not null;
