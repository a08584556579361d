-- An instant is not only of the right shape but one that there is: no 30th of February, no hour 25, no second 60.
--
-- Checks change nothing on disk, so the text of the tables is edited, as https://www.sqlite.org/lang_altertable.html describes. Rows
-- that are there already stay: the jobs reject those whose instants cannot be read.
pragma writable_schema = on;
update sqlite_master set sql = replace(replace(replace(replace(replace(replace(sql,
    '(created_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')',
    '(created_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(created_at, 1, 19), ''+0 days'') is substr(created_at, 1, 19))'),
    '(last_activity_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')',
    '(last_activity_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(last_activity_at, 1, 19), ''+0 days'') is substr(last_activity_at, 1, 19))'),
    '(timestamp glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')',
    '(timestamp glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(timestamp, 1, 19), ''+0 days'') is substr(timestamp, 1, 19))'),
    '(held_until glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')',
    '(held_until glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(held_until, 1, 19), ''+0 days'') is substr(held_until, 1, 19))'),
    '(updated_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'')',
    '(updated_at glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]Z'' and strftime(''%Y-%m-%dT%H:%M:%S'', substr(updated_at, 1, 19), ''+0 days'') is substr(updated_at, 1, 19))'),
    '(booking_date glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'')',
    '(booking_date glob ''[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'' and date(booking_date, ''+0 days'') is booking_date)')
where type = 'table' and name in ('sessions', 'messages', 'bookings');
pragma writable_schema = reset;
-- Has other connections read the tables anew.
create table housekeeper_schema_changed (x);
drop table housekeeper_schema_changed;
