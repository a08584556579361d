//! The rows that are swept, and those that others work on.

use crate::support::Result;
use crate::support::database::{Database, Kind};
use crate::support::job::Job;

/// Makes the rows of a job anew, and lets the database settle. A fifth is due, in the order of its
/// places.
pub(crate) async fn fill(database: &mut Database, job: Job, rows: u64) -> Result<()> {
    let statements = match (&database.kind, job) {
        (Kind::Postgres { .. }, Job::Bookings) => POSTGRES_BOOKINGS,
        (Kind::Postgres { .. }, Job::Sessions) => POSTGRES_SESSIONS,
        (Kind::Sqlite { .. }, Job::Bookings) => SQLITE_BOOKINGS,
        (Kind::Sqlite { .. }, Job::Sessions) => SQLITE_SESSIONS,
    };
    database
        .execute(&statements.replace("{rows}", &rows.to_string()))
        .await?;
    database.settle().await
}

const POSTGRES_BOOKINGS: &str = "
    truncate bookings;
    insert into bookings (booking_id, user_id, status, created_at)
    select md5(case n % 5 when 0 then 'due' when 1 then 'held' else 'paid' || n % 5 end || n / 5),
        md5((n % 1000)::text)::uuid,
        case when n % 5 < 2 then 'Pending' else 'Confirmed' end,
        case when n % 5 = 1 then now() - interval '1 hour' else now() - interval '30 days' + make_interval(secs => n / 5) end
    from generate_series(0, {rows} - 1) as n";

const POSTGRES_SESSIONS: &str = "
    truncate sessions, image_sent, video_sent, messages;
    insert into sessions (id, user_id, created_at)
    select md5(n::text), md5(case n % 5 when 0 then 'idle' || n / 5 else 'live' || n - n / 5 - 1 end)::uuid,
        case when n % 5 = 0 then now() - interval '30 days' + make_interval(secs => n / 5) else now() - interval '10 minutes' end
    from generate_series(0, {rows} - 1) as n;
    insert into messages (id, user_id, sender, \"timestamp\")
    select md5(id || m), user_id, 'user', created_at + make_interval(secs => m)
    from sessions, generate_series(1, 2) as m where created_at < now() - interval '1 day';
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";

const SQLITE_BOOKINGS: &str = "
    delete from bookings;
    with recursive numbers(n) as (select 0 union all select n + 1 from numbers where n < {rows} - 1)
    insert into bookings (booking_id, user_id, status, created_at)
    select lower(hex(randomblob(16))), printf('00000000-0000-4000-8000-%012x', n % 1000),
        case when n % 5 = 0 then 'Pending' else 'Confirmed' end,
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-30 days', (n / 5) || ' seconds')
    from numbers";

const SQLITE_SESSIONS: &str = "
    delete from sessions;
    delete from messages;
    with recursive numbers(n) as (select 0 union all select n + 1 from numbers where n < {rows} - 1)
    insert into sessions (id, user_id, created_at)
    select lower(hex(randomblob(16))), printf('00000000-0000-4000-8000-%012x', n),
        case when n % 5 = 0 then strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-30 days', (n / 5) || ' seconds')
            else strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-10 minutes') end
    from numbers;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";
