//! A declared rule under a housekeeper: from a file's text to a report.

use std::sync::Arc;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use ractor::call_t;
use ractor_housekeeper::rule::Rule;
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Scope, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_from_a_file_runs_and_reports() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).expect("a connection");
    conn.batch_execute(
        "create table tokens (id integer primary key, owner text, expires integer not null); create index tokens_expires on tokens (expires);
         insert into tokens select value, 'anna', value from (with recursive n(value) as (select 1 union all select value + 1 from n where value < 500) select value from n);
         insert into tokens values (1000, 'bert', 4102444800)",
    )
    .expect("is made");
    let rule: Rule = serde_json::from_str(
        r#"{ "name": "tokens", "table": "tokens", "due": { "at": "expires", "stamp": "seconds" }, "scope": "owner", "action": "delete" }"#,
    )
    .expect("is a rule");
    let store = SqliteStore::open(&path.to_string_lossy())
        .await
        .expect("a path");
    let job = store.rule(rule).expect("a job");
    let started = start(None, HousekeeperArguments::new(vec![Arc::new(job)])).await;
    let housekeeper = started.expect("starts").housekeeper;

    let report = call_t!(
        housekeeper,
        HousekeeperMsg::RunNow,
        10_000,
        "tokens".into(),
        Scope::All
    );

    let text = report.expect("an answer").expect("a report").to_string();
    assert!(text.contains("handled 500 tokens"), "{text}");
    let left: i64 = diesel::RunQueryDsl::get_result(
        diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(
            "(select count(*) from tokens)",
        )),
        &mut conn,
    )
    .expect("a count");
    assert_eq!(left, 1, "{text}");
    housekeeper.stop(None);
}
