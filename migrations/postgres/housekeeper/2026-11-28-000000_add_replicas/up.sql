-- Jobs that are paused for all replicas.
create table housekeeper_pauses (
    job text primary key,
    since timestamptz not null,
    requested_by text
);

-- The instance that wrote the line; null in earlier lines.
alter table housekeeper_runs add column instance text;
create index housekeeper_runs_instance on housekeeper_runs (recorded_at, instance);
