-- Jobs that are paused for all replicas.
create table housekeeper_pauses (
    job text not null primary key,
    since text not null
        check (since glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    requested_by text
);

-- The instance that wrote the line; null in earlier lines.
alter table housekeeper_runs add column instance text;
create index housekeeper_runs_instance on housekeeper_runs (recorded_at, instance);
