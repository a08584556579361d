//! Rows that others hold, rows that are slow, and snapshots that others hold: what is free goes, at
//! speed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::rule::{Rule, at, children};
use ractor_housekeeper::store::postgres::PostgresStore;
use ractor_housekeeper::store::{Schema, Timeouts};
use ractor_housekeeper::testing::PrivatePostgres;
use ractor_housekeeper::{HousekeeperArguments, Job, Scope, start};

use crate::demands::{Host, ORDERS, orders, run};

/// Orders with a payment each, which go with them.
fn paid(orders: u32) -> String {
    format!(
        "{ORDERS} alter table payments drop constraint payments_order_id_fkey, add foreign key (order_id) references orders on delete cascade;
        insert into orders select 'o' || n, 'open', timestamptz '2026-01-10 11:00Z' - n * interval '1 ms' from generate_series(1, {orders}) n;
        insert into payments (order_id) select 'o' || n from generate_series(1, {orders}) n;"
    )
}

fn delete_with_payments() -> Rule {
    Rule::new("orders", "orders")
        .due(at("expires"))
        .delete()
        .with(children("payments", "order_id"))
}

async fn holding(host: &Host, sql: &str) -> AsyncPgConnection {
    let mut guest = host.connect().await;
    guest
        .batch_execute(&format!("begin; {sql}"))
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
    guest
}

/// Each wait for a lock is half as long as the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tenth_of_locked_rows_takes_little_of_the_time() {
    let Some(host) = Host::new(&paid(2_000)).await else {
        return;
    };
    let job = host.store.rule(delete_with_payments()).expect("a job");
    let guest = holding(&host, "select from payments where id % 10 = 7 for update").await;
    let began = Instant::now();

    let (handled, rejected) = run(&job, 200).await;

    let elapsed = began.elapsed();
    println!("1,800 free rows among 200 locked ones took {elapsed:?}");
    assert_eq!((handled.len(), rejected.len()), (1_800, 200));
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    drop(guest);
}

/// Waiting loads no database, so the pace does not pause for it, and rows that go one by one are no
/// sign of load: at the default pace, too, locked neighbours cost the others little, for a rule and
/// for the built-in jobs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locked_neighbours_cost_little_at_the_default_pace() {
    let fill = "
        insert into orders select 'o' || n, 'open', timestamptz '2026-01-10 11:00Z' - n * interval '1 ms' from generate_series(1, 1000) n;
        insert into payments (order_id) select 'o' || n from generate_series(1, 1000) n;
        insert into sessions (id, user_id, created_at) select 's' || n, gen_random_uuid(), '2026-01-01' from generate_series(1, 1000) n;
        insert into image_sent (id, session_id) select 'i' || n, 's' || n from generate_series(1, 1000) n;
        insert into bookings (booking_id, user_id, status, created_at) select 'b' || n, gen_random_uuid(), 'Pending', '2026-01-10 11:00Z' from generate_series(1, 1000) n;";
    let rooms = "create table rooms (id int primary key, free int not null); insert into rooms select n, 0 from generate_series(0, 99) n;
        create function free_room() returns trigger language plpgsql as $$ begin
            update rooms set free = free + 1 where id = substr(old.booking_id, 2)::int % 100; return new; end $$;
        create trigger free_room before update on bookings for each row execute function free_room();";
    let Some(host) = Host::new(&paid(0)).await else {
        return;
    };
    host.store.migrate(Schema::ALL).await.expect("tables");
    host.run(&format!("{rooms}{fill}")).await;
    let mut jobs = built_in(host.store.clone(), &BookingPolicy::default()).expect("jobs");
    jobs.push(Arc::new(
        host.store.rule(delete_with_payments()).expect("a job"),
    ));
    let names: Vec<_> = jobs.iter().map(|job| job.name()).collect();
    let mut arguments = HousekeeperArguments::new(jobs);
    arguments.config.job.schedule = Schedule {
        every: None,
        at_start: false,
        at_deadline: false,
        ..Schedule::default()
    };
    let housekeeper = start(None, arguments).await.expect("starts").housekeeper;
    let run_all = async || {
        let mut reports = Vec::new();
        for name in &names {
            let report = housekeeper.run_now(name.clone(), Scope::All).await;
            reports.push(report.expect("a report"));
        }
        reports
    };

    let free = run_all().await;
    host.run(&format!("delete from bookings;{fill}")).await;
    let guest = holding(
        &host,
        "select from payments where substr(order_id, 2)::int % 100 = 7 for update;
         select from image_sent where substr(id, 2)::int % 100 = 7 for update; select from rooms where id = 7 for update",
    )
    .await;
    let contended = run_all().await;

    for (free, report) in free.into_iter().zip(contended) {
        println!(
            "{}: {:?} alone, {:?} beside locked rows",
            report.job, free.elapsed, report.elapsed
        );
        assert_eq!(
            (free.rejected_count, report.rejected_count),
            (0, 10),
            "{report}"
        );
        let mut errors = report.rejected.iter().map(|row| row.error.as_str());
        assert!(
            errors.all(|error| error == "locked by another transaction"),
            "{report}"
        );
        // Ten waits of the lock timeout would take longer. Other tests may keep the machine busy.
        assert!(report.elapsed < Duration::from_secs(45), "{report}");
    }
    drop(guest);
    housekeeper.stop(None);
}

/// A trigger that needs three seconds for rows whose id begins with `b`, at a limit of one.
const SLOW: &str = "
    create function drag() returns trigger language plpgsql as $$ begin if old.id like 'b%' then perform pg_sleep(3); end if; return new; end $$;
    create trigger drag before update on orders for each row execute function drag();";

async fn slow_host(rows: &str) -> Option<(Host, PostgresStore)> {
    let host = Host::new(&format!("{ORDERS}{SLOW}{rows}")).await?;
    let timeouts = Timeouts {
        statement: Duration::from_secs(1),
        ..Timeouts::default()
    };
    let store = host.store.clone().with_timeouts(timeouts).expect("can be");
    Some((host, store))
}

/// The first run learns of it; later runs leave the row alone for a while, and say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_row_is_left_alone_for_a_while_and_named() {
    let rows = "insert into orders select case when n = 0 then 'b0' else 'o' || n end, 'open', '2026-01-10 11:00Z' from generate_series(0, 20) n";
    let Some((host, store)) = slow_host(rows).await else {
        return;
    };
    let job = store.rule(orders()).expect("a job");
    let (first, first_rejected) = run(&job, 100).await;
    host.run("insert into orders select 'p' || n, 'open', '2026-01-10 11:00Z' from generate_series(1, 20) n")
        .await;

    let (handled, rejected) = run(&job, 100).await;

    assert_eq!((first.len(), handled.len()), (20, 20));
    assert_eq!(
        first_rejected,
        [("b0".to_owned(), "writing it takes too long".to_owned())]
    );
    let [(id, error)] = rejected.as_slice() else {
        panic!("{rejected:?}");
    };
    assert_eq!(id, "b0");
    assert!(
        error.starts_with("writing it takes too long; it is tried again in "),
        "{error}"
    );
}

/// Slow rows before, between and behind the others, in batches of any size.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_rows_anywhere_in_a_batch_keep_no_others() {
    let rows = "insert into orders select case when n in (0, 7, 8, 19) then 'b' else 'o' end || n, 'open', timestamptz '2026-01-10 11:00Z' + n * interval '1 ms' from generate_series(0, 19) n";
    for limit in [1, 8, 100] {
        let Some((host, store)) = slow_host(rows).await else {
            return;
        };
        let job = store.rule(orders()).expect("a job");

        let (first, _) = run(&job, limit).await;
        host.run("update orders set status = 'open' where status = 'expired'; update orders set id = 'f' || id where id = 'b7'")
            .await;
        let (again, rejected) = run(&job, limit).await;

        assert_eq!(first.len(), 16, "{limit}");
        assert_eq!(again.len(), 17, "{limit}: {rejected:?}");
        let mut slow: Vec<String> = rejected.into_iter().map(|(id, _)| id).collect();
        slow.sort();
        assert_eq!(slow, ["b0", "b19", "b8"], "{limit}");
    }
}

/// The host's column or constant may have the name of a variable of the loop's language.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_texts_of_the_host_disturb_no_loop() {
    let orders = "
        create table orders (id text primary key, found boolean not null, sqlstate text, hkv_i int, at timestamptz not null, note text);
        create index on orders (at);
        create function refuse() returns trigger language plpgsql as $$ begin if old.id = 'x' then raise exception 'no'; end if; return new; end $$;
        create trigger refuse before update on orders for each row execute function refuse();
        insert into orders select v, false, 'open', 1, '2026-01-10 11:00Z' from unnest(array['x', 'y', 'z']) v";
    let Some(host) = Host::new(orders).await else {
        return;
    };
    let rule = Rule::new("orders", "orders")
        .due(at("at"))
        .only(ractor_housekeeper::rule::sql(
            "not found and sqlstate = 'open' and hkv_i = 1 and note is distinct from '$1 into $2'",
        ))
        .set("found", true)
        .set("note", "costs $1; '' into");
    let job = host.store.rule(rule).expect("a job");

    let (handled, rejected) = run(&job, 2).await;

    assert_eq!(handled.into_iter().collect::<Vec<_>>(), ["y", "z"]);
    assert_eq!(rejected, [("x".to_owned(), "no".to_owned())]);
    assert!(
        host.holds("select count(*) = 2 from orders where note = 'costs $1; '''' into' and found")
            .await
    );
}

/// Asked by a role with few rights, as by one with all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_holder_of_an_old_snapshot_is_named_to_any_role() {
    let Some(server) =
        PrivatePostgres::start_with(&["max_prepared_transactions=5"]).expect("a server")
    else {
        return;
    };
    let url = server.fresh_database().expect("a database");
    let role = "create role plain login; grant select, update on orders to plain;";
    let host = Host::on(url.clone(), &format!("{ORDERS}{role}")).await;
    let plain = PostgresStore::connect(&url.replace("housekeeper@", "plain@")).expect("a URL");
    let [all, few] = [&host.store, &plain].map(|store| store.rule(orders()).expect("a job"));
    assert_eq!(all.oldest_snapshot().await, None);
    assert_eq!(few.oldest_snapshot().await, None);

    let mut reader = host.connect().await;
    reader
        .batch_execute("set application_name = 'nightly dump'; begin isolation level repeatable read; select count(*) from orders")
        .await
        .expect("a snapshot");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let (known, hidden) = (all.oldest_snapshot().await, few.oldest_snapshot().await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let later = few.oldest_snapshot().await;

    let known = known.expect("a snapshot");
    assert!(
        known.holder.starts_with("backend ")
            && known
                .holder
                .ends_with(" (nightly dump, idle in transaction)"),
        "{known:?}"
    );
    assert!(known.age >= Duration::from_secs(1), "{known:?}");
    // When it was taken is hidden, so it is as old as the time since it was first seen.
    let (hidden, later) = (hidden.expect("a snapshot"), later.expect("a snapshot"));
    assert_eq!(
        hidden.holder.split(' ').nth(1),
        known.holder.split(' ').nth(1)
    );
    assert!(later.age >= Duration::from_millis(200), "{later:?}");

    reader.batch_execute("commit").await.expect("ends");
    let mut writer = host.connect().await;
    writer
        .batch_execute("begin; insert into orders values ('a', 'open', now()); prepare transaction 'in two phases'")
        .await
        .expect("is prepared");
    let prepared = few.oldest_snapshot().await.expect("a snapshot");
    assert_eq!(prepared.holder, "prepared transaction `in two phases`");
}

/// A snapshot that cannot be asked for fails nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_ask_for_snapshots_explains_nothing() {
    let Some(host) = Host::new(ORDERS).await else {
        return;
    };
    host.run("revoke select on pg_catalog.pg_stat_activity from public; create role outsider login; grant select, update on orders to outsider")
        .await;
    let url = host.url.replace("housekeeper@", "outsider@");
    let store = PostgresStore::connect(&url).expect("a URL");
    let job = store.rule(orders()).expect("a job");
    AsyncPgConnection::establish(&url)
        .await
        .expect("may connect");

    assert_eq!(job.oldest_snapshot().await, None);
    let (handled, _) = run(&job, 10).await;
    assert_eq!(handled.len(), 0);
}

/// A booking that was set back, and a session that was moved back, are found from the start alone;
/// what falls due is found at the floor, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_built_in_jobs_find_what_was_set_back_at_the_next_tick() {
    let sessions = "insert into sessions (id, user_id, created_at) values";
    let bookings = "insert into bookings (booking_id, user_id, status, created_at) values";
    for number in 0..2 {
        let Some(host) = Host::new("").await else {
            return;
        };
        host.store.migrate(Schema::ALL).await.expect("tables");
        let add = async |id: &str, day: &str| {
            host.run(&format!(
                "{sessions} ('{id}', gen_random_uuid(), '2025-12-{day}'); {bookings} ('{id}', gen_random_uuid(), 'Pending', '2026-01-{day}')"
            ))
            .await;
        };
        let job = built_in(host.store.clone(), &BookingPolicy::default())
            .expect("jobs")
            .swap_remove(number);
        let look = async |from_start| {
            job.prepare_run(from_start);
            let (handled, _) = run(&*job, 10).await;
            job.forecast(&[]).await.expect("a forecast");
            handled.into_iter().collect::<Vec<_>>()
        };

        add("a", "09").await;
        assert_eq!(look(true).await, ["a"]);
        assert_eq!(look(false).await, [""; 0]);
        add("back", "08").await;

        assert_eq!(look(false).await, [""; 0], "{}", job.name());
        assert_eq!(look(true).await, ["back"], "{}", job.name());
    }
}
