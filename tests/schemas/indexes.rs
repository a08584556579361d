//! The index that the check offers serves, and so does one whose first column is the state.

use ractor_housekeeper::rule::{Findings, Rule};

/// How a row falls due, as JSON, and the columns for it.
const SUMS: [(&str, &str); 3] = [
    (r#"{ "at": "at", "stamp": "seconds" }"#, "at bigint"),
    (
        r#"{ "at": "at", "plus": "ttl", "unit": "minutes", "stamp": "seconds" }"#,
        "at bigint, ttl integer",
    ),
    (
        r#"{ "coalesce": ["at", "other"], "stamp": "millis" }"#,
        "at bigint, other bigint",
    ),
];

/// Texts, which SQLite can add to.
#[cfg(feature = "sqlite")]
const TEXTS: [(&str, &str); 3] = [
    (
        r#"{ "at": "at", "stamp": { "text": "%Y-%m-%d %H:%M:%S" } }"#,
        "at text",
    ),
    (
        r#"{ "at": "at", "plus": "ttl", "unit": "hours", "stamp": { "text": "%Y-%m-%d %H:%M:%S%.3f" } }"#,
        "at text, ttl integer",
    ),
    (
        r#"{ "first_of": [{ "column": "at", "stamp": "seconds" }, { "column": "other", "stamp": { "text": "%Y-%m-%dT%H:%M:%SZ" } }] }"#,
        "at integer, other text",
    ),
];

/// Sums on Postgres.
#[cfg(feature = "postgres")]
const TIMESTAMPS: [(&str, &str); 6] = [
    (
        r#"{ "at": "at", "stamp": { "naive_in": "Europe/Berlin" } }"#,
        "at timestamp",
    ),
    (
        r#"{ "at": "at", "plus": "ttl", "unit": "seconds", "stamp": { "naive_in": "Europe/Berlin" } }"#,
        "at timestamp, ttl integer",
    ),
    (
        r#"{ "at": "at", "plus": "ttl", "unit": "seconds" }"#,
        "at timestamptz, ttl integer",
    ),
    (
        r#"{ "at": "at", "plus": "ttl", "unit": "seconds", "stamp": "naive_utc" }"#,
        "at timestamp, ttl bigint",
    ),
    (
        r#"{ "at": "at", "plus": "ttl", "unit": "seconds" }"#,
        "at timestamptz, ttl interval",
    ),
    (
        r#"{ "first_of": ["at", { "column": "other", "stamp": "naive_utc" }] }"#,
        "at timestamptz, other timestamp",
    ),
];

fn rule(due: &str) -> Rule {
    let text = format!(r#"{{ "name": "r", "table": "t", "due": {due}, "action": "delete" }}"#);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The statement that makes an index for the order of rows.
fn offered(findings: &Findings) -> Option<String> {
    assert_eq!(findings.refused, [], "{findings}");
    let mut advice = findings.advice.iter().filter(|advice| advice.part == "due");
    advice.find_map(|advice| advice.statement.clone())
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_that_the_check_offers_serves_on_postgres() {
    for (due, columns) in SUMS.into_iter().chain(TIMESTAMPS) {
        let table = format!("create table t (id bigint primary key, {columns})");
        let Some(host) = super::demands::Host::new(&table).await else {
            return;
        };
        let check = async || host.store.check_rule(&rule(due)).await.expect("a check");

        let offered_first = offered(&check().await).expect("an index is missing");
        host.run(&offered_first).await;

        assert_eq!(offered(&check().await), None, "{due}: {offered_first}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_that_the_check_offers_serves_on_sqlite() {
    for (due, columns) in SUMS.into_iter().chain(TEXTS) {
        let host = super::sqlite::host("").await;
        let at = if columns.starts_with("at text") {
            "'2026-01-10 12:00:00.000'"
        } else {
            "5"
        };
        // An expression that no index may hold fails once there is a row.
        host.run(&format!(
            "create table t (id integer primary key, {columns}); insert into t (id, at) values (1, {at})"
        ));
        let check = async || host.store.check_rule(&rule(due)).await.expect("a check");

        let offered_first = offered(&check().await).expect("an index is missing");
        host.run(&offered_first);

        assert_eq!(offered(&check().await), None, "{due}: {offered_first}");
    }
}

/// River's and Oban's way: the state first, and then the instant, of finished rows alone.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_led_by_the_state_serves_on_postgres() {
    let tables = "create type state as enum ('running', 'completed');
        create table t (id bigint primary key, state state not null, at timestamptz);
        create index on t (state, at) where at is not null";
    let Some(host) = super::demands::Host::new(tables).await else {
        return;
    };
    let of_one = rule(r#"{ "at": "at" }"#).only(ractor_housekeeper::rule::eq("state", "completed"));

    let findings = host.store.check_rule(&of_one).await.expect("a check");
    assert_eq!(offered(&findings), None, "{findings}");

    // Rows of all states are in no order of this index.
    let of_all = host.store.check_rule(&rule(r#"{ "at": "at" }"#)).await;
    assert!(offered(&of_all.expect("a check")).is_some());
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_led_by_the_state_serves_on_sqlite() {
    let host = super::sqlite::host(
        "create table t (id integer primary key, state text not null, at integer);
        create index finished on t (state, at) where at is not null",
    )
    .await;
    let of_all = rule(r#"{ "at": "at", "stamp": "seconds" }"#);
    let of_one = of_all
        .clone()
        .only(ractor_housekeeper::rule::eq("state", "completed"));

    let findings = host.store.check_rule(&of_one).await.expect("a check");
    assert_eq!(offered(&findings), None, "{findings}");

    let of_all = host.store.check_rule(&of_all).await;
    assert!(offered(&of_all.expect("a check")).is_some());
}

/// Indexes on the column of a foreign key, and whether they serve it.
const KEYS: [(&str, bool); 4] = [
    (r#"create index k on lines ("Order")"#, true),
    (
        r#"create index k on lines ("Order") where "Order" is not null"#,
        true,
    ),
    (
        r#"create index k on lines ("Order") where n is not null"#,
        false,
    ),
    (r#"create index k on lines (n, "Order")"#, false),
];

/// The statement that makes an index for a foreign key.
fn key_index(findings: &Findings) -> Option<String> {
    assert_eq!(findings.refused, [], "{findings}");
    let mut advice = findings.advice.iter();
    advice
        .find(|advice| advice.part == "with")
        .and_then(|advice| advice.statement.clone())
}

fn delete_with_lines() -> Rule {
    rule(r#"{ "at": "at", "stamp": "seconds" }"#)
        .with(ractor_housekeeper::rule::children("lines", "Order"))
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_keys_that_are_not_null_serves_on_postgres() {
    for (index, serves) in KEYS {
        let tables = r#"create table t (id int primary key, at bigint);
            create table lines (n int, "Order" int references t);"#;
        let Some(host) = super::demands::Host::new(&format!("{tables}{index}")).await else {
            return;
        };

        let findings = host.store.check_rule(&delete_with_lines()).await;

        let offered = key_index(&findings.expect("a check"));
        assert_eq!(offered.is_none(), serves, "{index}: {offered:?}");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_of_keys_that_are_not_null_serves_on_sqlite() {
    for (index, serves) in KEYS {
        let host = super::sqlite::host(
            r#"create table t (id integer primary key, at int);
            create table lines (n int, "Order" int references t);"#,
        )
        .await;
        host.run(index);

        let findings = host.store.check_rule(&delete_with_lines()).await;

        let offered = key_index(&findings.expect("a check"));
        assert_eq!(offered.is_none(), serves, "{index}: {offered:?}");
    }
}
