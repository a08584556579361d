//! One bad row, one long snapshot, one table that was never analyzed: the rest goes on, at speed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::Job;
use ractor_housekeeper::rule::{Rule, at, children, eq};
use ractor_housekeeper::store::Timeouts;
use ractor_housekeeper::testing::{ManualClock, PrivatePostgres};

use crate::demands::{Host, ORDERS, noon, orders, run};

/// Orders with a payment each, which go with them.
const PAID: &str = "alter table payments drop constraint payments_order_id_fkey,
        add foreign key (order_id) references orders on delete cascade;
    insert into orders select 'o' || n, 'open', timestamptz '2026-01-10 11:00Z' - n * interval '1 ms' from generate_series(1, 1000) n;
    insert into payments (order_id) select 'o' || n from generate_series(1, 1000) n;";

fn delete_with_payments() -> Rule {
    Rule::new("orders", "orders")
        .due(at("expires"))
        .delete()
        .with(children("payments", "order_id"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nine_tenths_of_the_free_rows_go_within_ten_seconds() {
    let Some(host) = Host::new(&format!("{ORDERS}{PAID}")).await else {
        return;
    };
    let job = host.store.rule(delete_with_payments()).expect("a job");
    // A neighbour holds a payment in every hundred orders.
    let mut guest = host.connect().await;
    guest
        .batch_execute("begin; select from payments where id % 100 = 7 for update")
        .await
        .expect("locks");
    let began = Instant::now();

    let (handled, rejected) = run(&job, 100).await;

    assert!(handled.len() >= 990 * 9 / 10, "{}", handled.len());
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(rejected.len() <= 10, "{rejected:?}");
    guest.batch_execute("commit").await.expect("frees");
    let (freed, rejected) = run(&job, 100).await;
    assert_eq!((handled.len() + freed.len(), rejected.len()), (1_000, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_a_trigger_wants_and_others_hold_keeps_no_rest() {
    let rooms = "create table rooms (id text primary key, free int not null); insert into rooms select 'r' || n, 0 from generate_series(0, 9) n;
        create function free_room() returns trigger language plpgsql as $$ begin
            update rooms set free = free + 1 where id = 'r' || right(old.id, 1); return new; end $$;
        create trigger free_room before update on orders for each row execute function free_room();
        insert into orders select 'o' || n, 'open', '2026-01-10 11:00Z' from generate_series(0, 99) n";
    let Some(host) = Host::new(&format!("{ORDERS}{rooms}")).await else {
        return;
    };
    let job = host.store.rule(orders()).expect("a job");
    let mut guest = host.connect().await;
    guest
        .batch_execute("begin; select from rooms where id = 'r3' for update")
        .await
        .expect("locks");

    let (handled, rejected) = run(&job, 50).await;

    assert_eq!((handled.len(), rejected.len()), (90, 10));
    assert!(
        rejected.iter().all(|(id, _)| id.ends_with('3')),
        "{rejected:?}"
    );
}

/// The first run learns of it; later runs lose the time of the slow row alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_row_does_not_cost_each_run_a_whole_batch() {
    let slow = "
        create function drag() returns trigger language plpgsql as $$ begin if old.id = 'b0' then perform pg_sleep(3); end if; return new; end $$;
        create trigger drag before update on orders for each row execute function drag();
        insert into orders select 'b' || n, 'open', '2026-01-10 11:00Z' from generate_series(0, 20) n";
    let Some(host) = Host::new(&format!("{ORDERS}{slow}")).await else {
        return;
    };
    let timeouts = Timeouts {
        statement: Duration::from_secs(1),
        ..Timeouts::default()
    };
    let store = host.store.clone().with_timeouts(timeouts).expect("can be");
    let job = store.rule(orders()).expect("a job");
    run(&job, 100).await;
    host.run("insert into orders select 'c' || n, 'open', '2026-01-10 11:00Z' from generate_series(0, 20) n")
        .await;

    let (handled, rejected) = run(&job, 100).await;

    assert_eq!((handled.len(), rejected.len()), (21, 1));
    let error = &rejected[0].1;
    assert!(error.contains("it is tried again in"), "{error}");
}

/// A constraint trigger that is deferred fires at the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_a_trigger_inserts_again_is_withheld() {
    for trigger in [
        "create trigger again after delete on orders for each row when (old.id = 'b') execute function again()",
        "create constraint trigger again after delete on orders deferrable initially deferred for each row when (old.id = 'b') execute function again()",
    ] {
        let again = format!(
            "create function again() returns trigger language plpgsql as $$ begin insert into orders values (old.*); return null; end $$; {trigger};
             insert into orders select id, 'open', '2026-01-10 11:00Z' from unnest(array['a', 'b', 'c']) as id"
        );
        let Some(host) = Host::new(&format!("{ORDERS}{again}")).await else {
            return;
        };
        let rule = Rule::new("orders", "orders").due(at("expires")).delete();
        let job = host.store.rule(rule).expect("a job");

        let (handled, rejected) = run(&job, 10).await;

        assert_eq!(
            handled,
            BTreeSet::from(["a".to_owned(), "c".to_owned()]),
            "{trigger}"
        );
        let said = "a trigger of the database withholds it".to_owned();
        assert_eq!(rejected, [("b".to_owned(), said)], "{trigger}");
    }
}

/// Triggers that undo a write, or let none happen, in three ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_a_trigger_undoes_is_not_counted_or_repeated() {
    let bodies = [
        ("before", "new.status := old.status; return new;"),
        ("before", "return null;"),
        (
            "after",
            "if new.status <> 'open' then update orders set status = 'open' where id = new.id; end if; return null;",
        ),
        // The instant is moved instead of the status.
        (
            "before",
            "new.status := 'open'; new.expires := old.expires - interval '1 day'; return new;",
        ),
    ];
    for (when, body) in bodies {
        let trigger = format!(
            "create function undo() returns trigger language plpgsql as $$ begin
                if old.id like 'x%' then {body} end if; return new; end $$;
             create trigger undo {when} update on orders for each row execute function undo();
             insert into orders select case when n % 7 = 0 then 'x' else 'o' end || n, 'open', '2026-01-10 11:00Z' from generate_series(1, 70) n"
        );
        let Some(host) = Host::new(&format!("{ORDERS}{trigger}")).await else {
            return;
        };
        let job = host.store.rule(orders()).expect("a job");

        let (handled, rejected) = run(&job, 20).await;
        let (again, rejected_again) = run(&job, 20).await;

        assert_eq!((handled.len(), rejected.len()), (60, 10), "{body}");
        assert_eq!((again, rejected_again.len()), (BTreeSet::new(), 10));
        assert!(
            rejected
                .iter()
                .all(|(id, error)| id.starts_with('x') && error.contains("withholds")),
            "{rejected:?}"
        );
    }
}

/// Without statistics the planner may think that the rows fit into a page, and read and sort all of
/// them for each batch: the last batch then costs what the first did, times the table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_never_analyzed_is_worked_off_at_one_speed() {
    let rows = "alter table orders set (autovacuum_enabled = off); alter table payments set (autovacuum_enabled = off);
        insert into orders select 'o' || n, 'open', timestamptz '2026-01-10 11:00Z' - n * interval '1 ms' from generate_series(1, 100000) n";
    let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
        return;
    };
    for rule in [orders(), orders().unless(related_payments())] {
        let job = host.store.rule(rule).expect("a job");
        host.run("update orders set status = 'open'").await;
        let began = Instant::now();

        let (handled, rejected) = run(&job, 1_000).await;

        assert_eq!((handled.len(), rejected.len()), (100_000, 0));
        // 1,350 a second were seen; without optimization this machine does ten times that.
        assert!(
            began.elapsed() < Duration::from_secs(40),
            "{:?}",
            began.elapsed()
        );
    }
}

fn related_payments() -> ractor_housekeeper::rule::Related {
    ractor_housekeeper::rule::related("payments", "order_id")
}

/// Rows that are gone lie in front of the oldest one that is left, for as long as a snapshot from
/// before is held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_run_beside_dead_rows_reads_no_more_than_without() {
    let Some(server) = PrivatePostgres::start_with(&[
        "shared_preload_libraries=pg_stat_statements",
        "track_activity_query_size=16384",
    ])
    .expect("a server") else {
        return;
    };
    let rows =
        "create extension pg_stat_statements; alter table orders set (autovacuum_enabled = off);
        insert into orders select 'next', 'open', timestamptz '2026-01-10 12:05Z'";
    let host = Host::on(
        server.fresh_database().expect("a database"),
        &format!("{ORDERS}{rows}"),
    )
    .await;
    let job = host.store.rule(orders()).expect("a job");
    let calm = pages(&host, &job, false).await;
    let mut reader = host.connect().await;
    reader
        .batch_execute("begin isolation level repeatable read; select count(*) from orders")
        .await
        .expect("a snapshot");
    host.run(
        "insert into orders select 'o' || n, 'open', timestamptz '2026-01-10 11:00Z' + n * interval '1 ms' from generate_series(1, 30000) n order by random();
         update orders set status = 'expired' where id <> 'next'",
    )
    .await;

    let from_start = pages(&host, &job, true).await;
    let at_floor = pages(&host, &job, false).await;
    // A row set back behind the floor waits for the next run from the start.
    host.run("insert into orders values ('back', 'open', '2026-01-10 10:00Z')")
        .await;
    job.prepare_run(false);
    let (not_yet, _) = run(&job, 10).await;
    job.prepare_run(true);
    let (found, _) = run(&job, 10).await;

    assert!(from_start > 10_000, "{from_start}");
    assert!(at_floor <= 2 * calm, "{at_floor} pages, {calm} without");
    assert_eq!(
        (not_yet, found),
        (BTreeSet::new(), ["back".to_owned()].into())
    );
}

/// Pages that an empty run reads.
async fn pages(host: &Host, job: &impl Job, from_start: bool) -> i64 {
    job.prepare_run(from_start);
    // Plans the statements, and looks once from the start.
    for _ in 0..2 {
        run(job, 100).await;
        job.forecast(&[]).await.expect("a forecast");
        job.prepare_run(from_start);
    }
    host.run("select pg_stat_statements_reset()").await;

    let (handled, _) = run(job, 100).await;
    job.forecast(&[]).await.expect("a forecast");

    assert_eq!(handled, BTreeSet::new());
    diesel::select(diesel::dsl::sql::<BigInt>(
        "(select coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint from pg_stat_statements where query like '%\"orders\"%')",
    ))
    .get_result(&mut host.connect().await)
    .await
    .expect("a count")
}

/// A hold that ends behind the floor is seen when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_ends_is_above_the_floor() {
    let bookings = "create table bookings (id text primary key, status text not null, at timestamptz not null, held timestamptz);
        insert into bookings values ('held', 'Pending', '2026-01-10 10:00Z', '2026-01-10 12:00:01Z'), ('done', 'Pending', '2026-01-10 11:00Z', null),
            ('later', 'Pending', '2026-01-10 12:30Z', null)";
    let Some(host) = Host::new(bookings).await else {
        return;
    };
    let rule = Rule::new("bookings", "bookings")
        .due(at("at"))
        .only(eq("status", "Pending"))
        .held_until("held")
        .set("status", "Expired");
    let job = host.store.rule(rule.clone()).expect("a job");
    job.prepare_run(true);
    let (first, _) = run(&job, 10).await;
    job.forecast(&[]).await.expect("a forecast");

    host.run("update bookings set held = null").await;
    job.prepare_run(false);
    let (then, _) = run(&job, 10).await;

    assert_eq!(first, ["done".to_owned()].into());
    assert_eq!(then, ["held".to_owned()].into());
}

/// A floor by a clock that was ahead hides rows that are due by the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_takes_the_floor_with_it() {
    let Some(host) = Host::new(ORDERS).await else {
        return;
    };
    let clock = std::sync::Arc::new(ManualClock::frozen(noon()));
    let store = host.store.clone().with_clock(clock.clone());
    let job = store.rule(orders()).expect("a job");
    job.prepare_run(true);
    run(&job, 10).await;
    job.forecast(&[]).await.expect("a forecast");
    let month = chrono::TimeDelta::days(30);
    // Each a deadline run that finds nothing.
    clock.advance_wall(month);
    job.prepare_run(false);
    run(&job, 10).await;
    job.forecast(&[]).await.expect("a forecast");
    clock.advance_wall(-month);
    host.run(
        "insert into orders values ('now', 'open', '2026-01-10 11:59:59Z'), ('soon', 'open', '2026-01-10 12:00:05Z')",
    )
    .await;

    job.prepare_run(false);
    let (handled, _) = run(&job, 10).await;
    let forecast = job.forecast(&[]).await.expect("a forecast");

    assert_eq!(handled, ["now".to_owned()].into());
    assert_eq!(forecast.next_due.map(|wait| wait.as_secs()), Some(5));
}
