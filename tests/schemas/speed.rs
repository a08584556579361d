//! A declared rule beside the job written by hand over the same rows. Run by hand: `-- --ignored
//! --nocapture speed`.

use std::time::{Duration, Instant};

use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::rule::{Rule, Value, age, eq, moment};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::{Job, Scope};

const AGE: Duration = Duration::from_secs(900);
const ROWS: u32 = 40_000;
const ROUNDS: usize = 5;

fn expirer() -> Rule {
    Rule::new("booking-expirer", "bookings")
        .due(age("created_at", AGE))
        .only(eq("status", "Pending"))
        .set("status", "Expired")
        .set("updated_at", Value::Now)
        .scope("user_id")
}

async fn run(job: &dyn Job) -> (u64, Duration) {
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
        rows += batch.counts.of("bookings") + batch.counts.of("sessions");
        match batch.next_cursor {
            None => return (rows, began.elapsed()),
            next => request.after = next,
        }
    }
}

fn told(what: &str, by_hand: &mut [Duration], by_rule: &mut [Duration]) {
    by_hand.sort();
    by_rule.sort();
    let (hand, rule) = (by_hand[ROUNDS / 2], by_rule[ROUNDS / 2]);
    let ratio = hand.as_secs_f64() / rule.as_secs_f64();
    println!(
        "{what}: by hand {hand:?} {by_hand:?}, by rule {rule:?} {by_rule:?}; the rule runs at {ratio:.2} of the job by hand"
    );
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn bookings_on_postgres() {
    use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
    use ractor_housekeeper::store::postgres::PostgresStore;
    use ractor_housekeeper::testing::PrivatePostgres;
    let Some(server) = PrivatePostgres::shared().expect("a server") else {
        return;
    };
    let url = server.fresh_database().expect("a database");
    let store = PostgresStore::connect(&url).expect("a URL");
    store.migrate(&[Schema::Booking]).await.expect("migrates");
    let mut conn = AsyncPgConnection::establish(&url)
        .await
        .expect("a connection");
    let hand = BookingExpirer::new(std::sync::Arc::new(store.clone()), Some(AGE)).expect("an age");
    let rule = store
        .rule(expirer().held_until("held_until"))
        .expect("a job");
    let (mut by_hand, mut by_rule) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (job, times) in [
            (&hand as &dyn Job, &mut by_hand),
            (&rule as &dyn Job, &mut by_rule),
        ] {
            let fill = format!(
                "truncate bookings; insert into bookings (booking_id, user_id, status, created_at, updated_at)
                 select md5(n::text), gen_random_uuid(), case when n % 5 = 0 then 'Pending' else 'Confirmed' end,
                     now() - interval '1 day' + n * interval '1 ms', now() from generate_series(1, {}) n",
                5 * ROWS
            );
            conn.batch_execute(&fill).await.expect("fills");
            conn.batch_execute("vacuum analyze bookings")
                .await
                .expect("analyzes");
            let (rows, time) = run(job).await;
            assert_eq!(rows, u64::from(ROWS));
            times.push(time);
        }
    }
    told("bookings, Postgres", &mut by_hand, &mut by_rule);
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn bookings_on_sqlite() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    use ractor_housekeeper::rule::Stamp;
    use ractor_housekeeper::store::sqlite::SqliteStore;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("speed.db");
    let store = SqliteStore::open(&path.to_string_lossy())
        .await
        .expect("a path");
    store.migrate(&[Schema::Booking]).await.expect("migrates");
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).expect("a connection");
    let hand = BookingExpirer::new(std::sync::Arc::new(store.clone()), Some(AGE)).expect("an age");
    let text = Stamp::Text("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned());
    let rule = expirer()
        .due(age(moment("created_at").stamp(text.clone()), AGE))
        .held_until(moment("held_until").stamp(text));
    let rule = store.rule(rule).expect("a job");
    let (mut by_hand, mut by_rule) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (job, times) in [
            (&hand as &dyn Job, &mut by_hand),
            (&rule as &dyn Job, &mut by_rule),
        ] {
            let fill = format!(
                "delete from bookings; insert into bookings (booking_id, user_id, status, created_at, updated_at)
                 select lower(hex(randomblob(16))), '00000000-0000-0000-0000-000000000001', case when value % 5 = 0 then 'Pending' else 'Confirmed' end,
                     strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + value, 'unixepoch') || '.000000Z', '2026-01-01T00:00:00.000000Z'
                 from (with recursive n(value) as (select 1 union all select value + 1 from n where value < {}) select value from n)",
                5 * ROWS
            );
            conn.batch_execute(&fill).expect("fills");
            conn.batch_execute("pragma wal_checkpoint(truncate); analyze")
                .expect("analyzes");
            let (rows, time) = run(job).await;
            assert_eq!(rows, u64::from(ROWS));
            times.push(time);
        }
    }
    told("bookings, SQLite", &mut by_hand, &mut by_rule);
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn sessions_on_postgres() {
    use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
    use ractor_housekeeper::booking::SessionCleaner;
    use ractor_housekeeper::store::postgres::PostgresStore;
    use ractor_housekeeper::testing::PrivatePostgres;
    let Some(server) = PrivatePostgres::shared().expect("a server") else {
        return;
    };
    let url = server.fresh_database().expect("a database");
    let store = PostgresStore::connect(&url).expect("a URL");
    store.migrate(&[Schema::Booking]).await.expect("migrates");
    let mut conn = AsyncPgConnection::establish(&url)
        .await
        .expect("a connection");
    let day = Duration::from_secs(86_400);
    let hand = SessionCleaner::new(std::sync::Arc::new(store.clone()), Some(day)).expect("an age");
    let rule = store.rule(SessionCleaner::rule(day)).expect("a job");
    let (mut by_hand, mut by_rule) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (job, times) in [
            (&hand as &dyn Job, &mut by_hand),
            (&rule as &dyn Job, &mut by_rule),
        ] {
            let fill = format!(
                "truncate sessions, messages, image_sent, video_sent;
                 insert into sessions (id, user_id, created_at)
                 select md5(n::text), lpad(to_hex(n), 32, '0')::uuid, now() - case when n % 5 = 0 then interval '9 days' else interval '1 hour' end + n * interval '1 ms'
                     from generate_series(1, {0}) n;
                 alter table messages disable trigger housekeeper_note_activity;
                 insert into messages (id, user_id, sender, timestamp)
                 select md5('m' || n), lpad(to_hex(n), 32, '0')::uuid, 'user', now() - case when n % 5 = 0 then interval '9 days' else interval '1 hour' end
                     from generate_series(1, {0}) n;
                 alter table messages enable trigger housekeeper_note_activity;
                 insert into image_sent (id, session_id) select md5('i' || n), md5(n::text) from generate_series(1, {0}) n;
                 insert into video_sent (id, session_id) select md5('v' || n), md5(n::text) from generate_series(1, {0}) n",
                5 * ROWS
            );
            conn.batch_execute(&fill).await.expect("fills");
            conn.batch_execute("vacuum analyze")
                .await
                .expect("analyzes");
            let (rows, time) = run(job).await;
            assert_eq!(rows, u64::from(ROWS));
            times.push(time);
        }
    }
    told("sessions, Postgres", &mut by_hand, &mut by_rule);
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn sessions_on_sqlite() {
    use diesel::connection::SimpleConnection;
    use diesel::{Connection, SqliteConnection};
    use ractor_housekeeper::booking::SessionCleaner;
    use ractor_housekeeper::store::sqlite::SqliteStore;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("speed.db");
    let store = SqliteStore::open(&path.to_string_lossy())
        .await
        .expect("a path");
    store.migrate(&[Schema::Booking]).await.expect("migrates");
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).expect("a connection");
    let day = Duration::from_secs(86_400);
    let hand = SessionCleaner::new(std::sync::Arc::new(store.clone()), Some(day)).expect("an age");
    let rule = store.rule(SessionCleaner::rule(day)).expect("a job");
    let (mut by_hand, mut by_rule) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (job, times) in [
            (&hand as &dyn Job, &mut by_hand),
            (&rule as &dyn Job, &mut by_rule),
        ] {
            let numbers = format!(
                "from (with recursive n(value) as (select 1 union all select value + 1 from n where value < {}) select value from n)",
                5 * ROWS
            );
            let fill = format!(
                "delete from video_sent; delete from image_sent; delete from messages; delete from sessions;
                 insert into sessions (id, user_id, created_at)
                 select lower(hex(randomblob(16))), printf('00000000-0000-0000-0000-%012x', value),
                     strftime('%Y-%m-%dT%H:%M:%S', case when value % 5 = 0 then 1700000000 else unixepoch('now') - 3600 end + value / 100, 'unixepoch') || '.000000Z' {numbers};
                 insert into image_sent (id, session_id) select lower(hex(randomblob(16))), id from sessions;
                 insert into video_sent (id, session_id) select lower(hex(randomblob(16))), id from sessions"
            );
            conn.batch_execute(&fill).expect("fills");
            conn.batch_execute("pragma wal_checkpoint(truncate); analyze")
                .expect("analyzes");
            let (rows, time) = run(job).await;
            assert_eq!(rows, u64::from(ROWS));
            times.push(time);
        }
    }
    told("sessions, SQLite", &mut by_hand, &mut by_rule);
}
