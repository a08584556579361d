//! The rows a sweep works on.

use crate::support::Result;
use crate::support::database::{Database, Kind};
use crate::support::job::{Job, clock};

/// How the age of rows goes with their place in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Older rows lie before younger ones, as they were made.
    AsMade,
    /// Not at all: the worst case.
    Scattered,
}

/// Empties the tables of a job.
pub(crate) async fn clear(database: &mut Database, job: Job) -> Result<()> {
    let statement = match (&database.kind, job) {
        (Kind::Sqlite { .. }, Job::Bookings) => "delete from bookings",
        (Kind::Sqlite { .. }, Job::Sessions) => "delete from sessions; delete from messages",
        (Kind::Postgres { .. }, Job::Bookings) => "truncate bookings",
        (Kind::Postgres { .. }, Job::Sessions) => {
            "truncate sessions, image_sent, video_sent, messages"
        }
    };
    database.execute(statement).await
}

/// Makes the rows of a job, each session that is due with five messages of its user's, an
/// image and a video record, and lets the database settle.
pub(crate) async fn fill(database: &mut Database, job: Job, rows: u64, order: Order) -> Result<()> {
    let statements = match (&database.kind, job) {
        (Kind::Sqlite { .. }, Job::Bookings) => SQLITE_BOOKINGS,
        (Kind::Sqlite { .. }, Job::Sessions) => SQLITE_SESSIONS,
        (Kind::Postgres { .. }, Job::Bookings) => POSTGRES_BOOKINGS,
        (Kind::Postgres { .. }, Job::Sessions) => POSTGRES_SESSIONS,
    };
    let seconds = match order {
        Order::AsMade => "n * (30 * 86400.0 / {rows})",
        // Prime to any number of rows that is likely to be given, so that all places are met.
        Order::Scattered => "(n * 7368787 % {rows}) * (30 * 86400.0 / {rows})",
    };
    let statements = statements
        .replace("{seconds}", seconds)
        .replace("{rows}", &rows.to_string());
    database.execute(&statements).await?;
    database.settle().await
}

/// Rows that are due.
pub(crate) async fn due(database: &mut Database, job: Job) -> Result<u64> {
    let (_, old) = clock(database);
    let count = match job {
        Job::Bookings => format!(
            "select count(*) as value from bookings where status = 'Pending' and created_at < {old}"
        ),
        Job::Sessions => format!(
            "select count(*) as value from sessions where coalesce(last_activity_at, created_at) < {old}"
        ),
    };
    Ok(database.number(&count).await?.unsigned_abs())
}

const SQLITE_BOOKINGS: &str = "
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into bookings (booking_id, user_id, status, created_at)
    select lower(hex(randomblob(16))),
        printf('00000000-0000-4000-8000-%012x', n % 1000),
        case when n % 5 = 0 then 'Pending' else 'Confirmed' end,
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-40 days', ({seconds}) || ' seconds')
    from numbers";

const SQLITE_SESSIONS: &str = "
    with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
    insert into sessions (id, user_id, created_at, last_activity_at)
    select printf('s%08x%s', (n * 2654435761) % 4294967296, hex(n)),
        printf('00000000-0000-4000-8000-%012x', n),
        strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-40 days', ({seconds}) || ' seconds'),
        case when n % 5 > 0 then strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 hours') end
    from numbers;
    insert into messages (id, user_id, sender, timestamp)
    select id || m, user_id, 'user', created_at from sessions, (select 1 as m union all select 2 union all select 3 union all select 4 union all select 5)
    where last_activity_at is null;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";

const POSTGRES_BOOKINGS: &str = "
    insert into bookings (booking_id, user_id, status, created_at)
    select md5(n::text), md5((n % 1000)::text)::uuid,
        case when n % 5 = 0 then 'Pending' else 'Confirmed' end,
        now() - interval '40 days' + make_interval(secs => {seconds})
    from generate_series(1::bigint, {rows}) as n";

const POSTGRES_SESSIONS: &str = "
    insert into sessions (id, user_id, created_at, last_activity_at)
    select md5(n::text), md5(n::text)::uuid,
        now() - interval '40 days' + make_interval(secs => {seconds}),
        case when n % 5 > 0 then now() - interval '1 hour' end
    from generate_series(1::bigint, {rows}) as n;
    insert into messages (id, user_id, sender, \"timestamp\")
    select id || m, user_id, 'user', created_at from sessions, generate_series(1, 5) as m where last_activity_at is null;
    insert into image_sent (id, session_id) select 'i' || id, id from sessions;
    insert into video_sent (id, session_id) select 'v' || id, id from sessions";
