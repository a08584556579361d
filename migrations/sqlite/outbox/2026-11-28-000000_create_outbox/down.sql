drop table housekeeper_outbox;
