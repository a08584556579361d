//! The plans of SQLite, and what a batch costs in statements.

use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use ractor_housekeeper::rule::{Rule, at};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::store::sqlite::{SqliteStore, timestamp_text};
use ractor_housekeeper::testing::MemoryBooking;

use super::SqliteUnderTest;
use crate::TestResult;
use crate::jobs::Jobs;
use crate::listening_pool;
use crate::plans::{RULE, TABLES, deliver_beside_parked, do_everything, second_of_each};
use crate::recorder::{Recorder, Statement};
use crate::rules::{idle_request, request};
use crate::world::{StoreUnderTest, clock, micro, now, user};

#[derive(diesel::QueryableByName)]
struct PlanStep {
    #[diesel(sql_type = BigInt)]
    #[diesel(column_name = "id")]
    _id: i64,
    #[diesel(sql_type = Text)]
    detail: String,
}

#[tokio::test]
async fn every_statement_of_the_jobs_uses_an_index() -> TestResult {
    let world = SqliteUnderTest::open().await?.ok_or("SQLite is built in")?;
    fill(&world).await?;
    let (jobs, traced) = listening(&world).await?;
    do_everything(&jobs).await?;
    let mut statements = traced.take_about(TABLES);
    statements.retain(|statement| !statement.sql.starts_with("EXPLAIN"));

    // Before the planner knows anything about the rows, after, and when it takes them for twenty
    // times as many.
    for statistics in [
        "",
        "analyze",
        "update sqlite_stat1 set stat = (cast(stat as integer) * 20) || substr(stat, instr(stat, ' ')); analyze sqlite_master",
    ] {
        world.sql(statistics).await?;
        let mut all_steps = String::new();
        for statement in &statements {
            let plan = explain(&world, statement).await?;
            for step in &plan {
                let scans = TABLES
                    .iter()
                    .any(|table| step.starts_with(&format!("SCAN {table}")));
                assert!(
                    !scans || step.contains("INDEX"),
                    "{}: {plan:#?}",
                    statement.sql
                );
                // Only what a run looks up is put in another order than the one it is found in, and
                // what is few: one user's rows.
                let wanted = [LOOK_UP, OF_USER]
                    .iter()
                    .any(|part| statement.sql.contains(part));
                assert!(
                    wanted || !step.contains("TEMP B-TREE"),
                    "{}: {plan:#?}",
                    statement.sql
                );
                // A look-up reads many more rows than are handled at once.
                let all_users = !statement.sql.contains(OF_USER);
                let reads = ["SEARCH sessions", "SEARCH bookings"];
                let reads_rows = reads.iter().any(|start| step.starts_with(start));
                let looks_up = statement.sql.contains(LOOK_UP) && all_users && reads_rows;
                assert!(
                    !looks_up || step.contains("COVERING INDEX"),
                    "{}: {plan:#?}",
                    statement.sql
                );
                all_steps.push_str(step);
                all_steps.push('\n');
            }
        }
        for index in [
            "sessions_activity",
            "messages_of_user",
            "bookings_pending",
            "bookings_held",
            "bookings_pending_of_user",
        ] {
            assert!(
                all_steps.contains(&format!(" {index} ")),
                "{index}: {all_steps}"
            );
        }
    }
    println!("{} statements", statements.len());
    Ok(())
}

#[tokio::test]
async fn parked_entries_are_beside_the_way_of_a_delivery() -> TestResult {
    let world = SqliteUnderTest::empty().await?;
    world.store.migrate(&[Schema::Outbox]).await?;
    let at = now().timestamp_micros() - 3_600_000_000;
    let numbers =
        "with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n <";
    world
        .sql(&format!(
            "{numbers} 20000) insert into housekeeper_outbox (rule, topic, key, at, payload, due_at, attempts, parked_at)
                select '{RULE}', 'orders', 'k' || n, {at}, '{{}}', {at}, 20, {at} from numbers;
             {numbers} 10) insert into housekeeper_outbox (rule, topic, key, at, payload, due_at)
                select '{RULE}', 'orders', 'k' || n, {at}, '{{}}', {at} from numbers"
        ))
        .await?;

    for statistics in ["", "analyze"] {
        world.sql(statistics).await?;
        let traced = Recorder::default();
        let store = listening_store(&world, &traced).await?;

        let claimed = deliver_beside_parked(&store).await?;

        assert!(claimed >= 9, "{claimed}");
        let statements = traced.take_with("housekeeper_outbox");
        for statement in &statements {
            let plan = explain(&world, statement).await?;
            let scans = plan.iter().any(|step| {
                step.starts_with("SCAN housekeeper_outbox")
                    || step.starts_with("SCAN o")
                    || step.contains("INTEGER PRIMARY KEY (rowid>")
            });
            assert!(!scans, "{}: {plan:#?}", statement.sql);
        }
        assert!(statements.len() >= 9, "{statements:#?}");
        world
            .sql("update housekeeper_outbox set leased_by = null, due_at = at where parked_at is null")
            .await?;
    }
    Ok(())
}

/// A place is one bound of the index, so that a page, or a batch of a table without addresses,
/// reads no row before it again.
#[tokio::test]
async fn a_batch_goes_on_behind_its_place_by_the_index() -> TestResult {
    let world = SqliteUnderTest::empty().await?;
    let now = now().timestamp();
    world
        .sql(&format!(
            "create table notes (id text primary key, at integer not null) without rowid; create index notes_at on notes (at, id);
             with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 100)
             insert into notes select 'n' || n, {now} - 1000 + n from numbers"
        ))
        .await?;
    let traced = Recorder::default();
    let store = listening_store(&world, &traced).await?;
    let rule = Rule::new("notes", "notes").due(at("at").seconds());
    let job = store.rule(rule.delete())?;

    let statements = second_of_each(&job, &traced).await?;

    for statement in statements {
        let plan = explain(&world, &statement).await?;
        assert!(
            matches!(plan.as_slice(), [step] if step.ends_with("(at>? AND at<?)")),
            "{plan:#?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_of_bookings_is_one_write_and_one_query() -> TestResult {
    let world = SqliteUnderTest::open().await?.ok_or("SQLite is built in")?;
    for id in ["a", "b"] {
        let booking = MemoryBooking::pending(id, user(1), now() - micro());
        world.booking(&booking).await?;
    }
    let (jobs, traced) = listening(&world).await?;
    let mut pass = request(now(), 1);

    let first = jobs.expire_bookings(&pass).await?;
    let at_first = traced.kinds();
    world
        .sql("update bookings set status = 'Confirmed' where booking_id = 'b'")
        .await?;
    pass.after = first.next_cursor;
    let second = jobs.expire_bookings(&pass).await?;
    let after_a_payment = traced.kinds();

    assert_eq!((first.ids.len(), second.ids.len()), (1, 0));
    // The look-up for the whole run.
    assert_eq!(at_first, ["SELECT", "UPDATE"]);
    assert_eq!(after_a_payment, ["UPDATE", "SELECT"]);
    Ok(())
}

#[tokio::test]
async fn sessions_are_updated_only_if_one_of_a_batch_is_active() -> TestResult {
    let world = SqliteUnderTest::open().await?.ok_or("SQLite is built in")?;
    world.session("a", user(1), now() - micro()).await?;
    let (jobs, traced) = listening(&world).await?;

    let idle = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;
    let of_an_idle_one = traced.kinds();
    world.session("b", user(2), now() - micro()).await?;
    world.message(user(2), "user", now()).await?;
    world
        .sql("update sessions set last_activity_at = null")
        .await?;
    let live = jobs.delete_idle_sessions(&idle_request(now(), 10)).await?;
    let of_a_live_one = traced.kinds();

    assert_eq!((idle.ids.len(), live.ids.len()), (1, 0));
    assert!(
        !of_an_idle_one.contains(&"UPDATE".to_owned()),
        "{of_an_idle_one:?}"
    );
    assert!(
        of_a_live_one.contains(&"UPDATE".to_owned()),
        "{of_a_live_one:?}"
    );
    Ok(())
}

/// Only a refusal is about single rows.
#[tokio::test]
async fn a_batch_that_fails_otherwise_is_not_repeated_row_by_row() -> TestResult {
    let world = SqliteUnderTest::open().await?.ok_or("SQLite is built in")?;
    world.session("a", user(1), now() - micro()).await?;
    let booking = MemoryBooking::pending("b", user(1), now() - micro());
    world.booking(&booking).await?;
    world
        .sql("create trigger lost before update on bookings begin insert into nowhere values (1); end;
              create trigger lost_too before delete on sessions begin insert into nowhere values (1); end")
        .await?;
    let (jobs, traced) = listening(&world).await?;

    let expired = jobs.expire_bookings(&request(now(), 10)).await;
    let of_bookings = traced.kinds();
    let deleted = jobs.delete_idle_sessions(&idle_request(now(), 10)).await;
    let of_sessions = traced.kinds();

    assert!(expired.is_err() && deleted.is_err());
    assert_eq!(of_bookings, ["SELECT", "UPDATE"]);
    let again = of_sessions.iter().filter(|kind| *kind == "DELETE").count();
    assert!(again <= 3, "of each table once: {of_sessions:?}");
    Ok(())
}

/// Rows of a look-up are sorted by their place in the file.
const LOOK_UP: &str = "ORDER BY hk_sorted";

const OF_USER: &str = "\"user_id\" = ?";

/// The plan does not depend on the values: those not given are null.
async fn explain(world: &SqliteUnderTest, statement: &Statement) -> TestResult<Vec<String>> {
    let mut conn = world.store.pool().get().await?;
    let plan: Vec<PlanStep> = diesel::sql_query(format!("explain query plan {}", statement.sql))
        .load(&mut conn)
        .await?;
    Ok(plan.into_iter().map(|step| step.detail).collect())
}

/// 5,000 of each kind: of the sessions 150 look idle and 100 are, of the bookings 250 are Pending.
async fn fill(world: &SqliteUnderTest) -> TestResult {
    let now = timestamp_text(now());
    let at = |age: &str| {
        format!("strftime('%Y-%m-%dT%H:%M:%f000Z', '{now}', printf('-%d seconds', {age}))")
    };
    let numbers = "with recursive numbers (n) as (select 0 union all select n + 1 from numbers where n < 4999)";
    let user = "printf('00000000-0000-0000-0000-%012x', n)";
    world
        .sql(&format!(
            "begin;
             {numbers} insert into sessions (id, user_id, created_at) select printf('s%05d', n), {user}, {} from numbers;
             {numbers} insert into messages (id, user_id, sender, timestamp) select printf('m%05d', n), {user}, 'user', {} from numbers where n >= 100;
             {numbers} insert into messages (id, user_id, sender, timestamp) select printf('r%05d', n), {user}, 'bot', {} from numbers;
             update sessions set last_activity_at = {} where id between 's00100' and 's00149';
             {numbers} insert into image_sent (id, session_id) select printf('i%05d', n), printf('s%05d', n) from numbers;
             {numbers} insert into video_sent (id, session_id) select printf('v%05d', n), printf('s%05d', n) from numbers;
             {numbers} insert into bookings (booking_id, user_id, status, created_at, held_until)
                select printf('b%05d', n), {user}, iif(n % 20 = 0, 'Pending', 'Confirmed'), {}, iif(n % 200 = 0, '9999-01-01T00:00:00.000000Z', null) from numbers;
             commit",
            at("2592000 + n"),
            at("n % 600 * 60"),
            at("n"),
            at("172800"),
            at("n")
        ))
        .await
}

/// A store on a host's pool whose connection records its statements.
async fn listening(world: &SqliteUnderTest) -> TestResult<(Jobs, Recorder)> {
    let traced = Recorder::default();
    let store = listening_store(world, &traced).await?;
    Ok((Jobs::over(store), traced))
}

async fn listening_store(world: &SqliteUnderTest, traced: &Recorder) -> TestResult<SqliteStore> {
    let recorder = traced.clone();
    let file = world.folder.path().join("test.db");
    let pool = listening_pool::pool(&file, move |event| recorder.record(&event)).await?;
    Ok(SqliteStore::with_pool(pool).with_clock(clock()))
}
