drop table housekeeper_instances;
