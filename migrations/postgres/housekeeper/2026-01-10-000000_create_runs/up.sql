-- Runs of the past, one line each; deadline runs of a minute share a line.
create table housekeeper_runs (
    key text primary key,
    job text not null,
    started_at timestamptz not null,
    runs bigint not null,
    -- JSON, kept as it was written: an error in it may hold what jsonb refuses.
    report text not null
);

create index housekeeper_runs_job_started_at on housekeeper_runs (job, started_at desc, key desc);
