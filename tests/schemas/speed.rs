//! A declared rule beside one plain statement over the same rows. Run by hand: `-- --ignored
//! --nocapture speed`.

use std::time::{Duration, Instant};

use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::{Job, Scope};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const ROWS: u32 = 40_000;
const ROUNDS: usize = 5;

/// Runs a job to its end. Returns the rows it handled and the time that took.
async fn run(job: &dyn Job, kind: &str) -> (u64, Duration) {
    let began = Instant::now();
    let bounds = job.begin_run().await.expect("a run begins");
    let mut rows = 0;
    let mut request = BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: 1_000.try_into().expect("is not zero"),
        after: None,
    };
    loop {
        let batch = job.batch(&request).await.expect("a batch");
        rows += batch.counts.of(kind);
        match batch.next_cursor {
            None => return (rows, began.elapsed()),
            next => request.after = next,
        }
    }
}

fn print(what: &str, plain: &mut [Duration], rule: &mut [Duration]) {
    plain.sort();
    rule.sort();
    let ratio = plain[ROUNDS / 2].as_secs_f64() / rule[ROUNDS / 2].as_secs_f64();
    println!(
        "{what}: one statement {plain:?}, the rule {rule:?}; it runs at {ratio:.2} of the statement"
    );
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
    use ractor_housekeeper::PostgresStore;
    use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
    use ractor_housekeeper::rule::Rule;
    use ractor_housekeeper::store::Schema;
    use ractor_housekeeper::testing::PrivatePostgres;

    use super::*;

    async fn compare(rule: Rule, kind: &str, fill: &str, plain: &str) {
        let Some(server) = PrivatePostgres::shared().expect("a server") else {
            return;
        };
        let url = server.fresh_database().expect("a database");
        let store = PostgresStore::connect(&url).expect("a URL");
        store.migrate(&[Schema::Booking]).await.expect("migrates");
        let mut conn = AsyncPgConnection::establish(&url)
            .await
            .expect("a connection");
        let job = store.rule(rule).expect("a job");
        let (mut by_statement, mut by_rule) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for is_rule in [false, true] {
                conn.batch_execute(fill).await.expect("fills");
                conn.batch_execute("vacuum analyze")
                    .await
                    .expect("analyzes");
                if is_rule {
                    let (rows, time) = run(&job, kind).await;
                    assert_eq!(rows, u64::from(ROWS));
                    by_rule.push(time);
                } else {
                    let began = Instant::now();
                    conn.batch_execute(plain).await.expect("is done");
                    by_statement.push(began.elapsed());
                }
            }
        }
        print(
            &format!("{kind}, Postgres"),
            &mut by_statement,
            &mut by_rule,
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "measures"]
    async fn bookings_on_postgres() {
        let fill = format!(
            "truncate bookings; insert into bookings (booking_id, user_id, status, created_at, updated_at)
             select md5(n::text), gen_random_uuid(), case when n % 5 = 0 then 'Pending' else 'Confirmed' end,
                 now() - interval '3 days' + n * interval '1 ms', now() from generate_series(1, {}) n",
            5 * ROWS
        );
        let plain = "update bookings set status = 'Expired', updated_at = now() where status = 'Pending'
            and created_at < now() - interval '1 day' and (held_until is null or held_until <= now())";
        compare(BookingExpirer::rule(DAY), "bookings", &fill, plain).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "measures"]
    async fn sessions_on_postgres() {
        let rows = 5 * ROWS;
        let age = "case when n % 5 = 0 then interval '9 days' else interval '1 hour' end";
        let fill = format!(
            "truncate sessions, messages, image_sent, video_sent;
             insert into sessions (id, user_id, created_at)
             select md5(n::text), lpad(to_hex(n), 32, '0')::uuid, now() - {age} + n * interval '1 ms' from generate_series(1, {rows}) n;
             insert into image_sent (id, session_id) select md5('i' || n), md5(n::text) from generate_series(1, {rows}) n;
             insert into video_sent (id, session_id) select md5('v' || n), md5(n::text) from generate_series(1, {rows}) n"
        );
        let plain = "delete from sessions where coalesce(last_activity_at, created_at) < now() - interval '1 day'";
        compare(SessionCleaner::rule(DAY), "sessions", &fill, plain).await;
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    use ractor_housekeeper::SqliteStore;
    use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
    use ractor_housekeeper::rule::Rule;
    use ractor_housekeeper::store::Schema;

    use super::*;

    async fn compare(rule: Rule, kind: &str, fill: &str, plain: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("speed.db");
        let path = path.to_string_lossy();
        let store = SqliteStore::open(&path).await.expect("a path");
        store.migrate(&[Schema::Booking]).await.expect("migrates");
        let mut conn = SqliteConnection::establish(&path).expect("a connection");
        conn.batch_execute("pragma foreign_keys = on; pragma synchronous = normal")
            .expect("is set");
        let job = store.rule(rule).expect("a job");
        let (mut by_statement, mut by_rule) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            for is_rule in [false, true] {
                conn.batch_execute(fill).expect("fills");
                conn.batch_execute("pragma wal_checkpoint(truncate); analyze")
                    .expect("analyzes");
                if is_rule {
                    let (rows, time) = run(&job, kind).await;
                    assert_eq!(rows, u64::from(ROWS));
                    by_rule.push(time);
                } else {
                    let began = Instant::now();
                    conn.batch_execute(plain).expect("is done");
                    by_statement.push(began.elapsed());
                }
            }
        }
        print(&format!("{kind}, SQLite"), &mut by_statement, &mut by_rule);
    }

    fn numbers() -> String {
        format!(
            "from (with recursive n(value) as (select 1 union all select value + 1 from n where value < {}) select value from n)",
            5 * ROWS
        )
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "measures"]
    async fn bookings_on_sqlite() {
        let fill = format!(
            "delete from bookings; insert into bookings (booking_id, user_id, status, created_at, updated_at)
             select lower(hex(randomblob(16))), '00000000-0000-0000-0000-000000000001', case when value % 5 = 0 then 'Pending' else 'Confirmed' end,
                 strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + value, 'unixepoch') || '.000000Z', '2026-01-01T00:00:00.000000Z' {}",
            numbers()
        );
        let plain =
            "update bookings set status = 'Expired', updated_at = '2026-01-02T00:00:00.000000Z'
            where status = 'Pending' and created_at < '2026-01-01' and held_until is null";
        compare(BookingExpirer::rule(DAY), "bookings", &fill, plain).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "measures"]
    async fn sessions_on_sqlite() {
        let fill = format!(
            "delete from video_sent; delete from image_sent; delete from messages; delete from sessions;
             insert into sessions (id, user_id, created_at)
             select lower(hex(randomblob(16))), printf('00000000-0000-0000-0000-%012x', value),
                 strftime('%Y-%m-%dT%H:%M:%S', case when value % 5 = 0 then 1700000000 else unixepoch('now') - 3600 end + value / 100, 'unixepoch') || '.000000Z' {};
             insert into image_sent (id, session_id) select lower(hex(randomblob(16))), id from sessions;
             insert into video_sent (id, session_id) select lower(hex(randomblob(16))), id from sessions",
            numbers()
        );
        let plain =
            "delete from sessions where coalesce(last_activity_at, created_at) < '2025-01-01'";
        compare(SessionCleaner::rule(DAY), "sessions", &fill, plain).await;
    }
}
