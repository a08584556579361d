drop trigger housekeeper_note_activity;
drop table housekeeper_activity;
drop table bookings;
drop table video_sent;
drop table image_sent;
drop table messages;
drop table sessions;
