//! A row falls due one unit of its stamp after its instant: the forecast says so to the
//! microsecond, and the run keeps to it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ractor_housekeeper::Job;
use ractor_housekeeper::rule::{Rule, Stamp, at, moment};
use ractor_housekeeper::testing::ManualClock;

/// A column's type, its stamp, ten seconds after noon as a literal, and the unit in microseconds.
type Kept = (&'static str, Option<Stamp>, &'static str, u64);

fn kept() -> Vec<Kept> {
    let text = |format: &str| Some(Stamp::Text(format.to_owned()));
    vec![
        ("bigint", Some(Stamp::Seconds), "1768046410", 1_000_000),
        ("bigint", Some(Stamp::Millis), "1768046410000", 1_000),
        ("bigint", Some(Stamp::Micros), "1768046410000000", 1),
        (
            "varchar(30)",
            text("%Y-%m-%d %H:%M:%S"),
            "'2026-01-10 12:00:10'",
            1_000_000,
        ),
        (
            "varchar(30)",
            text("%Y-%m-%dT%H:%M:%S%.3fZ"),
            "'2026-01-10T12:00:10.000Z'",
            1_000,
        ),
        (
            "varchar(30)",
            text("%Y-%m-%d %H:%M:%S%.6f"),
            "'2026-01-10 12:00:10.000000'",
            1,
        ),
    ]
}

fn table((column, _, literal, _): &Kept) -> String {
    format!(
        "create table t (id integer primary key, at {column}); insert into t values (1, {literal})"
    )
}

fn rules((_, stamp, _, unit): &Kept) -> [(Rule, Duration); 2] {
    let mut column = moment("at");
    if let Some(stamp) = stamp {
        column = column.stamp(stamp.clone());
    }
    let instant = Duration::from_secs(10);
    let rule = |due| Rule::new("t", "t").due(due).delete();
    [
        (
            rule(at(column.clone())),
            instant + Duration::from_micros(*unit),
        ),
        (rule(at(column).inclusive()), instant),
    ]
}

fn noon() -> DateTime<Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}

/// Takes a job through the last microsecond before its row falls due, and the one in which it does.
async fn assert_due(job: &impl Job, clock: &ManualClock, after: Duration, kept: &Kept) {
    let due = noon() + TimeDelta::from_std(after).expect("is short");
    for (now, left, ids) in [
        (noon(), after, &[][..]),
        (
            due - TimeDelta::microseconds(1),
            Duration::from_micros(1),
            &[],
        ),
        (due, Duration::ZERO, &["1"]),
    ] {
        clock.set(now);

        let bounds = job.begin_run().await.expect("a run begins");
        let request = crate::first_batch(&bounds, 10);

        let forecast = job.forecast(&[]).await.expect("a forecast");
        let batch = job.batch(&request).await.expect("a batch");

        assert_eq!(forecast.next_due, Some(left), "{kept:?} at {now}");
        assert_eq!(batch.ids, ids, "{kept:?} at {now}");
    }
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_falls_due_a_unit_after_its_instant_on_postgres() {
    let timestamps = [
        ("timestamptz", None, "'2026-01-10 12:00:10Z'", 1),
        (
            "timestamp",
            Some(Stamp::NaiveUtc),
            "'2026-01-10 12:00:10'",
            1,
        ),
    ];
    for kept in kept().into_iter().chain(timestamps) {
        for (rule, after) in rules(&kept) {
            let Some(host) = crate::demands::Host::new(&table(&kept)).await else {
                return;
            };
            let clock = ManualClock::frozen(noon());
            let store = host.store.clone().with_clock(Arc::new(clock.clone()));
            let job = store.rule(rule).expect("a job");

            assert_due(&job, &clock, after, &kept).await;
        }
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_falls_due_a_unit_after_its_instant_on_sqlite() {
    for kept in kept() {
        for (rule, after) in rules(&kept) {
            let host = crate::sqlite::host("").await;
            host.run(&table(&kept));
            let clock = ManualClock::frozen(noon());
            let store = host.store.clone().with_clock(Arc::new(clock.clone()));
            let job = store.rule(rule).expect("a job");

            assert_due(&job, &clock, after, &kept).await;
        }
    }
}
