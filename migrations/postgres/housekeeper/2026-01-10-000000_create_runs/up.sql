-- Runs of the past, one line each; deadline runs of a minute share a line.
create table housekeeper_runs (
    key text primary key,
    job text not null,
    started_at timestamptz not null,
    -- The order in which lines were written, and when, by the database's clock: that of a host may
    -- have been wrong.
    number bigint not null,
    recorded_at timestamptz not null,
    runs bigint not null,
    -- JSON, kept as it was written: an error in it may hold what jsonb refuses.
    report text not null
);

create index housekeeper_runs_job_number on housekeeper_runs (job, number desc, started_at desc, key desc);
