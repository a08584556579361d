//! The cost of runs on Postgres in blocks that the server looked at: it depends neither on other
//! processes nor on the machine.

use std::sync::Arc;
use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::Job;
use ractor_housekeeper::PostgresStore;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::rule::{Rule, related};
use ractor_housekeeper::store::Schema;
use ractor_housekeeper::testing::ManualClock;

use crate::demands::{Host, ORDERS, noon, orders, run};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Rows, of which a fifth is due.
const ROWS: i64 = 20_000;

/// The planner's statistics of the tables.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Statistics {
    Fresh,
    /// The tables were never analyzed.
    None,
    /// They were analyzed when they were empty.
    OfEmptyTables,
    /// They were analyzed when no row was due.
    OfOtherRows,
    /// They say that a page holds a billion rows.
    OfTooManyRows,
    /// The role or the database discourages what finds single rows.
    OfNoUse,
}

struct Case {
    rule: Rule,
    table: &'static str,
    schema: &'static str,
    fill: &'static str,
}

/// Neither the lack of statistics nor wrong ones make a run look at more blocks. The batches are
/// small, so that the server has long decided between a generic and a custom plan.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_costs_the_same_whatever_the_planner_knows() {
    for case in cases() {
        let mut fresh = None;
        for statistics in [
            Statistics::Fresh,
            Statistics::None,
            Statistics::OfEmptyTables,
            Statistics::OfOtherRows,
            Statistics::OfTooManyRows,
            Statistics::OfNoUse,
        ] {
            let Some(host) = Host::new(case.schema).await else {
                return;
            };
            let blocks = blocks_of_run(&host, &case, statistics).await;
            let fresh = *fresh.get_or_insert(blocks);
            println!("{}, {statistics:?}: {blocks} blocks", case.rule.name());
            assert!(
                blocks * 10 <= fresh * 11,
                "{}, {statistics:?}: {blocks} blocks, with fresh statistics {fresh}",
                case.rule.name()
            );
        }
    }
}

async fn blocks_of_run(host: &Host, case: &Case, statistics: Statistics) -> i64 {
    if case.schema.is_empty() {
        let migrated = store(host).migrate(&[Schema::Booking]).await;
        migrated.expect("migrates");
    }
    let table = case.table;
    let fill = case.fill.replace("{rows}", &ROWS.to_string());
    host.run(&format!(
        "alter table {table} set (autovacuum_enabled = false)"
    ))
    .await;
    match statistics {
        Statistics::Fresh => {
            host.run(&fill).await;
            host.run("vacuum analyze").await;
        }
        Statistics::None => host.run(&fill).await,
        Statistics::OfEmptyTables => {
            host.run("analyze").await;
            host.run(&fill).await;
        }
        Statistics::OfOtherRows => {
            host.run(&fill.replace("interval '9 days'", "interval '1 minute'"))
                .await;
            host.run("analyze").await;
            host.run(&format!("truncate {table} cascade; {fill}")).await;
        }
        Statistics::OfTooManyRows => {
            host.run(&format!(
                "{fill}; analyze; update pg_class set reltuples = 1e9, relpages = 1 where oid in (select indexrelid from pg_index \
                 where indrelid = '{table}'::regclass union all select '{table}'::regclass)"
            ))
            .await;
        }
        Statistics::OfNoUse => {
            host.run(&fill).await;
            host.run("analyze").await;
            for setting in DISCOURAGING {
                host.run(&format!(
                    "do $$ begin execute format('alter database %I set {setting}', current_database()); end $$"
                ))
                .await;
            }
        }
    }
    let before = blocks(host, table, 0).await;
    let job = store(host).rule(case.rule.clone()).expect("a job");
    let (handled, rejected) = run(&job, 100).await;
    assert_eq!((handled.len(), rejected.len()), (4_000, 0));
    drop(job);
    blocks(host, table, 0).await - before
}

const DISCOURAGING: &[&str] = &[
    "enable_indexscan = off",
    "enable_indexonlyscan = off",
    "enable_tidscan = off",
    "enable_nestloop = off",
    "random_page_cost = 1000",
];

/// A store whose connections close with it.
fn store(host: &Host) -> PostgresStore {
    let clock = ManualClock::frozen(noon());
    let store = PostgresStore::connect(&host.url).expect("a URL");
    store.with_clock(Arc::new(clock))
}

fn cases() -> Vec<Case> {
    let sessions = "insert into sessions (id, user_id, created_at) select md5(n::text), lpad(to_hex(n), 32, '0')::uuid,
            timestamptz '2026-01-10 12:00Z' - case when n % 5 = 0 then interval '9 days' else interval '1 hour' end - n * interval '1 ms'
        from generate_series(1, {rows}) n;
        insert into image_sent (id, session_id) select md5('i' || n), md5(n::text) from generate_series(1, {rows}) n";
    let bookings = "insert into bookings (booking_id, user_id, status, created_at) select md5(n::text), lpad(to_hex(n), 32, '0')::uuid,
            case when n % 2 = 0 then 'Confirmed' else 'Pending' end,
            timestamptz '2026-01-10 12:00Z' - case when n % 10 in (1, 3) then interval '9 days' else interval '1 hour' end - n * interval '1 ms'
        from generate_series(1, {rows}) n";
    let open = "insert into orders select md5(n::text), 'open',
            timestamptz '2026-01-10 12:00Z' - case when n % 5 = 0 then interval '9 days' else interval '-1 hour' end + n * interval '1 ms'
        from generate_series(1, {rows}) n";
    vec![
        Case {
            rule: SessionCleaner::rule(DAY),
            table: "sessions",
            schema: "",
            fill: sessions,
        },
        Case {
            rule: BookingExpirer::rule(DAY),
            table: "bookings",
            schema: "",
            fill: bookings,
        },
        Case {
            rule: orders().unless(related("payments", "order_id")),
            table: "orders",
            schema: ORDERS,
            fill: open,
        },
    ]
}

/// An old snapshot keeps the entries of deleted rows. Deadline runs do not walk them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_entries_before_the_floor_cost_an_empty_run_nothing() {
    let rows = format!(
        "insert into orders select md5(n::text), 'open', timestamptz '2026-01-10 11:00Z' - n * interval '1 ms' from generate_series(1, {ROWS}) n;
         insert into orders values ('later', 'open', '2026-01-11 12:00Z');
         alter table orders set (autovacuum_enabled = false)"
    );
    let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
        return;
    };
    let mut snapshot = host.connect().await;
    snapshot
        .batch_execute("begin isolation level repeatable read; select count(*) from orders")
        .await
        .expect("a snapshot");
    let job = store(&host).rule(orders()).expect("a job");
    job.prepare_run(true);
    let (handled, _) = run(&job, 5_000).await;
    assert_eq!(handled.len(), 20_000);

    drop(job);
    let from_start = empty_runs(&host, orders(), &[true], 1).await;
    let from_floor = empty_runs(&host, orders(), &[true, false], 1).await - from_start;
    let unpaid = orders().unless(related("payments", "order_id"));
    let unpaid_from_start = empty_runs(&host, unpaid, &[true], 1).await;
    snapshot.batch_execute("rollback").await.expect("ends");
    drop(snapshot);
    host.run("vacuum orders").await;
    let without = empty_runs(&host, orders(), &[true], 0).await;

    println!(
        "an empty run looks at {from_start} blocks from the start, {unpaid_from_start} where payments keep orders, \
         {from_floor} from the floor, {without} without dead entries"
    );
    assert!(from_start > 10 * without, "{from_start} {without}");
    assert!(from_floor <= 2 * without, "{from_floor} {without}");
    // The batch walks the entries, and one statement of the forecast.
    assert!(
        unpaid_from_start * 4 < from_start * 5,
        "{unpaid_from_start} {from_start}"
    );
}

/// An import gives many rows one instant. With an index on the instant alone they are not sorted by
/// their key to find the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_one_instant_cost_an_empty_run_nothing() {
    let rows = format!(
        "insert into orders select md5(n::text), 'open', '2026-01-11 12:00Z' from generate_series(1, {ROWS}) n;"
    );
    let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
        return;
    };
    host.run("vacuum analyze orders").await;

    let blocks = empty_runs(&host, orders(), &[true], 0).await;

    println!("an empty run looks at {blocks} blocks beside {ROWS} rows of one instant");
    assert!(blocks < 50, "{blocks}");
}

/// Nor are they sorted for each batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_one_instant_costs_no_more_than_another() {
    let mut costs = Vec::new();
    for apart in ["n * interval '1 ms'", "interval '0'"] {
        let rows = format!(
            "insert into orders select md5(n::text), 'open', timestamptz '2026-01-10 11:00Z' + {apart} from generate_series(1, 4000) n;
             alter table orders set (autovacuum_enabled = false)"
        );
        let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
            return;
        };
        host.run("vacuum analyze orders").await;
        let job = store(&host).rule(orders()).expect("a job");

        let (handled, rejected) = run(&job, 100).await;

        assert_eq!((handled.len(), rejected.len()), (4_000, 0));
        drop(job);
        // Blocks of one instant lie beside each other, so their number says little.
        let fetched =
            "select idx_tup_fetch as value from pg_stat_user_tables where relname = 'orders'";
        closed(&host, 0).await;
        costs.push(number(&host, fetched).await);
    }
    let [apart, together] = costs[..] else {
        unreachable!("two were measured")
    };
    println!("{apart} rows fetched for instants apart, {together} for one instant");
    assert!(together * 10 <= apart * 13, "{apart} {together}");
}

/// The blocks that runs without due rows look at, one after the other, each from the start or not.
async fn empty_runs(host: &Host, rule: Rule, runs: &[bool], others: i64) -> i64 {
    let before = blocks(host, "orders", others).await;
    let job = store(host).rule(rule).expect("a job");
    for from_start in runs {
        job.prepare_run(*from_start);
        let (handled, _) = run(&job, 100).await;
        assert_eq!(handled.len(), 0);
        job.forecast(&[]).await.expect("a forecast");
    }
    drop(job);
    blocks(host, "orders", others).await - before
}

/// Blocks of a table and its indexes that were looked at, in memory or not.
async fn blocks(host: &Host, table: &str, others: i64) -> i64 {
    closed(host, others).await;
    let looked_at = format!(
        "select coalesce(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit, 0)::bigint as value
         from pg_statio_user_tables where relid = '{table}'::regclass"
    );
    number(host, &looked_at).await
}

/// Waits until all connections but these are closed: they report their work when they close.
async fn closed(host: &Host, others: i64) {
    let open = "select count(*) as value from pg_stat_activity
        where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()";
    while number(host, open).await > others {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

async fn number(host: &Host, query: &str) -> i64 {
    let mut conn = host.connect().await;
    let found: Number = diesel::sql_query(query)
        .get_result(&mut conn)
        .await
        .expect("a number");
    found.value
}
