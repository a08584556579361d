//! Entries that rules hand on: into the outbox, into the tables of queues, and to their functions.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::actors::Destination;
use ractor_housekeeper::model::{Claim, CourierStatus, Outbox, OutboxEntry};
use ractor_housekeeper::rule::{Rule, Value, age, call, children, eq, hand_on, json, outbox, sql};
use ractor_housekeeper::store::Schema;
#[cfg(feature = "postgres")]
use ractor_housekeeper::store::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::testing::ManualClock;
#[cfg(feature = "postgres")]
use ractor_housekeeper::testing::PrivatePostgres;
use ractor_housekeeper::{HousekeeperArguments, Job, start};
use serde_json::{Value as Json, json as object};

/// A store on a fresh database.
pub(crate) enum Host {
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
    #[cfg(feature = "sqlite")]
    Sqlite(
        SqliteStore,
        #[expect(dead_code, reason = "is removed on drop")] tempfile::TempDir,
    ),
}

#[derive(diesel::QueryableByName)]
struct Answer {
    #[diesel(sql_type = Text)]
    answer: String,
}

impl Host {
    /// One for each database that is there.
    pub(crate) async fn each() -> Vec<Self> {
        let clock = Arc::new(ManualClock::frozen(noon()));
        let mut hosts = Vec::new();
        #[cfg(feature = "postgres")]
        if let Some(server) = PrivatePostgres::shared().expect("a server") {
            let url = server.fresh_database().expect("a database");
            let store = PostgresStore::connect(&url).expect("a URL");
            hosts.push(Self::Postgres(store.with_clock(clock.clone())));
        }
        #[cfg(feature = "sqlite")]
        {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("app.db");
            let store = SqliteStore::open(&path.to_string_lossy())
                .await
                .expect("a path");
            hosts.push(Self::Sqlite(store.with_clock(clock), folder));
        }
        hosts
    }

    #[cfg(feature = "postgres")]
    pub(crate) async fn postgres() -> Option<Self> {
        let hosts = Self::each().await;
        hosts
            .into_iter()
            .find(|host| matches!(host, Self::Postgres(_)))
    }

    pub(crate) async fn migrate(&self) {
        let schemas = &[Schema::Outbox];
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.migrate(schemas).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => store.migrate(schemas).await,
        }
        .expect("migrates");
    }

    pub(crate) async fn run(&self, sql: &str) {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => {
                let mut conn = store.pool().get().await.expect("a connection");
                conn.batch_execute(sql).await
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => {
                let mut conn = store.pool().get().await.expect("a connection");
                conn.batch_execute(sql).await
            }
        }
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// The answer of a query of one text.
    pub(crate) async fn ask(&self, question: &str) -> String {
        let query = diesel::sql_query(format!("select cast(({question}) as text) as answer"));
        let answer: diesel::QueryResult<Answer> = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => {
                let mut conn = store.pool().get().await.expect("a connection");
                query.get_result(&mut *conn).await
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => {
                let mut conn = store.pool().get().await.expect("a connection");
                query.get_result(&mut *conn).await
            }
        };
        answer
            .unwrap_or_else(|error| panic!("{error}: {question}"))
            .answer
    }

    pub(crate) fn job(&self, rule: Rule) -> Box<dyn Job> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => Box::new(store.rule(rule).expect("a job")),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => Box::new(store.rule(rule).expect("a job")),
        }
    }

    pub(crate) async fn findings(&self, rule: &Rule) -> String {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.check_rule(rule).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => store.check_rule(rule).await,
        }
        .expect("a check")
        .refused
        .iter()
        .fold(String::new(), |all, finding| {
            all + &finding.to_string() + "\n"
        })
    }

    /// Runs a rule to its end, in batches of two. Returns the rejected rows.
    pub(crate) async fn handle(&self, rule: Rule) -> Vec<String> {
        let refused = self.findings(&rule).await;
        assert_eq!(refused, "");
        let job = self.job(rule);
        let bounds = job.begin_run().await.expect("a run begins");
        let mut request = crate::first_batch(&bounds, 2);
        let mut rejected = Vec::new();
        loop {
            let batch = job
                .batch(&request)
                .await
                .unwrap_or_else(|error| panic!("{error}"));
            rejected.extend(batch.rejected.into_iter().map(|row| row.id));
            match batch.next_cursor {
                None => return rejected,
                next => request.after = next,
            }
        }
    }

    fn with_courier(
        &self,
        arguments: HousekeeperArguments,
        rule: &'static str,
        destination: Destination,
    ) -> HousekeeperArguments {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => arguments.with_courier(rule, store.clone(), destination),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => arguments.with_courier(rule, store.clone(), destination),
        }
    }

    /// All entries of the rule.
    pub(crate) async fn entries(&self) -> Vec<OutboxEntry> {
        let claim = Claim {
            rule: "expirer".into(),
            owner: uuid::Uuid::nil(),
            limit: const { NonZeroU32::new(1_000).expect("is not zero") },
            lease: Duration::from_secs(60),
            max_wait: Duration::from_secs(600),
            in_order_of_key: false,
        };
        let claimed = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(store) => store.claim(&claim).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(store, _) => store.claim(&claim).await,
        };
        claimed.expect("a claim").entries
    }
}

fn noon() -> DateTime<Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}

pub(crate) fn expirer() -> Rule {
    Rule::new("expirer", "orders")
        .due(age("made", Duration::from_secs(900)).seconds())
        .only(eq("status", "open"))
}

/// Asks a server for the URL of the database.
#[cfg(feature = "postgres")]
pub(crate) const URL: &str = "select format('postgres://%s@%s/%s', current_user, replace(current_setting('unix_socket_directories'), '/', '%2F'), current_database())";

/// Three orders that are due and one that is not.
pub(crate) const ORDERS: &str = "
    create table orders (id text primary key, status text not null, made bigint not null, guest text);
    create index orders_made on orders (made);
    insert into orders values ('a', 'open', 1, 'anna'), ('b', 'open', 2, 'it''s \"b\"'), ('c', 'open', 3, null), ('d', 'open', 4102444800, 'dora');";

fn reported(entries: &[OutboxEntry]) -> Vec<(&str, &str, Json)> {
    let reported = entries.iter().map(|entry| {
        let payload = entry.read().expect("is JSON");
        (entry.topic.as_str(), entry.key.as_str(), payload)
    });
    reported.collect()
}

#[tokio::test]
async fn each_changed_row_has_its_entry_and_no_other() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.migrate().await;
        let entry = outbox(["guest", "status"])
            .column("at", Value::Now)
            .column("why", "late");

        host.handle(expirer().set("status", "expired").hand_on(entry))
            .await;

        let entries = host.entries().await;
        let payload = |guest: Json| object!({ "guest": guest, "status": "expired", "at": "2026-01-10T12:00:00.000000Z", "why": "late" });
        assert_eq!(
            reported(&entries),
            [
                ("orders", "a", payload("anna".into())),
                ("orders", "b", payload("it's \"b\"".into())),
                ("orders", "c", payload(Json::Null)),
            ]
        );
        assert!(
            entries
                .iter()
                .all(|entry| entry.at == noon() && entry.rule == "expirer".into())
        );
    }
}

#[tokio::test]
async fn children_are_handed_on_before_they_go() {
    let files = "create table files (id bigint primary key, order_id text not null references orders, path text not null);
        create index files_orders on files (order_id);
        create table pages (file_id bigint not null references files, number bigint not null, primary key (file_id, number));
        create table notes (order_id text references orders, text text); create index notes_orders on notes (order_id);
        insert into files values (7, 'a', '/x'), (8, 'a', '/y'), (9, 'd', '/z');
        insert into pages values (7, 1), (7, 2), (9, 1); insert into notes values ('b', 'hello')";
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.run(files).await;
        host.migrate().await;
        let rule = expirer()
            .with(
                children("files", "order_id")
                    .with(children("pages", "file_id").hand_on(outbox(["number"])))
                    .hand_on(outbox(["path"]).topic("file")),
            )
            .with(children("notes", "order_id").hand_on(outbox(["text"])))
            .hand_on(outbox(["guest"]))
            .delete();

        host.handle(rule).await;

        let entries = host.entries().await;
        let mut reported: Vec<String> = reported(&entries)
            .into_iter()
            .map(|(topic, key, payload)| format!("{topic} {} {payload}", key.replace(' ', "")))
            .collect();
        reported.sort();
        assert_eq!(
            reported,
            [
                r#"file 7 {"path":"/x"}"#,
                r#"file 8 {"path":"/y"}"#,
                r#"notes b {"text":"hello"}"#,
                r#"orders a {"guest":"anna"}"#,
                r#"orders b {"guest":"it's \"b\""}"#,
                r#"orders c {"guest":null}"#,
                r#"pages [7,1] {"number":1}"#,
                r#"pages [7,2] {"number":2}"#,
            ]
        );
    }
}

#[tokio::test]
async fn a_child_that_several_parts_meet_has_one_entry() {
    let notes = "create table threads (id bigint primary key, owner text references orders);
        create table notes (id bigint primary key, thread bigint references threads, made_by text references orders, changed_by text references orders);
        create index threads_owner on threads (owner); create index notes_thread on notes (thread);
        create index notes_made on notes (made_by); create index notes_changed on notes (changed_by);
        insert into threads values (1, 'a'), (2, 'd');
        insert into notes values (1, null, 'a', 'a'), (2, null, 'a', 'b'), (3, null, 'd', 'a'), (4, 1, 'a', 'b'), (5, 1, 'd', 'd'), (6, 2, 'd', 'd')";
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.run(notes).await;
        host.migrate().await;
        let by = |column: &str| children("notes", column).hand_on(outbox(["id"]));
        let rule = expirer()
            .with(by("changed_by").set_null())
            .with(children("threads", "owner").with(by("thread")))
            .with(by("made_by"))
            .delete();

        let rejected = host.handle(rule).await;

        assert_eq!(rejected, [""; 0]);
        let entries = host.entries().await;
        let mut keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["1", "2", "3", "4", "5"]);
        let left = "select string_agg(id || coalesce(changed_by, '-'), ' ' order by id) from notes";
        assert_eq!(host.ask(left).await, "3- 6d");
    }
}

#[tokio::test]
async fn a_row_that_the_database_refuses_has_no_entry() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.migrate().await;
        let refuse = match host {
            #[cfg(feature = "postgres")]
            Host::Postgres(_) => "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
                create trigger refuse before update on orders for each row when (old.id = 'b') execute function refuse()",
            #[cfg(feature = "sqlite")]
            Host::Sqlite(..) => "create trigger refuse before update on orders when old.id = 'b' begin select raise(abort, 'no'); end",
        };
        host.run(refuse).await;

        let rule = expirer()
            .set("status", "expired")
            .hand_on(outbox(["guest"]));
        let rejected = host.handle(rule).await;

        let entries = host.entries().await;
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!((rejected, keys), (vec!["b".to_owned()], vec!["a", "c"]));
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_written_keeps_its_row() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.migrate().await;
        let refuse = match host {
            #[cfg(feature = "postgres")]
            Host::Postgres(_) => "alter table housekeeper_outbox add check (key <> 'b')",
            #[cfg(feature = "sqlite")]
            Host::Sqlite(..) => {
                "create trigger refuse before insert on housekeeper_outbox when new.key = 'b' begin select raise(abort, 'no'); end"
            }
        };
        host.run(refuse).await;

        let rule = expirer()
            .set("status", "expired")
            .hand_on(outbox(["guest"]));
        let rejected = host.handle(rule).await;

        let open = "select string_agg(id, ',' order by id) from orders where status = 'open'";
        let open = open.replace(
            "string_agg(id, ',' order by id)",
            "count(*) || min(id) || max(id)",
        );
        assert_eq!(
            (rejected, host.ask(&open).await),
            (vec!["b".to_owned()], "2bd".to_owned())
        );
        assert_eq!(host.entries().await.len(), 2);
    }
}

#[tokio::test]
async fn values_that_json_has_no_word_for_are_texts() {
    for host in Host::each().await {
        let (types, values) = match host {
            #[cfg(feature = "postgres")]
            Host::Postgres(_) => (
                "raw bytea, big double precision, price numeric(30, 10), flag boolean, many int[], seen timestamptz",
                r"'\x00ff', 'Infinity', 12345678901234567890.5, true, '{1,2}', '2026-01-01 00:00Z'",
            ),
            #[cfg(feature = "sqlite")]
            Host::Sqlite(..) => (
                "raw blob, big real, price text, flag integer, many text, seen text",
                "x'00ff', 9e999, '12345678901234567890.5', 1, '{1,2}', cast(x'61ff' as text)",
            ),
        };
        host.run(&format!(
            "create table orders (id integer primary key, status text, made bigint, {types});
             create index orders_made on orders (made); insert into orders values (1, 'open', 1, {values})"
        ))
        .await;
        host.migrate().await;
        // More fields than a function of either database takes arguments for.
        let mut entry = outbox(["raw", "big", "price", "flag", "many", "seen"]);
        for number in 0..130 {
            entry = entry.column(format!("n{number}"), number);
        }
        let entry = entry
            .column("inner", json(["id"]))
            .column("sum", sql("orders.id + 1"))
            .column("yes", true)
            .column("key", Value::Key)
            .column("unique", Value::IdempotencyKey);

        host.handle(expirer().delete().hand_on(entry)).await;

        let payload: Json = host.entries().await[0].read().expect("is JSON");
        assert!(
            payload["raw"]
                .as_str()
                .is_some_and(|raw| raw.ends_with("00ff")),
            "{payload}"
        );
        assert!(
            payload["big"]
                .as_str()
                .is_some_and(|big| big.contains("Inf")),
            "{payload}"
        );
        assert_eq!(payload["n129"], 129, "{payload}");
        assert_eq!(
            (&payload["inner"], &payload["sum"]),
            (&object!({ "id": 1 }), &object!(2))
        );
        assert_eq!(
            (&payload["yes"], &payload["key"]),
            (&object!(true), &object!("1"))
        );
        assert_eq!(payload["unique"], "expirer:1:1768046400000000");
    }
}

/// A type, a value of it, and what a receiver reads.
type Column = (&'static str, &'static str, Json);

fn every_type(host: &Host) -> Vec<Column> {
    match host {
        #[cfg(feature = "postgres")]
        Host::Postgres(_) => vec![
            ("mood", "'so''so'", "so'so".into()),
            (
                "text[]",
                r#"array['a', null, 'b"c']"#,
                object!(["a", null, "b\"c"]),
            ),
            ("mood[]", "array['fine'::mood]", object!(["fine"])),
            ("int[][]", "'{{1,2},{3,4}}'", object!([[1, 2], [3, 4]])),
            (
                "jsonb",
                r#"'{"a": [null, 1.5]}'"#,
                object!({ "a": [null, 1.5] }),
            ),
            (
                "json",
                r#"'{"b": 2,  "a": 1}'"#,
                object!({ "b": 2, "a": 1 }),
            ),
            ("double precision", "'NaN'", "NaN".into()),
            ("numeric", "'NaN'", "NaN".into()),
            ("numeric", "'-Infinity'", "-Infinity".into()),
            ("bigint", "-9223372036854775808", object!(i64::MIN)),
            ("bytea", "''", r"\x".into()),
            ("date", "'infinity'", "infinity".into()),
            ("interval", "'1 mon 2 days'", "1 mon 2 days".into()),
            ("tstzrange", "'empty'", "empty".into()),
            ("inet", "'::1/64'", "::1/64".into()),
            (
                "uuid",
                "'00000000-0000-4000-8000-000000000000'",
                "00000000-0000-4000-8000-000000000000".into(),
            ),
            ("place", "row(1, 'x')", object!({ "n": 1, "t": "x" })),
            ("positive", "7", object!(7)),
            ("bit(3)", "b'101'", "101".into()),
            ("char(4)", "'x'", "x   ".into()),
            (
                "text",
                r"E'\u0001\n\\ \U0001F600 \u2028'",
                "\u{1}\n\\ \u{1f600} \u{2028}".into(),
            ),
            ("text", "repeat('é', 1000000)", "é".repeat(1_000_000).into()),
            ("int", "null", Json::Null),
        ],
        #[cfg(feature = "sqlite")]
        Host::Sqlite(..) => vec![
            ("text", "'so''so'", "so'so".into()),
            ("integer", "-9223372036854775808", object!(i64::MIN)),
            ("real", "-0.5", object!(-0.5)),
            ("blob", "x''", "".into()),
            ("any", "'{\"b\": 2}'", r#"{"b": 2}"#.into()),
            (
                "text",
                "char(1, 10, 92, 128512, 8232)",
                "\u{1}\n\\\u{1f600}\u{2028}".into(),
            ),
            (
                "text",
                "replace(hex(zeroblob(500000)), '0', 'é')",
                "é".repeat(1_000_000).into(),
            ),
            ("blob", "zeroblob(500000)", "00".repeat(500_000).into()),
            ("int", "null", Json::Null),
        ],
    }
}

#[tokio::test]
async fn values_of_every_type_are_handed_on() {
    for host in Host::each().await {
        let columns = every_type(&host);
        #[cfg(feature = "postgres")]
        if matches!(host, Host::Postgres(_)) {
            host.run(
                "create type mood as enum ('fine', 'so''so'); create type place as (n int, t text);
                 create domain positive as int check (value > 0)",
            )
            .await;
        }
        let each = |show: fn(usize, &Column) -> String| {
            let shown = columns
                .iter()
                .enumerate()
                .map(|(number, column)| show(number, column));
            shown.collect::<Vec<_>>().join(", ")
        };
        host.run(&format!(
            "create table orders (id integer primary key, status text, made bigint, {});
             create index orders_made on orders (made); insert into orders values (1, 'open', 1, {})",
            each(|number, (kind, ..)| format!("v{number} {kind}")),
            each(|_, (_, value, _)| (*value).to_owned())
        ))
        .await;
        host.migrate().await;
        let names = (0..columns.len()).map(|number| format!("v{number}"));

        host.handle(expirer().delete().hand_on(outbox(names))).await;

        let entry = host.entries().await.remove(0);
        let payload: Json = entry.read().expect("is JSON");
        for (number, (kind, value, wanted)) in columns.iter().enumerate() {
            let seen = &payload[&format!("v{number}")];
            let shown: String = seen.to_string().chars().take(80).collect();
            assert!(seen == wanted, "{kind} of {value} is {shown}");
        }
    }
}

#[tokio::test]
async fn keys_of_one_run_in_one_queue_differ() {
    let job = |kind: &str| {
        hand_on("jobs")
            .column("key", Value::IdempotencyKey)
            .column("kind", kind)
    };
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.run(
            "create table jobs (key text primary key, kind text);
             create table images (id text primary key, order_id text references orders on delete cascade);
             create table videos (id text primary key, order_id text references orders on delete cascade);
             create index images_orders on images (order_id); create index videos_orders on videos (order_id);
             insert into images values ('a', 'a'); insert into videos values ('a', 'a')",
        )
        .await;
        let rule = expirer()
            .with(children("images", "order_id").hand_on(job("image")))
            .with(children("videos", "order_id").hand_on(job("video")))
            .hand_on(job("mail"))
            .hand_on(job("refund"))
            .delete();

        let rejected = host.handle(rule).await;

        assert_eq!(rejected, Vec::<String>::new());
        let keys = [
            "a:1768046400000000",
            "a:1768046400000000:2",
            "images:a:1768046400000000:3",
            "videos:a:1768046400000000:4",
        ];
        for (key, kind) in keys.iter().zip(["mail", "refund", "image", "video"]) {
            let found =
                format!("select coalesce(max(kind), '') from jobs where key = 'expirer:{key}'");
            assert_eq!(host.ask(&found).await, kind, "{key}");
        }
        assert_eq!(host.ask("select count(*) from jobs").await, "8");
    }
}

/// A key without a type tells 1 from the text.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn keys_without_a_type_differ_in_a_queue() {
    let host = super::sqlite::host(
        "create table posts (id primary key not null, at integer); create table files (id primary key, post references posts);
         create table jobs (key text primary key); insert into posts values (1, 5), ('1', 5); insert into files values (2, 1), ('2', 1), (x'32', '1')",
    )
    .await;
    let job = || hand_on("jobs").column("key", Value::IdempotencyKey);
    let rule = Rule::new("posts", "posts")
        .due(age("at", Duration::ZERO).seconds())
        .with(children("files", "post").hand_on(job()))
        .hand_on(job())
        .delete();
    let job = host.store.rule(rule).expect("a job");
    let bounds = job.begin_run().await.expect("a run begins");
    let request = crate::first_batch(&bounds, 10);

    let batch = job.batch(&request).await.expect("a batch");

    assert_eq!(batch.rejected, []);
    assert!(host.holds("select count(*) = 5 from jobs"));
}

#[tokio::test]
async fn a_child_that_a_trigger_keeps_has_no_entry() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.migrate().await;
        host.run(
            "create table files (id text primary key, order_id text not null, path text);
             create index files_orders on files (order_id);
             insert into files values ('x', 'a', '/x'), ('y', 'b', '/y'), ('z', 'b', '/z')",
        )
        .await;
        host.run(match host {
            #[cfg(feature = "postgres")]
            Host::Postgres(_) => "create function keep() returns trigger language plpgsql as 'begin return null; end';
                create trigger keep before delete on files for each row when (old.id = 'y') execute function keep()",
            #[cfg(feature = "sqlite")]
            Host::Sqlite(..) => "create trigger keep before delete on files when old.id = 'y' begin select raise(ignore); end",
        })
        .await;

        host.handle(
            expirer()
                .with(children("files", "order_id").hand_on(outbox(["path"])))
                .delete(),
        )
        .await;

        let mut keys: Vec<String> = host
            .entries()
            .await
            .into_iter()
            .map(|entry| entry.key)
            .collect();
        let gone = "select coalesce((select 'z' where not exists (select 1 from files where id = 'z')), '')";
        let gone = host.ask(gone).await;
        keys.retain(|key| key != "x" && *key != gone);
        assert_eq!(keys, Vec::<String>::new());
        let kept = "select count(*) from files where id = 'y'";
        assert_eq!(host.ask(kept).await, "1");
    }
}

#[tokio::test]
async fn archived_rows_are_handed_on_beside_statements_of_the_host() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.run(
            "create table old_orders (id text primary key, status text, made bigint, guest text);
             create table log (id text)",
        )
        .await;
        host.migrate().await;
        let rule = expirer()
            .archive("old_orders")
            .then("insert into log select id from written")
            .hand_on(outbox(["guest"]));

        host.handle(rule).await;

        let keys: Vec<String> = host
            .entries()
            .await
            .into_iter()
            .map(|entry| entry.key)
            .collect();
        assert_eq!(keys, ["a", "b", "c"]);
        for table in ["old_orders", "log"] {
            let ids = format!("select count(*) || min(id) || max(id) from {table}");
            assert_eq!(host.ask(&ids).await, "3ac", "{table}");
        }
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn rows_of_a_partitioned_table_are_handed_on() {
    let Some(host) = Host::postgres().await else {
        return;
    };
    host.run(
        "create table orders (id text, status text not null, made bigint not null, guest text, primary key (id, made)) partition by range (made);
         create table early partition of orders for values from (0) to (2); create table late partition of orders for values from (2) to (9);
         create index orders_made on orders (made);
         insert into orders values ('a', 'open', 1, 'anna'), ('b', 'open', 2, 'ben'), ('c', 'done', 3, 'cleo')",
    )
    .await;
    host.migrate().await;

    host.handle(
        expirer()
            .set("status", "expired")
            .hand_on(outbox(["guest"])),
    )
    .await;

    let entries = host.entries().await;
    let mut told: Vec<String> = reported(&entries)
        .into_iter()
        .map(|(topic, key, payload)| format!("{topic} {} {payload}", key.replace(' ', "")))
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            r#"orders ["a",1] {"guest":"anna"}"#,
            r#"orders ["b",2] {"guest":"ben"}"#,
        ]
    );
}

#[tokio::test]
async fn a_courier_waits_for_its_table() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        let received = Arc::new(Mutex::new(Vec::new()));
        let noted = received.clone();
        let handle = move |entry: OutboxEntry| {
            noted.lock().expect("no panic").push(entry.key);
            std::future::ready(Ok(()))
        };
        let mut arguments = HousekeeperArguments::new(Vec::new());
        arguments.config.courier.poll_interval = Duration::from_millis(20);
        // Entries of a rule that was renamed are delivered under its old name.
        let arguments = host.with_courier(arguments, "expirer", Destination::handler(handle));
        let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
        let until = async |wanted: &dyn Fn(&CourierStatus) -> bool| {
            let began = std::time::Instant::now();
            loop {
                let status = housekeeper.status().await.expect("a status");
                let courier = status.couriers[&"expirer".into()].clone();
                if wanted(&courier) {
                    return courier;
                }
                assert!(began.elapsed() < Duration::from_secs(60), "{courier:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };

        let waiting = until(&|courier| courier.problem.is_some()).await;
        host.migrate().await;
        host.handle(expirer().delete().hand_on(outbox(["guest"])))
            .await;
        let delivered = until(&|courier| courier.acknowledged == 3).await;
        housekeeper.shutdown(Duration::from_secs(5)).await;

        let problem = waiting.problem.unwrap_or_default();
        assert!(problem.contains("migrate(&[Schema::Outbox])"), "{problem}");
        assert_eq!((delivered.refused, delivered.restarts), (0, 0));
        assert_eq!(*received.lock().expect("no panic"), ["a", "b", "c"]);
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn missing_grants_on_the_outbox_are_named() {
    let Some(host) = Host::postgres().await else {
        return;
    };
    host.run(ORDERS).await;
    host.migrate().await;
    let role = format!("weak{}", uuid::Uuid::new_v4().simple());
    host.run(&format!(
        "create role {role} login; grant select, update, delete on orders to {role};
         create table jobs (id bigserial primary key, key text); grant insert on jobs to {role}"
    ))
    .await;
    let url = host
        .ask(URL)
        .await
        .replacen("://housekeeper@", &format!("://{role}@"), 1);
    let weak = Host::Postgres(PostgresStore::connect(&url).expect("a URL"));

    let findings = weak
        .findings(&expirer().delete().hand_on(outbox(["guest"])))
        .await;
    let job = hand_on("jobs").column("key", Value::Key);
    let numbered = expirer().delete().hand_on(job.clone().column("id", 1));
    let numbered = weak.findings(&numbered).await;
    let job = weak.findings(&expirer().delete().hand_on(job)).await;

    assert_eq!(numbered, "");
    assert_eq!(
        job,
        format!(
            "rule `expirer`, hand_on jobs: this role lacks usage on `jobs_id_seq`, which numbers `id`; run `grant usage on sequence jobs_id_seq to \"{role}\"`\n"
        )
    );

    assert_eq!(
        findings,
        format!(
            "rule `expirer`, hand_on: this role lacks insert on `housekeeper_outbox`; run `grant insert on \"housekeeper_outbox\" to \"{role}\"`\n"
        )
    );
}

#[tokio::test]
async fn findings_name_what_cannot_be_handed_on() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        let rule = expirer().delete().hand_on(outbox(["gest"]));

        let no_table = host.findings(&rule).await;
        host.migrate().await;
        let no_column = host.findings(&rule).await;
        let function = host
            .findings(&expirer().delete().hand_on(call("send").argument("x", 1)))
            .await;

        assert_eq!(
            no_table,
            "rule `expirer`, hand_on outbox: the outbox schema is missing: call migrate(&[Schema::Outbox])\n"
        );
        assert_eq!(
            no_column,
            "rule `expirer`, hand_on outbox: `orders` has no column `gest`; did you mean `guest`?\n"
        );
        assert!(
            function.starts_with("rule `expirer`, hand_on send: "),
            "{function}"
        );
    }
}

/// The tables of two queues, with the names, types and constraints of their projects.
#[cfg(feature = "postgres")]
const QUEUES: &str = "
    create type river_job_state as enum ('available', 'cancelled', 'completed', 'discarded', 'pending', 'retryable', 'running', 'scheduled');
    create table river_job (
        id bigserial primary key, state river_job_state not null default 'available', attempt smallint not null default 0,
        max_attempts smallint not null check (max_attempts > 0), attempted_at timestamptz, created_at timestamptz not null default now(),
        finalized_at timestamptz, scheduled_at timestamptz not null default now(), priority smallint not null default 1 check (priority between 1 and 4),
        args jsonb not null, attempted_by text[], errors jsonb[], kind text not null check (char_length(kind) between 1 and 127),
        metadata jsonb not null default '{}', queue text not null default 'default', tags varchar(255)[] not null default '{}', unique_key bytea);
    create type oban_job_state as enum ('available', 'scheduled', 'executing', 'retryable', 'completed', 'discarded', 'cancelled');
    create table oban_jobs (
        id bigserial primary key, state oban_job_state not null default 'available', queue text not null default 'default',
        worker text not null check (char_length(worker) between 1 and 127), args jsonb not null default '{}', meta jsonb default '{}',
        tags text[] default '{}', errors jsonb[] not null default '{}', attempt integer not null default 0, max_attempts integer not null default 20,
        priority integer not null default 0, inserted_at timestamp not null default timezone('UTC', now()),
        scheduled_at timestamp not null default timezone('UTC', now()), attempted_at timestamp, completed_at timestamp);
    create schema graphile_worker;
    create table graphile_worker.jobs (id bigserial primary key, task_identifier text not null, payload json not null, queue_name text, key text unique, max_attempts int);
    create function graphile_worker.add_job(identifier text, payload json default null, queue_name text default null, run_at timestamptz default null,
        max_attempts integer default null, job_key text default null, priority integer default null, flags text[] default null, job_key_mode text default 'replace')
        returns graphile_worker.jobs language plpgsql as $$ declare v_job graphile_worker.jobs; begin
            insert into graphile_worker.jobs (task_identifier, payload, queue_name, key, max_attempts) values (identifier, payload, queue_name, job_key, coalesce(max_attempts, 25))
            returning * into v_job; return v_job; end $$;
    create schema pgmq;
    create table pgmq.q_guests (msg_id bigint generated always as identity primary key, vt timestamptz not null default now(), message jsonb, headers jsonb);
    create function pgmq.send(queue_name text, msg jsonb) returns setof bigint language plpgsql as $$ begin
        return query execute format('insert into pgmq.q_%s (message) values ($1) returning msg_id', queue_name) using msg; end $$;
    create function pgmq.send(queue_name text, msg jsonb, delay integer) returns setof bigint language plpgsql as $$ begin
        return query execute format('insert into pgmq.q_%s (vt, message) values (now() + $2 * interval ''1 s'', $1) returning msg_id', queue_name) using msg, delay; end $$;";

#[cfg(feature = "postgres")]
#[tokio::test]
async fn rows_go_into_the_queues_of_others() {
    let Some(host) = Host::postgres().await else {
        return;
    };
    host.run(ORDERS).await;
    host.run(QUEUES).await;
    let rule = expirer()
        .set("status", "expired")
        .hand_on(
            hand_on("river_job")
                .column("kind", "tell_guest")
                .column("args", json(["guest"]))
                .column("max_attempts", 25)
                .column("scheduled_at", Value::NowPlus(Duration::from_secs(60))),
        )
        .hand_on(
            hand_on("oban_jobs")
                .column("worker", "App.TellGuest")
                .column("args", json(["guest"]))
                .column(
                    "meta",
                    Value::Json([("unique".to_owned(), Value::IdempotencyKey)].into()),
                ),
        )
        .hand_on(
            call("graphile_worker.add_job")
                .argument("identifier", "tell-guest")
                .argument("payload", json(["guest"]))
                .argument("job_key", Value::IdempotencyKey),
        )
        .hand_on(
            call("pgmq.send")
                .argument("queue_name", "guests")
                .argument("msg", json(["guest"])),
        );

    host.handle(rule).await;

    let river = "select string_agg(args ->> 'guest', '|' order by id) || count(*) || min(scheduled_at at time zone 'UTC') from river_job";
    let oban = "select count(distinct meta ->> 'unique') from oban_jobs where state = 'available' and args ? 'guest'";
    let graphile = "select string_agg(key, ',' order by key) from graphile_worker.jobs where task_identifier = 'tell-guest'";
    let pgmq = "select string_agg(message ->> 'guest', '|' order by msg_id) from pgmq.q_guests";
    assert_eq!(host.ask(river).await, "anna|it's \"b\"32026-01-10 12:01:00");
    assert_eq!(host.ask(oban).await, "3");
    assert_eq!(
        host.ask(graphile).await,
        "expirer:a:1768046400000000:3,expirer:b:1768046400000000:3,expirer:c:1768046400000000:3"
    );
    assert_eq!(host.ask(pgmq).await, "anna|it's \"b\"");
    let wrong = expirer()
        .delete()
        .hand_on(call("pgmq.send").argument("message", "x"));
    assert_eq!(
        host.findings(&wrong).await,
        "rule `expirer`, hand_on pgmq.send: no function of this name takes these arguments by name: message\n"
    );
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_call_that_fails_keeps_its_row_and_no_other() {
    let Some(host) = Host::postgres().await else {
        return;
    };
    host.run(ORDERS).await;
    host.run("create table sent (id text); create function send(id text) returns void language plpgsql as $$ begin
        if id = 'b' then raise exception 'the queue refuses it'; end if; insert into sent values (id); end $$").await;

    let send = call("send").argument("id", Value::Key);
    let rejected = host.handle(expirer().delete().hand_on(send)).await;

    assert_eq!(rejected, ["b"]);
    assert_eq!(
        host.ask("select string_agg(id, ',' order by id) from sent")
            .await,
        "a,c"
    );
    assert_eq!(
        host.ask("select string_agg(id, ',' order by id) from orders")
            .await,
        "b,d"
    );
}

/// The table of apalis on SQLite.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn rows_go_into_a_queue_in_the_same_file() {
    for host in Host::each().await {
        if !matches!(host, Host::Sqlite(..)) {
            continue;
        }
        host.run(ORDERS).await;
        host.run("create table Jobs (job text not null, id text not null unique, job_type text not null, status text not null default 'Pending',
            attempts integer not null default 0, max_attempts integer not null default 25, run_at integer not null default (strftime('%s','now')),
            last_error text, lock_at integer, lock_by text, done_at integer)").await;
        let job = hand_on("Jobs")
            .column("job", json(["guest"]))
            .column("id", Value::IdempotencyKey)
            .column("job_type", "app::TellGuest");

        host.handle(expirer().delete().hand_on(job)).await;

        let jobs = host
            .ask("select count(*) || min(id) || min(job) from Jobs where status = 'Pending'")
            .await;
        assert_eq!(jobs, r#"3expirer:a:1768046400000000{"guest":"anna"}"#);
    }
}
