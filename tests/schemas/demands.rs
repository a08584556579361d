//! Declared rules on Postgres beyond quiet tables: races, orders, slow rows, plans.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::rule::{
    Filter, Rule, Value, age, archive, at, children, column, eq, hand_on, name, related, sql,
};
use ractor_housekeeper::store::Timeouts;
use ractor_housekeeper::store::postgres::PostgresStore;
use ractor_housekeeper::testing::{ManualClock, PrivatePostgres, assert_conforms};
use ractor_housekeeper::{Job, Scope};

pub(crate) struct Host {
    pub(crate) url: String,
    pub(crate) store: PostgresStore,
}

impl Host {
    pub(crate) async fn new(schema: &str) -> Option<Self> {
        let server = PrivatePostgres::shared().expect("a server")?;
        Some(Self::on(server.fresh_database().expect("a database"), schema).await)
    }

    /// In a database whose texts are in the order of American English.
    pub(crate) async fn in_english(schema: &str) -> Option<Self> {
        let server = PrivatePostgres::shared().expect("a server")?;
        let url = server.fresh_database_in("en-US").expect("a database");
        Some(Self::on(url, schema).await)
    }

    pub(crate) async fn on(url: String, schema: &str) -> Self {
        let store = PostgresStore::connect(&url).expect("a URL");
        let store = store.with_clock(Arc::new(ManualClock::frozen(noon())));
        let host = Self { url, store };
        host.run(schema).await;
        host
    }

    pub(crate) async fn connect(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.url)
            .await
            .expect("a connection")
    }

    pub(crate) async fn run(&self, sql: &str) {
        let mut conn = self.connect().await;
        conn.batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    pub(crate) async fn holds(&self, question: &str) -> bool {
        let mut conn = self.connect().await;
        diesel::select(diesel::dsl::sql::<Bool>(&format!("({question})")))
            .get_result(&mut conn)
            .await
            .unwrap_or_else(|error| panic!("{error}: {question}"))
    }
}

pub(crate) fn noon() -> DateTime<Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}

pub(crate) fn orders() -> Rule {
    Rule::new("orders", "orders")
        .due(at("expires"))
        .only(eq("status", "open"))
        .set("status", "expired")
}

pub(crate) const ORDERS: &str = "
    create table orders (id text primary key, status text not null, expires timestamptz not null);
    create index on orders (expires) where status = 'open';
    create table payments (id bigserial primary key, order_id text references orders);
    create index on payments (order_id);";

pub(crate) type Rejected = Vec<(String, String)>;

/// Takes a rule through one run; returns what was handled and what was rejected.
pub(crate) async fn run(job: &(impl Job + ?Sized), limit: u32) -> (BTreeSet<String>, Rejected) {
    let bounds = job.begin_run().await.expect("a run begins");
    let (mut handled, mut rejected) = (BTreeSet::new(), Vec::new());
    let mut request = crate::first_batch(&bounds, limit);
    loop {
        let batch = job
            .batch(&request)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        handled.extend(batch.ids);
        rejected.extend(batch.rejected.into_iter().map(|row| (row.id, row.error)));
        match batch.next_cursor {
            None => return (handled, rejected),
            next => request.after = next,
        }
    }
}

/// A guest pays while the orders are picked: the pick is held up in its middle until the payment is
/// committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_order_that_is_paid_while_rows_are_picked_does_not_expire() {
    let slow = "
        create function slow(text) returns boolean language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(7); return true; end $$;
        insert into orders values ('a', 'open', '2026-01-10 11:00Z'), ('b', 'open', '2026-01-10 11:01Z')";
    let Some(host) = Host::new(&format!("{ORDERS}{slow}")).await else {
        return;
    };
    let rule = orders()
        .only(ractor_housekeeper::rule::sql("slow(orders.id)"))
        .unless(related("payments", "order_id"));
    let job = Arc::new(host.store.rule(rule).expect("a job"));
    // Compiles the plan before anything waits.
    job.forecast(&[]).await.expect("a forecast");
    let mut gate = host.connect().await;
    gate.batch_execute("begin; select pg_advisory_xact_lock(7)")
        .await
        .expect("closes");
    let running = tokio::spawn({
        let job = job.clone();
        async move { run(&*job, 10).await }
    });
    let waits = "select exists (select from pg_stat_activity where datname = current_database() and wait_event = 'advisory')";
    while !host.holds(waits).await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    host.run("insert into payments (order_id) values ('a'), ('b')")
        .await;
    gate.batch_execute("commit").await.expect("opens");

    let (handled, rejected) = running.await.expect("ends");
    assert_eq!((handled, rejected), (BTreeSet::new(), Vec::new()));
    assert!(
        host.holds("select count(*) = 2 from orders where status = 'open'")
            .await
    );
}

/// A child that is written and not committed holds its row by its foreign key, with the weakest
/// lock. A rule that a child decides, or that takes children along, passes such a row over, and
/// waits for none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_whose_child_is_not_committed_is_passed_over() {
    let rows = "insert into orders values ('a', 'open', '2026-01-10 11:00Z'), ('b', 'open', '2026-01-10 11:01Z')";
    let delete = || Rule::new("orders", "orders").due(at("expires")).delete();
    let table = [
        (orders().unless(related("payments", "order_id")), &["b"][..]),
        (
            orders().with(children("payments", "order_id").set_null()),
            &["b"],
        ),
        (delete().keeps(related("payments", "order_id")), &["b"]),
        (delete().with(children("payments", "order_id")), &["b"]),
        // Children are of no matter to it.
        (orders(), &["a", "b"]),
    ];
    for (rule, expected) in table {
        let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
            return;
        };
        let job = host.store.rule(rule.clone()).expect("a job");
        let mut guest = host.connect().await;
        guest
            .batch_execute("begin; insert into payments (order_id) values ('a')")
            .await
            .expect("pays");

        let ran = run(&job, 10).await;

        let expected = expected.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(ran, (expected, Vec::new()), "{rule:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_in_any_collation() {
    let rows = "insert into orders select c, 'open', '2026-01-10 11:00Z' from unnest(array['a','B','c','Ab','aB','_','ä','Z','z']) c;
        insert into orders values ('kept', 'open', '2026-01-10 10:00Z')";
    for english in [false, true] {
        let schema = format!("{ORDERS}{rows}");
        let host = if english {
            Host::in_english(&schema).await
        } else {
            Host::new(&schema).await
        };
        let Some(host) = host else { return };
        let job = host.store.rule(orders()).expect("a job");

        let handled = assert_conforms(&job, 1.try_into().expect("is not zero")).await;

        assert_eq!(handled.expect("conforms").len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_that_takes_too_long_is_rejected_and_the_rest_goes() {
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
    let began = Instant::now();

    let (handled, rejected) = run(&job, 100).await;

    assert_eq!(handled.len(), 20);
    let expected = ("b0".to_owned(), "writing it takes too long".to_owned());
    assert_eq!(rejected, [expected]);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_whose_child_somebody_holds_does_not_keep_the_others() {
    let rows = "alter table payments drop constraint payments_order_id_fkey, add foreign key (order_id) references orders on delete cascade;
        insert into orders select 'o' || n, 'open', '2026-01-10 11:00Z' from generate_series(1, 200) n;
        insert into payments (order_id) select 'o' || n from generate_series(1, 200) n";
    let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
        return;
    };
    let rule = Rule::new("orders", "orders")
        .due(at("expires"))
        .delete()
        .with(children("payments", "order_id"));
    let job = host.store.rule(rule).expect("a job");
    let mut guest = host.connect().await;
    guest
        .batch_execute("begin; update payments set id = -id where order_id in ('o7', 'o9')")
        .await
        .expect("locks");
    let began = Instant::now();

    let (handled, rejected) = run(&job, 100).await;

    assert_eq!(handled.len(), 198, "{rejected:?}");
    assert_eq!(rejected.len(), 2);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_the_session_is_none_of_the_rows() {
    let rows = "insert into orders select 'o' || n, 'open', '2026-01-10 11:00Z' from generate_series(1, 20) n";
    let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
        return;
    };
    let job = host.store.rule(orders()).expect("a job");
    let first = run_one(&job).await;
    // The connection's prepared statements are of no use any more.
    host.run("drop index orders_expires_idx; alter table orders alter status type varchar(20), alter id type varchar(64)")
        .await;

    let (handled, rejected) = run(&job, 100).await;

    assert_eq!(rejected, []);
    assert_eq!(handled.len() + first, 20);
}

/// Handles one batch of one row.
async fn run_one(job: &impl Job) -> usize {
    let bounds = job.begin_run().await.expect("a run begins");
    let request = crate::first_batch(&bounds, 1);
    job.batch(&request).await.expect("a batch").ids.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_related_row_without_a_foreign_key_is_refused_or_may_race() {
    let loose = "create table notes (order_id text); create view shown as select * from orders";
    let Some(host) = Host::new(&format!("{ORDERS}{loose}")).await else {
        return;
    };
    let check = async |rule: Rule| {
        let findings = host.store.check_rule(&rule).await.expect("a check");
        let refused = findings.refused.iter().map(ToString::to_string);
        refused.collect::<Vec<_>>()
    };
    let loose = orders().unless(related("notes", "order_id"));

    let refused = check(loose.clone()).await;

    assert_eq!(
        refused,
        [
            "rule `orders`, unless notes: no foreign key from `notes.order_id`, so a row written while its parent is handled could be missed; \
          add one, or accept it with `may_race`; run `alter table \"notes\" add foreign key (\"order_id\") references \"orders\" (\"id\")`"
        ]
    );
    assert_eq!(check(loose.may_race()).await, [""; 0]);
    let table = [
        (
            Rule::new("r", "shown").due(at("expires")).delete(),
            "rule `r`, table: `shown` is a view; name the table whose rows it shows",
        ),
        (
            Rule::new("r", "order").due(at("expires")).delete(),
            "rule `r`, table: there is no table `order`; did you mean `orders`?",
        ),
        (
            Rule::new("r", "orders")
                .due(at("status"))
                .set("status", "x"),
            "rule `r`, due: `status` is text: say `text` with its format",
        ),
        (
            Rule::new("r", "orders").due(at("expires")).delete(),
            "rule `r`, with: the foreign key payments.order_id keeps rows from going: declare it `with` (they go along) or `keeps` (such rows stay and are reported)",
        ),
        (
            orders().only(ractor_housekeeper::rule::sql("no_such(id)")),
            "rule `orders`, only: function no_such(text) does not exist",
        ),
    ];
    for (rule, expected) in table {
        assert_eq!(check(rule).await, [expected]);
    }
    let misspelt = Rule::new("r", "orders")
        .due(at("expire"))
        .set("expire", "infinity");
    let unknown = "`orders` has no column `expire`; did you mean `expires`?";
    let each = ["due", "set"].map(|part| format!("rule `r`, {part}: {unknown}"));
    assert_eq!(check(misspelt).await, each);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_an_index_or_statistics_is_told_from_one_with() {
    let rows = "insert into orders select 'o' || n, 'open', timestamptz '2026-01-10 11:00Z' - n * interval '1 s' from generate_series(1, 3000) n";
    let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
        return;
    };
    let advice = async || {
        let findings = host.store.check_rule(&orders()).await.expect("a check");
        let advice = findings.advice.iter().map(ToString::to_string);
        advice.collect::<Vec<_>>()
    };
    let backlog = "rule `orders`, due: 3,000 rows are due, which is most of the table; `expect_backlog` says that this is meant";

    assert_eq!(advice().await, [backlog]);
    host.run("drop index orders_expires_idx").await;
    assert_eq!(
        advice().await,
        [
            "rule `orders`, due: no index serves the order in which rows fall due, so each batch reads the whole table; run `create index concurrently on \"orders\" (\"expires\")`",
            backlog
        ]
    );
}

/// A hold puts a row off, and the forecast knows when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn holds_and_infinities_count_in_batch_preview_and_forecast() {
    let bookings = "create table bookings (id text primary key, status text not null, created_at timestamptz not null, held_until timestamptz);
        insert into bookings values ('now', 'Pending', '2026-01-10 11:44Z', null), ('over', 'Pending', '2026-01-10 11:00Z', '2026-01-10 12:00Z'),
            ('held', 'Pending', '2026-01-10 11:00Z', '2026-01-10 12:00:30Z'), ('forever', 'Pending', '2026-01-10 11:00Z', 'infinity'),
            ('ever', 'Pending', '-infinity', '-infinity'), ('never', 'Pending', 'infinity', null), ('soon', 'Pending', '2026-01-10 11:46Z', null)";
    let Some(host) = Host::new(bookings).await else {
        return;
    };
    let rule = Rule::new("bookings", "bookings")
        .due(age("created_at", Duration::from_secs(900)))
        .only(eq("status", "Pending"))
        .held_until("held_until")
        .set("status", "Expired");
    let job = host.store.rule(rule).expect("a job");

    let handled = assert_conforms(&job, 1.try_into().expect("is not zero")).await;

    assert_eq!(handled.expect("conforms"), ["ever", "over", "now"]);
    let forecast = job.forecast(&[]).await.expect("a forecast");
    assert_eq!(forecast.next_due, Some(Duration::from_secs(30)));
    assert_eq!(forecast.max_age, Some(Duration::from_secs(900)));
}

/// A rule with a role of the least privileges.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_privilege_is_named_with_its_grant() {
    let Some(host) = Host::new(ORDERS).await else {
        return;
    };
    let role: String = diesel::select(diesel::dsl::sql::<Text>(
        "(current_database() || '_keeper')::text",
    ))
    .get_result(&mut host.connect().await)
    .await
    .expect("a name");
    host.run(&format!(
        "create role {role} login; grant select on orders to {role}"
    ))
    .await;
    let url = host.url.replace("housekeeper@", &format!("{role}@"));
    let store = PostgresStore::connect(&url).expect("a URL");

    let findings = store.check_rule(&orders()).await.expect("a check");

    let refused = findings.refused.iter().map(ToString::to_string);
    let expected = format!(
        "rule `orders`, table: this role lacks update on `orders`; run `grant update on \"orders\" to \"{role}\"`"
    );
    assert_eq!(refused.collect::<Vec<_>>()[0], expected);
}

/// A trigger that sets a row back after it was written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_a_trigger_sets_back_is_withheld() {
    let stubborn = "
        create function back() returns trigger language plpgsql as $$ begin
            if new.id = 'o2' and new.status <> 'open' then update orders set status = 'open' where id = new.id; end if; return null; end $$;
        create trigger back after update on orders for each row execute function back();
        insert into orders select 'o' || n, 'open', '2026-01-10 11:00Z' from generate_series(1, 3) n";
    let Some(host) = Host::new(&format!("{ORDERS}{stubborn}")).await else {
        return;
    };
    let job = host.store.rule(orders()).expect("a job");

    let (handled, rejected) = run(&job, 10).await;

    assert_eq!(handled, BTreeSet::from(["o1".to_owned(), "o3".to_owned()]));
    let reason = "a trigger of the database withholds it".to_owned();
    assert_eq!(rejected, [("o2".to_owned(), reason)]);
}

diesel::table! {
    orders (id) {
        id -> Text,
        status -> Text,
        expires -> Timestamptz,
    }
}

/// Columns and conditions of a host that has diesel tables are checked by the compiler, and a
/// partial index serves them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typed_conditions_stand_where_text_does() {
    use diesel::{BoolExpressionMethods, ExpressionMethods};
    let rows = "insert into orders select 'o' || n, 'open', '2026-01-10 11:00Z' from generate_series(1, 5) n";
    let Some(host) = Host::new(&format!("{ORDERS}{rows}")).await else {
        return;
    };
    let open = orders::status.eq("open").and(orders::id.ne("o3"));
    let rule = Rule::new("orders", "orders")
        .due(at(name(orders::expires)))
        .only(Filter::postgres(orders::table, open))
        .set(name(orders::status), "expired");
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(
        (findings.refused, findings.advice),
        (Vec::new(), Vec::new())
    );
    assert!(serde_json::to_string(&rule).is_err());
    let job = host.store.rule(rule).expect("a job");

    let (handled, rejected) = run(&job, 2).await;

    assert_eq!((handled.len(), rejected), (4, Vec::new()));
    let changed = (orders::status.eq("gone"), orders::expires.eq(noon()));
    let rule = Rule::new("orders", "orders")
        .due(at(name(orders::expires)))
        .only(Filter::postgres(
            orders::table,
            orders::status.eq("expired"),
        ))
        .set_postgres(changed);
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, []);
    let job = host.store.rule(rule).expect("a job");

    let (handled, rejected) = run(&job, 2).await;

    assert_eq!((handled.len(), rejected), (4, Vec::new()));
    let gone =
        "select count(*) = 4 from orders where status = 'gone' and expires = '2026-01-10 12:00Z'";
    assert!(host.holds(gone).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_of_several_columns_are_matched_as_a_whole() {
    let tables = "create table posts (tenant text, id bigint, at timestamptz, primary key (tenant, id)); create index on posts (at);
        create table files (tenant text not null, post bigint, id bigint primary key, foreign key (post, tenant) references posts (id, tenant));
        create table marks (tenant text, post bigint, foreign key (tenant, post) references posts);
        create table pins (tenant text, post bigint, foreign key (tenant, post) references posts);
        create table seen (tenant text, post bigint, foreign key (tenant, post) references posts on delete cascade);
        create table parts (file bigint references files);
        insert into posts select t, n, '2026-01-10 11:00Z' from unnest(array['a', 'b']) t, generate_series(1, 3) n;
        insert into files values ('a', 1, 1), ('b', 1, 2), ('b', 3, 3); insert into marks values ('a', 1), ('b', 1);
        insert into pins values ('a', 2), ('b', 3); insert into seen values ('a', 1), ('a', 1), ('b', 2); insert into parts values (1), (1), (2);";
    let Some(host) = Host::new(tables).await else {
        return;
    };
    let rule = Rule::new("posts", "posts")
        .due(at("at"))
        .only(eq("tenant", "a"))
        .with(
            children("files", ["tenant", "post"])
                .with(children("parts", "file"))
                .show_count(),
        )
        .with(children("marks", ["tenant", "post"]).set_null())
        .with(children("seen", ["tenant", "post"]))
        .keeps(related("pins", ["post", "tenant"]))
        .delete();
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = host.store.rule(rule).expect("a job");
    let page = Page::default();
    let preview = job.preview(&Scope::All, &page).await.expect("a preview");
    assert_eq!(preview.rows[0].details["files"], "1");

    let (handled, rejected) = run(&job, 10).await;

    assert_eq!(handled.len(), 2, "{handled:?}");
    assert_eq!(
        rejected,
        [(
            "[\"a\", 2]".to_owned(),
            "kept by pins (post, tenant)".to_owned()
        )]
    );
    let left = "select (select count(*) from posts) = 4 and (select count(*) from files) = 2 and (select count(*) from parts) = 1 \
        and (select count(*) from marks where tenant is null and post is null) = 1 and (select count(*) from marks) = 2 \
        and (select count(*) from seen) = 1";
    assert!(host.holds(left).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_has_fewer_columns_and_its_own() {
    let tables = "create table posts (id bigint primary key, at timestamptz, body text); create index on posts (at);
        create table old_posts (id bigint primary key, at timestamptz, moved timestamptz not null, words int);
        insert into posts values (1, '2026-01-10 11:00Z', 'one two'), (2, '2026-01-10 13:00Z', 'later')";
    let Some(host) = Host::new(tables).await else {
        return;
    };
    let slim = archive("old_posts")
        .without(["body"])
        .column("moved", Value::Now)
        .column("words", sql("cardinality(string_to_array(body, ' '))"));
    let rule = Rule::new("posts", "posts").due(at("at")).archive(slim);
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = host.store.rule(rule).expect("a job");

    let (handled, _) = run(&job, 10).await;

    assert_eq!(handled.len(), 1);
    let moved = "select words = 2 and moved = '2026-01-10 12:00Z' and (select count(*) = 1 from posts) from old_posts";
    assert!(host.holds(moved).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_are_handed_on_and_keepers_are_named() {
    let posts = "create table posts (id bigint primary key, at bigint, owner text); create table files (id bigint primary key, post_id bigint not null references posts, path text);
        create table parts (file_id bigint not null references files); create table pins (post_id bigint references posts); create table outbox (path text, post bigint, at timestamptz);
        insert into posts values (1, 5, 'anna'), (2, 6, 'bert'), (3, 7, 'anna'); insert into files values (10, 1, 'x'), (11, 1, 'y'), (12, 3, 'z');
        insert into parts values (10), (10), (12); insert into pins values (2)";
    let Some(host) = Host::new(posts).await else {
        return;
    };
    let file = hand_on("outbox")
        .column("path", column("path"))
        .column("post", column("post_id"))
        .column("at", Value::Now);
    let rule = Rule::new("posts", "posts")
        .due(at("at").seconds())
        .with(
            children("files", "post_id")
                .with(children("parts", "file_id"))
                .hand_on(file),
        )
        .keeps(related("pins", "post_id"))
        .scope("owner")
        .delete();
    let findings = host.store.check_rule(&rule).await.expect("a check");
    assert_eq!(findings.refused, [], "{findings}");
    let job = host.store.rule(rule).expect("a job");

    let (handled, rejected) = run(&job, 10).await;

    assert_eq!(handled, BTreeSet::from(["1".to_owned(), "3".to_owned()]));
    assert_eq!(
        rejected,
        [("2".to_owned(), "kept by pins.post_id".to_owned())]
    );
    let emitted = "select string_agg(path || post, ',' order by path) = 'x1,y1,z3' and bool_and(at = '2026-01-10 12:00Z') from outbox";
    assert!(host.holds(emitted).await);
    assert!(
        host.holds("select (select count(*) from parts) = 0 and (select count(*) from files) = 0")
            .await
    );
}
