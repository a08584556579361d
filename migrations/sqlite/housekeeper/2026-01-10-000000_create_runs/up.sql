-- Runs of the past, one line each; deadline runs of a minute share a line.
create table housekeeper_runs (
    key text not null primary key,
    job text not null,
    started_at text not null
        check (started_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    -- The order in which lines were written, and when: the clock may have been wrong.
    number integer not null,
    recorded_at text not null
        check (recorded_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'),
    runs integer not null,
    report text not null
);

create index housekeeper_runs_job_number on housekeeper_runs (job, number desc, started_at desc, key desc);
