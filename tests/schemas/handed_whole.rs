//! Rows that are handed on whole: no entry is lost, and none replaces another.

#[cfg(feature = "postgres")]
use std::time::Duration;

#[cfg(feature = "postgres")]
use ractor_housekeeper::model::Outbox;
use ractor_housekeeper::rule::{Children, HandOn, Value, children, hand_on, json, outbox, sql};
#[cfg(feature = "postgres")]
use ractor_housekeeper::rule::{call, column};

use crate::handed_on::{Host, ORDERS, expirer};

/// Pictures of orders, which no key names, and messages, which name two orders.
const CHILDREN: &str = "
    create table files (id integer primary key, order_id text references orders on delete cascade);
    create table pictures (path text, order_id text references orders on delete cascade);
    create table messages (id text primary key, source text, target text);
    create index files_orders on files (order_id); create index pictures_orders on pictures (order_id);
    create index messages_source on messages (source); create index messages_target on messages (target);
    create table jobs (key text primary key, kind text);";

fn job(kind: &str) -> HandOn {
    hand_on("jobs")
        .column("key", Value::IdempotencyKey)
        .column("kind", kind)
}

impl Host {
    async fn with_children(&self) {
        self.run(ORDERS).await;
        self.run(CHILDREN).await;
    }

    fn is_postgres(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => true,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(..) => false,
        }
    }

    /// Makes a trigger drop the rows of this condition that are inserted into a table.
    async fn drop_inserts(&self, table: &str, condition: &str) {
        let trigger = format!("create trigger dropping_{table} before insert on {table}");
        let trigger = if self.is_postgres() {
            let function = "create or replace function drop_it() returns trigger language plpgsql as 'begin return null; end'";
            format!(
                "{function}; {trigger} for each row when ({condition}) execute function drop_it()"
            )
        } else {
            format!("{trigger} when {condition} begin select raise(ignore); end")
        };
        self.run(&trigger).await;
    }

    /// Texts of a column in order, separated by commas.
    async fn all(&self, column: &str, from: &str) -> String {
        let function = if self.is_postgres() {
            "string_agg"
        } else {
            "group_concat"
        };
        let all = format!(
            "select coalesce({function}(x, ','), '') from (select {column} as x from {from} order by 1) as t"
        );
        self.ask(&all).await
    }
}

#[tokio::test]
async fn keys_of_one_run_differ_whatever_the_parts_are() {
    for host in Host::each().await {
        host.with_children().await;
        host.run(
            "insert into orders values ('files:5', 'open', 1, null); insert into files values (5, 'a');
             insert into messages values ('m', 'a', 'c')",
        )
        .await;
        let message = |column: &str| {
            let message = children("messages", column).set_null();
            message.hand_on(job(column)).counts_as(column)
        };
        let rule = expirer()
            .with(children("files", "order_id").hand_on(job("file")))
            .with(message("source"))
            .with(message("target"))
            .hand_on(job("order"));

        let rejected = host.handle(rule.delete()).await;

        assert_eq!(rejected, Vec::<String>::new());
        assert_eq!(
            host.all("kind", "jobs").await,
            "file,order,order,order,order,source,target"
        );
    }
}

#[tokio::test]
async fn an_idempotency_key_needs_a_key_of_the_child() {
    for host in Host::each().await {
        host.with_children().await;
        let rule = |picture: Children| expirer().with(picture).delete();
        let pictures = || children("pictures", "order_id");
        let nested = json(["path"]);
        let Value::Json(mut fields) = nested else {
            unreachable!("it is an object");
        };
        fields.insert("key".to_owned(), Value::IdempotencyKey);

        let of_column = host
            .findings(&rule(pictures().hand_on(job("picture"))))
            .await;
        let within = hand_on("jobs")
            .column("kind", Value::Json(fields))
            .column("key", Value::Key);
        let of_field = host.findings(&rule(pictures().hand_on(within))).await;
        host.run("create unique index pictures_paths on pictures (path)")
            .await;
        let of_nullable = host
            .findings(&rule(pictures().hand_on(job("picture"))))
            .await;

        let refused = "rule `expirer`, hand_on jobs: `pictures` has no primary key, so no text tells its rows apart: use `key`, or give it a key\n";
        assert_eq!([of_column, of_field, of_nullable], [refused; 3]);
    }
}

#[tokio::test]
async fn an_object_of_many_fields_keeps_each() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.migrate().await;
        let mut entry = outbox([""; 0]);
        for number in 0..180 {
            let value = match number % 50 {
                49 => json(["guest", "id"]),
                _ => number.into(),
            };
            entry = entry.column(format!("f{number:03}"), value);
        }
        if host.is_postgres() {
            entry = entry.column("g", sql(r#"'{"b": "\u0000", "b": 1.10}'::json"#));
        }

        let rejected = host.handle(expirer().delete().hand_on(entry)).await;

        assert_eq!(rejected, Vec::<String>::new());
        let entry = host.entries().await.remove(0);
        let payload: serde_json::Value = entry.read().expect("is JSON");
        assert_eq!(payload["f149"]["guest"], "anna", "{payload}");
        assert_eq!(
            (&payload["f000"], &payload["f179"]),
            (&0.into(), &179.into())
        );
        assert!(!host.is_postgres() || entry.payload.contains(r#"{"b": "\u0000", "b": 1.10}"#));
    }
}

#[tokio::test]
async fn a_row_whose_entry_a_trigger_drops_stays() {
    for host in Host::each().await {
        host.with_children().await;
        host.migrate().await;
        host.run("insert into files values (1, 'a'), (2, 'b'), (3, 'c'), (4, 'c')")
            .await;
        host.drop_inserts("housekeeper_outbox", "new.key = 'a'")
            .await;
        host.drop_inserts("jobs", "new.key like '%:4:%'").await;

        for action in [expirer().set("status", "late"), expirer().delete()] {
            let rule = action
                .with(children("files", "order_id").hand_on(job("file")))
                .hand_on(outbox(["guest"]));
            let rejected = host.handle(rule).await;
            assert_eq!(rejected, ["a", "c"]);
        }

        assert_eq!(
            host.all("id", "orders where status = 'open'").await,
            "a,c,d"
        );
        assert_eq!(host.all("kind", "jobs").await, "file");
        let entries = host.entries().await;
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["b"]);
    }
}

#[tokio::test]
async fn a_row_that_its_archive_drops_stays() {
    for host in Host::each().await {
        host.run(ORDERS).await;
        host.run("create table old_orders as select * from orders where false")
            .await;
        host.drop_inserts("old_orders", "new.id = 'b'").await;

        let rejected = host.handle(expirer().archive("old_orders")).await;

        assert_eq!(rejected, ["b"]);
        assert_eq!(host.all("id", "orders where status = 'open'").await, "b,d");
        assert_eq!(host.all("id", "old_orders").await, "a,c");
    }
}

#[tokio::test]
async fn expressions_see_children_that_go_with_their_row() {
    for host in Host::each().await {
        host.with_children().await;
        host.migrate().await;
        host.run("insert into files values (1, 'a'), (2, 'a'), (3, 'd')")
            .await;
        let files = sql("(select count(*) from files where files.order_id = orders.id)");
        let others = sql("(select count(*) from files as f where f.order_id = files.order_id)");
        let rule = expirer()
            .with(children("files", "order_id").hand_on(outbox(["id"]).column("n", others)))
            .hand_on(outbox(["id"]).column("n", files))
            .delete();

        host.handle(rule).await;

        let told: Vec<String> = host
            .entries()
            .await
            .iter()
            .filter(|entry| entry.key.as_str() < "b")
            .map(|entry| {
                format!(
                    "{} {}",
                    entry.topic,
                    entry.read::<serde_json::Value>().expect("is JSON")["n"]
                )
            })
            .collect();
        let mut sorted = told.clone();
        sorted.sort();
        assert_eq!(sorted, ["files 2", "files 2", "orders 2"], "{told:?}");
    }
}

/// A text that SQLite does not keep from being something else.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn texts_of_other_bytes_stand_in_the_way_of_nothing() {
    for host in Host::each().await {
        if host.is_postgres() {
            continue;
        }
        host.run(ORDERS).await;
        host.migrate().await;
        host.run("update orders set guest = cast(x'61ff' as text)")
            .await;

        host.handle(expirer().set("status", "late").hand_on(outbox(["guest"])))
            .await;
        host.run("update housekeeper_outbox set topic = x'61ff' where key = 'a'")
            .await;

        let entries = host.entries().await;
        let topics: Vec<&str> = entries.iter().map(|entry| entry.topic.as_str()).collect();
        assert_eq!(topics, ["a\u{fffd}", "orders", "orders"]);
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn an_entry_of_no_instant_is_counted_with_the_rest() {
    let Some(host) = Host::postgres().await else {
        return;
    };
    host.migrate().await;
    let store = match &host {
        Host::Postgres(store) => store,
        #[cfg(feature = "sqlite")]
        Host::Sqlite(..) => unreachable!("it is on Postgres"),
    };
    for at in ["infinity", "-infinity"] {
        host.run(&format!("insert into housekeeper_outbox (rule, topic, key, at, due_at, payload) values ('expirer', 't', 'k', '{at}', now(), '{{}}')")).await;
        let counts = store.counts(&"expirer".into()).await.expect("counts");
        assert!(counts.oldest.is_some(), "{at}");
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_call_takes_the_overload_that_its_values_fit() {
    let table = [
        (
            "create function q.f(id int, note text default '') returns int language sql as 'insert into q.sent values (id::text) returning 1';
             create function q.f(id text) returns int language sql as 'insert into q.sent values (id) returning 1'",
            call("q.f").argument("id", column("id")),
            "a,b,c",
        ),
        (
            "create function q.f(id text, msg jsonb, headers jsonb, delay int) returns int language sql as 'select 1';
             create function q.f(id text, msg jsonb, delay timestamptz) returns int language sql as 'select 1';
             create function q.f(id text, msg jsonb, delay int) returns int language sql as 'insert into q.sent values (id) returning 1'",
            call("q.f").argument("id", Value::Key).argument("msg", json(["guest"])).argument("delay", 30),
            "a,b,c",
        ),
        (
            "create function q.f(id text, at int) returns int language sql as 'select 1';
             create function q.f(id text, at timestamptz) returns int language sql as 'insert into q.sent values (id || at) returning 1'",
            call("q.f").argument("id", Value::Key).argument("at", Value::NowPlus(Duration::from_secs(60))),
            "a2026-01-10 12:01:00+00,b2026-01-10 12:01:00+00,c2026-01-10 12:01:00+00",
        ),
        (
            "create function q.f(id text, must int) returns int language sql as 'select 1';
             create function q.f(id text) returns int language sql as 'insert into q.sent values (id) returning 1'",
            call("q.f").argument("id", Value::Key),
            "a,b,c",
        ),
    ];
    for (functions, call, sent) in table {
        let Some(host) = Host::postgres().await else {
            return;
        };
        host.run(ORDERS).await;
        host.run(&format!(
            "set timezone = 'UTC'; create schema q; create table q.sent (id text); {functions}"
        ))
        .await;

        let rejected = host.handle(expirer().delete().hand_on(call)).await;

        assert_eq!(rejected, Vec::<String>::new(), "{functions}");
        assert_eq!(host.all("id", "q.sent").await, sent, "{functions}");
    }
}

/// Postgres does not call a STRICT function for NULL.
#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_row_for_which_a_strict_function_is_not_called_stays() {
    let Some(host) = Host::postgres().await else {
        return;
    };
    host.run(ORDERS).await;
    host.run("create table sent (id text); create function send(id text, guest text) returns void strict language sql as 'insert into sent values (id)'").await;
    let send = call("send")
        .argument("id", Value::Key)
        .argument("guest", column("guest"));

    let rejected = host.handle(expirer().delete().hand_on(send)).await;

    assert_eq!(
        (rejected, host.all("id", "sent").await),
        (vec!["c".to_owned()], "a,b".to_owned())
    );
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_check_names_columns_that_are_ours_or_get_nothing() {
    let Some(host) = Host::postgres().await else {
        return;
    };
    host.run(ORDERS).await;
    host.migrate().await;
    host.run("create domain must as text not null; create table jobs (key text, note must)")
        .await;

    let domain = host
        .findings(
            &expirer()
                .delete()
                .hand_on(hand_on("jobs").column("key", Value::Key)),
        )
        .await;
    host.run("alter table orders add hk_id text").await;
    let ours = host
        .findings(&expirer().delete().hand_on(outbox(["guest"])))
        .await;

    assert_eq!(
        domain,
        "rule `expirer`, hand_on jobs: `note` is not null, has no default and gets nothing\n"
    );
    assert_eq!(
        ours,
        "rule `expirer`, table: `hk_id` is a name of the statement's own: rename the column, or hand no row on\n"
    );
}
