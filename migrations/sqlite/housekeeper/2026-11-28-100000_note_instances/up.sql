-- When each instance last ended a run that the history leaves out.
create table housekeeper_instances (
    instance text not null primary key,
    seen_at text not null
        check (seen_at glob '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z')
);
