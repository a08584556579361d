//! Rules on servers and for roles that may not do everything: what cannot work is refused, and what
//! works is not.

use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::rule::{Rule, at, children, eq, related};
use ractor_housekeeper::store::postgres::PostgresStore;
use ractor_housekeeper::testing::PrivatePostgres;

use super::demands::{Host, ORDERS, orders, run};

async fn refused(store: &PostgresStore, rule: &Rule) -> Vec<String> {
    let findings = store.check_rule(rule).await.expect("a check");
    findings.refused.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_is_refused_until_it_is_promoted() {
    let Some(server) = PrivatePostgres::start().expect("a server") else {
        return;
    };
    let url = server.url();
    let connect = async || {
        let conn = AsyncPgConnection::establish(&url).await;
        conn.expect("a connection")
    };
    let rows = "insert into orders values ('a', 'open', '2026-01-10 11:00Z')";
    let mut conn = connect().await;
    let made = conn.batch_execute(&format!("{ORDERS}{rows}")).await;
    made.expect("is made");
    let folder: String = diesel::select(diesel::dsl::sql::<Text>(
        "current_setting('data_directory')",
    ))
    .get_result(&mut conn)
    .await
    .expect("a folder");
    drop(conn);
    server.stop().expect("stops");
    std::fs::write(format!("{folder}/standby.signal"), "").expect("becomes a standby");
    server.start_again().expect("starts as a standby");
    let store = PostgresStore::connect(&url).expect("a URL");

    let while_standby = refused(&store, &orders()).await;

    assert_eq!(
        while_standby,
        ["rule `orders`, table: the server is a standby, which only reads; connect to the primary"]
    );
    let promoted: bool = diesel::select(diesel::dsl::sql::<Bool>("pg_promote()"))
        .get_result(&mut connect().await)
        .await
        .expect("is asked");
    assert!(promoted);
    assert_eq!(refused(&store, &orders()).await, [""; 0]);
    let job = store.rule(orders()).expect("a job");
    assert_eq!(run(&job, 10).await.0.len(), 1);
}

/// A server beside this one whose tables are seen here: this one itself.
const FOREIGN: &str = "
    create extension postgres_fdw;
    do $$ begin
        execute format('create server here foreign data wrapper postgres_fdw options (host %L, dbname %L)',
            current_setting('unix_socket_directories'), current_database());
        execute format('create user mapping for current_user server here options (user %L)', current_user);
    end $$;
    create table refunds (order_id text, amount int);
    create foreign table far_orders (id text not null, status text, expires timestamptz) server here options (table_name 'orders');
    create foreign table far_refunds (order_id text, amount int) server here options (table_name 'refunds');
    insert into orders values ('a', 'open', '2026-01-10 11:00Z'), ('b', 'open', '2026-01-10 11:00Z');
    insert into refunds values ('a', 5)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_table_may_decide_but_is_not_cleaned() {
    let Some(host) = Host::new(ORDERS).await else {
        return;
    };
    if !host
        .holds("select exists (select from pg_available_extensions where name = 'postgres_fdw')")
        .await
    {
        return;
    }
    host.run(FOREIGN).await;
    let far = |name: &str| Rule::new("far", name).due(at("expires")).key(["id"]);
    let decides = orders().unless(related("far_refunds", "order_id"));

    assert_eq!(
        refused(&host.store, &far("far_orders").delete()).await,
        ["rule `far`, table: `far_orders` is a foreign table; name the table whose rows it shows"]
    );
    let with = far("orders")
        .with(children("payments", "order_id"))
        .with(children("far_refunds", "order_id"))
        .delete();
    assert_eq!(
        refused(&host.store, &with).await,
        [
            "rule `far`, with far_refunds: `far_refunds` is a foreign table; name the table whose rows it shows"
        ]
    );
    assert_eq!(
        refused(&host.store, &decides).await,
        [
            "rule `orders`, unless far_refunds: `far_refunds` is a foreign table, which no foreign key leads from, \
             so a row written while its parent is handled could be missed; name the table whose rows it shows, or accept it with `may_race`"
        ]
    );
    let decides = decides.may_race();
    assert_eq!(refused(&host.store, &decides).await, [""; 0]);
    let job = host.store.rule(decides).expect("a job");
    let (handled, rejected) = run(&job, 10).await;
    assert_eq!(handled.into_iter().collect::<Vec<_>>(), ["b"]);
    assert_eq!(rejected, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_security_is_refused_only_where_it_may_hide_rows() {
    let Some(host) = Host::new(ORDERS).await else {
        return;
    };
    let role: String = diesel::select(diesel::dsl::sql::<Text>(
        "(current_database() || '_app')::text",
    ))
    .get_result(&mut host.connect().await)
    .await
    .expect("a name");
    host.run(&format!(
        "create role {role} login; grant select, update on orders to {role}; grant select on payments to {role};
         insert into orders values ('a', 'open', '2026-01-10 11:00Z'), ('b', 'open', '2026-01-10 11:00Z')"
    ))
    .await;
    let app_url = host.url.replace("housekeeper@", &format!("{role}@"));
    let app = PostgresStore::connect(&app_url).expect("a URL");
    let unpaid = orders().unless(related("payments", "order_id").only(eq("id", 5)));
    let hides = |part: &str, table: &str| {
        format!(
            "rule `orders`, {part}: row security hides rows of `{table}` from this role; use one that bypasses it"
        )
    };
    let own = [hides("table", "orders")];
    let related = [hides("unless", "payments")];
    let steps: [(&str, &[String]); 9] = [
        ("select 1", &[]),
        ("alter table orders enable row level security", &own),
        (
            "create policy own on orders using (id = current_user::text)",
            &own,
        ),
        (
            "create policy reads on orders for select using (true)",
            &own,
        ),
        (
            "create policy writes on orders for update using (true)",
            &[],
        ),
        (
            "create policy few on orders as restrictive using (id <> 'b')",
            &own,
        ),
        (
            "drop policy few on orders; alter table payments enable row level security",
            &related,
        ),
        (
            "create policy others on payments to pg_monitor using (true)",
            &related,
        ),
        ("create policy all_of_them on payments using (true)", &[]),
    ];

    for (step, expected) in steps {
        host.run(step).await;
        assert_eq!(refused(&app, &unpaid).await, expected, "{step}");
        // Its owner sees all rows.
        assert_eq!(refused(&host.store, &unpaid).await, [""; 0], "{step}");
    }
    let job = app.rule(unpaid).expect("a job");
    let (handled, rejected) = run(&job, 10).await;
    assert_eq!((handled.len(), rejected), (2, Vec::new()));
}
