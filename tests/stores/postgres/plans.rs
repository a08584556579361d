//! The plans of Postgres.

use diesel::sql_types::Text;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, bb8};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::rule::{Rule, at, related};
use ractor_housekeeper::store::Schema::{self, Booking, Housekeeper};
use ractor_housekeeper::store::postgres::PostgresStore;

use super::PostgresUnderTest;
use crate::TestResult;
use crate::jobs::Jobs;
use crate::plans::{RULE, TABLES, deliver_beside_parked, do_everything, second_of_each};
use crate::recorder::{Recorder, Statement};
use crate::world::{clock, now};

#[derive(diesel::QueryableByName)]
struct PlanStep {
    #[diesel(sql_type = Text)]
    #[diesel(column_name = "QUERY PLAN")]
    step: String,
}

#[tokio::test]
async fn every_statement_of_the_jobs_uses_an_index() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    fill(&world).await?;
    let traced = Recorder::default();
    do_everything(&Jobs::over(listening(&world, &traced).await?)).await?;
    let statements = traced.take_about(TABLES);

    let mut all_steps = String::new();
    let asked = |statement: &&Statement| !statement.sql.starts_with("EXPLAIN");
    for statement in statements.iter().filter(asked) {
        let plan = explain(&world, statement).await?;
        let scans = |table: &&&str| plan.contains(&format!("Seq Scan on {table}"));
        assert_eq!(TABLES.iter().find(scans), None, "{}: {plan}", statement.sql);
        all_steps.push_str(&plan);
    }

    for index in [
        "sessions_activity",
        "messages_of_user",
        "bookings_pending",
        "bookings_held",
        "bookings_pending_of_user",
    ] {
        assert!(
            all_steps.contains(&format!("{index} ")),
            "{index}: {all_steps}"
        );
    }
    println!("{} statements", statements.len());
    Ok(())
}

#[tokio::test]
async fn parked_entries_are_beside_the_way_of_a_delivery() -> TestResult {
    let Some(world) = PostgresUnderTest::empty()? else {
        return Ok(());
    };
    world.store.migrate(&[Schema::Outbox]).await?;
    let at = format!("'{}'::timestamptz - interval '1 hour'", now());
    world
        .sql(&format!(
            "insert into housekeeper_outbox (rule, topic, key, at, payload, due_at, attempts, parked_at)
                select '{RULE}', 'orders', 'k' || n, {at}, '{{}}', {at}, 20, {at} from generate_series(1, 100000) n;
             insert into housekeeper_outbox (rule, topic, key, at, payload, due_at)
                select '{RULE}', 'orders', 'k' || n, {at}, '{{}}', {at} from generate_series(1, 10) n;
             insert into housekeeper_outbox (rule, topic, key, at, payload, due_at)
                select 'other', 'orders', 'k' || n, {at}, '{{}}', {at} from generate_series(1, 100000) n;
             analyze housekeeper_outbox"
        ))
        .await?;
    let traced = Recorder::default();
    let store = listening(&world, &traced).await?;

    let claimed = deliver_beside_parked(&store).await?;

    assert_eq!(claimed, 10);
    let statements = traced.take_with("housekeeper_outbox");
    // Those that settle find their entries by id.
    let by_id = |sql: &str| sql.contains("where id = any($1)") || sql.contains("unnest(");
    for statement in statements.iter().filter(|it| !by_id(&it.sql)) {
        let plan = explain(&world, statement).await?;
        let scans = plan.contains("Seq Scan on housekeeper_outbox");
        let index = ["housekeeper_outbox_due", "housekeeper_outbox_parked"]
            .iter()
            .any(|index| plan.contains(index));
        assert!(index && !scans, "{}: {plan}", statement.sql);
    }
    assert!(statements.len() >= 9, "{statements:#?}");
    Ok(())
}

/// A place is one bound of the index, so that a batch reads no row before it again.
#[tokio::test]
async fn a_batch_goes_on_behind_its_place_by_the_index() -> TestResult {
    let Some(world) = PostgresUnderTest::empty()? else {
        return Ok(());
    };
    world
        .sql(&format!(
            "create table notes (id bigint primary key, at timestamptz not null); create index notes_at on notes (at, id);
             create table pins (id bigint primary key, note bigint references notes); create index on pins (note);
             insert into notes select n, '{}'::timestamptz - interval '1 day' + n * interval '1 s' from generate_series(1, 20000) n;
             analyze notes",
            now()
        ))
        .await?;
    let traced = Recorder::default();
    let store = listening(&world, &traced).await?;
    // A rule that may leave rows goes on behind a row, not with an instant.
    let rule = Rule::new("notes", "notes")
        .due(at("at"))
        .keeps(related("pins", "note"))
        .delete();
    let job = store.rule(rule)?;

    let statements = second_of_each(&job, &traced).await?;

    for statement in statements {
        let plan = explain(&world, &statement).await?;
        // Once for these values, and once for any.
        let bounded = plan
            .lines()
            .filter(|line| line.contains("Index Cond: ") && line.contains("ROW("));
        assert_eq!(bounded.count(), 2, "{plan}");
    }
    Ok(())
}

/// Without statistics the planner may think that a table has a handful of rows. The server counts
/// what it really reads, also for foreign keys and for rows that are written one by one.
#[tokio::test]
async fn tables_never_analyzed_are_read_by_index() -> TestResult {
    let Some(world) = PostgresUnderTest::open().await? else {
        return Ok(());
    };
    for table in TABLES {
        world
            .sql(&format!(
                "alter table {table} set (autovacuum_enabled = off)"
            ))
            .await?;
    }
    fill_unanalyzed(&world).await?;
    world.sql("create function refuse() returns trigger language plpgsql as $$ begin if old.id like '%3' then raise exception 'no'; end if; return old; end $$;
               create trigger refuse before delete on sessions for each row execute function refuse();
               alter table sessions disable trigger refuse")
        .await?;
    let PostgresUnderTest { store, jobs, url } = world;
    // The reads of connections are counted when they end.
    let mut observer = AsyncPgConnection::establish(&url).await?;
    drop((store, jobs));
    alone(&mut observer).await?;
    observer.batch_execute("select pg_stat_reset()").await?;

    let jobs = Jobs::over(PostgresStore::connect(&url)?.with_clock(clock()));
    do_everything(&jobs).await?;
    observer
        .batch_execute("alter table sessions enable trigger refuse")
        .await?;
    let one_by_one = jobs
        .delete_idle_sessions(&crate::rules::request(
            now() - chrono::TimeDelta::days(1),
            20,
        ))
        .await?;
    drop(jobs);
    alone(&mut observer).await?;

    assert_eq!((one_by_one.ids.len(), one_by_one.rejected.len()), (18, 2));
    let read: Vec<PlanStep> = diesel::sql_query(
        "select relname || ': ' || seq_tup_read as \"QUERY PLAN\" from pg_stat_user_tables where seq_tup_read > 0 and relname = any($1)",
    )
    .bind::<diesel::sql_types::Array<Text>, _>(TABLES)
    .load(&mut observer)
    .await?;
    let read: Vec<String> = read.into_iter().map(|table| table.step).collect();
    assert_eq!(read, [""; 0], "rows that were read without an index");
    let looked: Vec<PlanStep> = diesel::sql_query(
        "select relname::text as \"QUERY PLAN\" from pg_stat_user_tables where idx_scan > 0 and relname = any($1)",
    )
    .bind::<diesel::sql_types::Array<Text>, _>(TABLES)
    .load(&mut observer)
    .await?;
    assert_eq!(looked.len(), TABLES.len(), "the server has counted");
    Ok(())
}

/// Waits until the other connections to the database have ended.
async fn alone(observer: &mut AsyncPgConnection) -> TestResult {
    let others = "select pid::text as \"QUERY PLAN\" from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    loop {
        let left: Vec<PlanStep> = diesel::sql_query(others).load(observer).await?;
        if left.is_empty() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_clock_and_a_pause_are_read_in_one_statement() -> TestResult {
    use ractor_housekeeper::job::ReplicaPause;
    use ractor_housekeeper::model::RunHistory;
    let Some(world) = PostgresUnderTest::empty()? else {
        return Ok(());
    };
    let traced = Recorder::default();
    let store = listening(&world, &traced).await?;
    let job = crate::runs::built_in_job(store.clone(), "booking-expirer")?;
    let read = async || -> TestResult<usize> {
        traced.take_about(&[]);
        job.begin_run().await.map_err(|error| error.chain())?;
        Ok(traced
            .take_all()
            .iter()
            .filter(|one| one.sql.contains("clock_timestamp"))
            .count())
    };

    // Without the tables, the read of the clock finds that there are no pauses.
    assert_eq!(read().await?, 1);
    world.store.migrate(&[Housekeeper, Booking]).await?;
    assert!(
        read().await? >= 2,
        "it finds the table, and that others were made"
    );
    assert_eq!(read().await?, 1);
    let pause = ReplicaPause::new(now(), None);
    store.set_pause(&job.name(), Some(&pause)).await?;
    assert_eq!(read().await?, 1);
    assert_eq!(store.pause(&job.name()).await?, Some(pause));
    // A table that has gone fails one run.
    world.sql("drop table housekeeper_pauses").await?;
    assert!(job.begin_run().await.is_err());
    assert_eq!(read().await?, 1);
    Ok(())
}

/// A store on a host's pool whose connections record their statements.
async fn listening(world: &PostgresUnderTest, recorder: &Recorder) -> TestResult<PostgresStore> {
    let mut config = ManagerConfig::default();
    let recorder = recorder.clone();
    config.custom_setup = Box::new(move |url| {
        let (url, recorder) = (url.to_owned(), recorder.clone());
        Box::pin(async move {
            let mut conn = AsyncPgConnection::establish(&url).await?;
            conn.set_instrumentation(move |event: diesel::connection::InstrumentationEvent<'_>| {
                recorder.record(&event);
            });
            Ok(conn)
        })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(world.url.as_str(), config);
    let pool = bb8::Pool::builder().max_size(1).build(manager).await?;
    Ok(PostgresStore::with_pool(pool).with_clock(clock()))
}

/// The plan for these very values, and the one for any, which Postgres may take when a statement
/// has been used for a while.
async fn explain(world: &PostgresUnderTest, statement: &Statement) -> TestResult<String> {
    let (types, values): (Vec<_>, Vec<_>) = statement.values.iter().map(|v| literal(v)).unzip();
    let parenthesized = |list: &[String]| match list {
        [] => String::new(),
        list => format!("({})", list.join(", ")),
    };
    let mut conn = world.store.pool().get().await?;
    conn.batch_execute(&format!(
        "deallocate all; prepare asked {} as {}",
        parenthesized(&types),
        statement.sql
    ))
    .await?;
    let mut plans = String::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        conn.batch_execute(&format!("set plan_cache_mode = {mode}"))
            .await?;
        let execute = format!("explain execute asked {}", parenthesized(&values));
        let plan: Vec<PlanStep> = diesel::sql_query(execute).load(&mut conn).await?;
        plans.push_str(mode);
        plans.extend(plan.into_iter().map(|step| format!("\n{}", step.step)));
        plans.push('\n');
    }
    Ok(plans)
}

/// Type and value, as SQL. No text in these tests holds a quote.
fn literal(value: &str) -> (String, String) {
    let given = value
        .strip_prefix("Some(")
        .and_then(|it| it.strip_suffix(')'));
    let value = given.unwrap_or(value);
    let quoted = value.replace('"', "'");
    let (kind, literal) = if value == "None" {
        ("text", "null".to_owned())
    } else if quoted.starts_with("['(") {
        ("tid[]", format!("array{quoted}::tid[]"))
    } else if quoted.starts_with('[') {
        ("text[]", format!("array{quoted}::text[]"))
    } else if quoted.starts_with('\'') {
        ("text", quoted)
    } else if quoted == "true" {
        ("boolean", quoted)
    } else if quoted.parse::<i64>().is_ok() {
        ("bigint", quoted)
    } else if value.parse::<uuid::Uuid>().is_ok() {
        ("uuid", format!("'{value}'"))
    } else {
        ("timestamptz", format!("'{value}'"))
    };
    (kind.to_owned(), literal)
}

/// 100,000 of each kind: of the sessions 150 look idle and 100 are, of the bookings 30,000 are
/// Pending and 300 of them due. Most old ones are not Pending and most Pending ones not old, which
/// Postgres does not know: it expects that many are due.
async fn fill(world: &PostgresUnderTest) -> TestResult {
    fill_unanalyzed(world).await?;
    world.sql("analyze").await
}

async fn fill_unanalyzed(world: &PostgresUnderTest) -> TestResult {
    let now = format!("'{}'::timestamptz", now());
    let numbers = "from generate_series(0, 99999) n";
    let user = "lpad(to_hex(n), 32, '0')::uuid";
    world
        .sql(&format!(
            "insert into sessions (id, user_id, created_at, last_activity_at) select 's' || lpad(n::text, 5, '0'), {user}, {now} - interval '30 days' - n * interval '1 s',
                case when n >= 100 then {now} - n % 600 * interval '1 min' end {numbers};
             alter table messages disable trigger housekeeper_note_activity;
             insert into messages (id, user_id, sender, timestamp) select 'm' || n, {user}, 'user', {now} - n % 600 * interval '1 min' {numbers} where n >= 100;
             insert into messages (id, user_id, sender, timestamp) select 'r' || n, {user}, 'bot', {now} - n * interval '1 s' {numbers};
             alter table messages enable trigger housekeeper_note_activity;
             update sessions set last_activity_at = {now} - interval '2 days' where id between 's00100' and 's00149';
             insert into image_sent (id, session_id) select 'i' || n, 's' || lpad(n::text, 5, '0') {numbers};
             insert into video_sent (id, session_id) select 'v' || n, 's' || lpad(n::text, 5, '0') {numbers};
             insert into bookings (booking_id, user_id, status, created_at, held_until)
                select 'b' || n, {user}, case when n % 10 < 3 then 'Pending' else 'Confirmed' end,
                    {now} - case when n % 10 >= 3 then interval '30 days' when n < 1000 then interval '1 day' + n * interval '1 s' else n % 300 * interval '1 s' end,
                    case when n % 200 = 0 then {now} + interval '5 min' end {numbers}"
        ))
        .await
}
