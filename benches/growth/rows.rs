//! The rows that tables are filled with.

use crate::support::Result;
use crate::support::database::{Database, Kind};
use crate::support::job::Job;

/// Fills the tables of both jobs with rows of which none is due, now or within the hour.
pub(crate) async fn fill_with_live(database: &mut Database, rows: u64) -> Result<()> {
    for job in Job::ALL {
        let statements = match (&database.kind, job) {
            (Kind::Sqlite { .. }, Job::Bookings) => SQLITE_LIVE_BOOKINGS,
            (Kind::Sqlite { .. }, Job::Sessions) => SQLITE_LIVE_SESSIONS,
            (Kind::Postgres { .. }, Job::Bookings) => POSTGRES_LIVE_BOOKINGS,
            (Kind::Postgres { .. }, Job::Sessions) => POSTGRES_LIVE_SESSIONS,
        };
        fill(database, statements, rows).await?;
    }
    database.settle().await
}

/// Makes the rows of a job anew, all of them due; sessions with an image and a video record each.
pub(crate) async fn fill_with_due(database: &mut Database, job: Job, rows: u64) -> Result<()> {
    let statements = match (&database.kind, job) {
        (Kind::Sqlite { .. }, Job::Bookings) => SQLITE_DUE_BOOKINGS,
        (Kind::Sqlite { .. }, Job::Sessions) => SQLITE_DUE_SESSIONS,
        (Kind::Postgres { .. }, Job::Bookings) => POSTGRES_DUE_BOOKINGS,
        (Kind::Postgres { .. }, Job::Sessions) => POSTGRES_DUE_SESSIONS,
    };
    fill(database, statements, rows).await?;
    database.settle().await
}

async fn fill(database: &mut Database, statements: &str, rows: u64) -> Result<()> {
    let statements = statements.replace("{rows}", &rows.to_string());
    // A cache that holds the pages of random keys, or ten million rows take hours.
    let (before, after) = match database.kind {
        Kind::Sqlite { .. } => (
            "pragma cache_size = -4000000; pragma synchronous = off",
            "pragma cache_size = -2000; pragma synchronous = normal",
        ),
        Kind::Postgres { .. } => ("set synchronous_commit = off", "reset synchronous_commit"),
    };
    for statements in [before, &statements, after] {
        database.execute(statements).await?;
    }
    Ok(())
}

/// Four of five were paid or have expired long ago; a few have a hold.
const POSTGRES_LIVE_BOOKINGS: &str = "
    insert into bookings (booking_id, user_id, status, created_at, held_until)
    select md5(n::text), md5((n % 1000)::text)::uuid,
        case when n <= 20 or n % 5 = 0 then 'Pending' when n % 5 < 3 then 'Expired' else 'Confirmed' end,
        now() - case when n > 20 and n % 5 = 0 then make_interval(secs => n % 3600) else make_interval(days => 2 + n % 30, secs => n % 86400) end,
        case when n <= 20 then now() + interval '1 hour' end
    from generate_series(1, {rows}) as n";

/// Half began long ago, and their guests still write.
const POSTGRES_LIVE_SESSIONS: &str = "
    insert into messages (id, user_id, sender, timestamp)
    select md5(n::text), md5(n::text)::uuid, 'user', now() - make_interval(secs => n % 3600)
    from generate_series(1, {rows}) as n;
    insert into sessions (id, user_id, created_at, last_activity_at)
    select md5(n::text), md5(n::text)::uuid,
        now() - case when n % 2 = 0 then make_interval(days => 2 + n % 30) else interval '1 hour' end,
        now() - make_interval(secs => n % 3600)
    from generate_series(1, {rows}) as n";

const POSTGRES_DUE_BOOKINGS: &str = "
    truncate bookings;
    insert into bookings (booking_id, user_id, status, created_at)
    select md5(n::text), md5((n % 1000)::text)::uuid, 'Pending', now() - make_interval(days => 2 + n % 30, secs => n % 86400)
    from generate_series(1, {rows}) as n";

const POSTGRES_DUE_SESSIONS: &str = "
    truncate sessions, image_sent, video_sent;
    insert into sessions (id, user_id, created_at)
    select md5(n::text), md5(n::text)::uuid, now() - make_interval(days => 2 + n % 30, secs => n % 86400)
    from generate_series(1, {rows}) as n;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";

const SQLITE_LIVE_BOOKINGS: &str = "
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into bookings (booking_id, user_id, status, created_at, held_until)
    select printf('%08x%s', (n * 2654435761) % 4294967296, hex(n)),
        printf('00000000-0000-4000-8000-%012x', n % 1000),
        case when n <= 20 or n % 5 = 0 then 'Pending' when n % 5 < 3 then 'Expired' else 'Confirmed' end,
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || case when n > 20 and n % 5 = 0 then (n % 3600) || ' seconds' else (2 + n % 30) || ' days' end),
        case when n <= 20 then strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '+1 hours') end
    from numbers";

const SQLITE_LIVE_SESSIONS: &str = "
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into messages (id, user_id, sender, timestamp)
    select printf('%08x%s', (n * 2654435761) % 4294967296, hex(n)), printf('00000000-0000-4000-8000-%012x', n), 'user',
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || (n % 3600) || ' seconds')
    from numbers;
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into sessions (id, user_id, created_at, last_activity_at)
    select printf('%08x%s', (n * 2654435761) % 4294967296, hex(n)), printf('00000000-0000-4000-8000-%012x', n),
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || case when n % 2 = 0 then (2 + n % 30) || ' days' else '1 hours' end),
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || (n % 3600) || ' seconds')
    from numbers";

const SQLITE_DUE_BOOKINGS: &str = "
    delete from bookings;
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into bookings (booking_id, user_id, status, created_at)
    select printf('%08x%s', (n * 2654435761) % 4294967296, hex(n)),
        printf('00000000-0000-4000-8000-%012x', n % 1000), 'Pending',
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || (2 + n % 30) || ' days')
    from numbers";

const SQLITE_DUE_SESSIONS: &str = "
    delete from sessions;
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into sessions (id, user_id, created_at)
    select printf('%08x%s', (n * 2654435761) % 4294967296, hex(n)), printf('00000000-0000-4000-8000-%012x', n),
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-' || (2 + n % 30) || ' days')
    from numbers;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";
