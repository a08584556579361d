//! A declared rule under a housekeeper: from a file's text to a report.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use ractor::call_t;
use ractor_housekeeper::rule::{Rule, age};
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::testing::ManualClock;
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

/// The clock of an SQLite file is the host's, and it was set a month ahead between two ticks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_tick_under_a_clock_a_month_ahead_deletes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).expect("a connection");
    let noon = "2026-01-10T12:00:00Z".parse().expect("is an instant");
    conn.batch_execute(
        "create table sessions (id integer primary key, at text not null); create index sessions_at on sessions (at);
         insert into sessions (at) values ('2026-01-09 13:00:00'), ('2026-01-10 11:00:00'), ('2026-01-10 11:30:00')",
    )
    .expect("is made");
    let clock = ManualClock::new(noon);
    let store = SqliteStore::open(&path.to_string_lossy())
        .await
        .expect("a path")
        .with_clock(Arc::new(clock.clone()));
    let rule = Rule::new("sessions", "sessions")
        .due(age("at", Duration::from_secs(24 * 3_600)).text("%Y-%m-%d %H:%M:%S"))
        .delete();
    let job = store.rule(rule).expect("a job");
    let arguments = HousekeeperArguments::new(vec![Arc::new(job)]).with_clock(clock.clone());
    let housekeeper = start(None, arguments).await.expect("starts").housekeeper;
    let run = async || {
        let report = housekeeper.run_now("sessions", Scope::All).await;
        report.expect("is not rejected")
    };
    assert!(run().await.success());

    clock.advance_wall(TimeDelta::days(30));
    let held = run().await;
    let paused = housekeeper.pause("sessions").await;
    let resumed = housekeeper.resume("sessions").await;
    let still_held = run().await;
    clock.advance_wall(-TimeDelta::days(30));
    let right = run().await;

    for held in [held, still_held] {
        let text = held.outcome.to_string();
        assert!(text.contains("the deciding clock leapt"), "{text}");
        assert_eq!(held.counts.total(), 0);
    }
    assert_eq!((paused, resumed), (Ok(true), Ok(true)));
    assert!(right.success(), "{right}");
    assert_eq!(right.counts.total(), 0);
    housekeeper.stop(None);
}
