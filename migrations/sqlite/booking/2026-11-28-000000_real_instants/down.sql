pragma writable_schema = on;
update sqlite_master set sql = replace(replace(replace(replace(replace(replace(sql,
    '(created_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(created_at, 1, 19), ''+0 days'') is substr(created_at, 1, 19))',
    '(created_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')'),
    '(last_activity_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(last_activity_at, 1, 19), ''+0 days'') is substr(last_activity_at, 1, 19))',
    '(last_activity_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')'),
    '(timestamp glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(timestamp, 1, 19), ''+0 days'') is substr(timestamp, 1, 19))',
    '(timestamp glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')'),
    '(held_until glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(held_until, 1, 19), ''+0 days'') is substr(held_until, 1, 19))',
    '(held_until glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')'),
    '(updated_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(updated_at, 1, 19), ''+0 days'') is substr(updated_at, 1, 19))',
    '(updated_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')'),
    '(booking_date glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'' and date(booking_date, ''+0 days'') is booking_date)',
    '(booking_date glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'')')
where type = 'table' and name in ('sessions', 'messages', 'bookings');
pragma writable_schema = reset;
-- Has other connections read the tables anew.
create table housekeeper_schema_changed (x);
drop table housekeeper_schema_changed;
