drop index housekeeper_runs_instance;
alter table housekeeper_runs drop column instance;
drop table housekeeper_pauses;
