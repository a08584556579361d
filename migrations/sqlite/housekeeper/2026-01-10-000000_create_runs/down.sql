drop table housekeeper_runs;
