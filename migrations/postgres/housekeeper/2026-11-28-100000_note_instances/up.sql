-- When each instance last ended a run that the history leaves out.
create table housekeeper_instances (
    instance text primary key,
    seen_at timestamptz not null
);
