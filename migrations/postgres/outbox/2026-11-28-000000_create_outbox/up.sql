-- Entries that rules hand on, until they are acknowledged.
create table housekeeper_outbox (
    id bigint generated always as identity primary key,
    rule text not null,
    topic text not null,
    -- The key of the row that was changed, as text.
    key text not null,
    -- The instant of the run that changed it.
    at timestamptz not null,
    payload json not null,
    -- From then on the entry may be claimed; a lease moves it to its end.
    due_at timestamptz not null,
    leased_by uuid,
    attempts integer not null default 0,
    last_error text,
    parked_at timestamptz
) with (autovacuum_vacuum_scale_factor = 0.02);

-- Parked entries are in an index of their own, so that they slow no claim.
create index housekeeper_outbox_due on housekeeper_outbox (rule, due_at, id) where parked_at is null;
create index housekeeper_outbox_parked on housekeeper_outbox (rule, id) where parked_at is not null;
