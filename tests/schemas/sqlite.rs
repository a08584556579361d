//! The suite on SQLite.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::sql_types::Bool;
use diesel::{Connection, RunQueryDsl, SqliteConnection};
use ractor_housekeeper::job::BatchRequest;
use ractor_housekeeper::store::sqlite::SqliteStore;
use ractor_housekeeper::testing::{ManualClock, assert_conforms};
use ractor_housekeeper::{Job, Scope};

use super::rules::{Case, SQLITE};

/// A file with the schemas and one case's rows.
struct Host {
    folder: tempfile::TempDir,
    store: SqliteStore,
}

impl Host {
    async fn new(case: &Case) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("host.db");
        let store = SqliteStore::open(&path.to_string_lossy())
            .await
            .expect("a path");
        let store = store.with_clock(Arc::new(ManualClock::frozen(noon())));
        let host = Self { folder, store };
        host.run(include_str!("sqlite.sql"));
        host.run(case.rows);
        host
    }

    fn connect(&self) -> SqliteConnection {
        let path = self.folder.path().join("host.db");
        SqliteConnection::establish(&path.to_string_lossy()).expect("a connection")
    }

    fn run(&self, sql: &str) {
        self.connect()
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    fn holds(&self, question: &str) -> bool {
        diesel::select(diesel::dsl::sql::<Bool>(&format!("({question})")))
            .get_result(&mut self.connect())
            .unwrap_or_else(|error| panic!("{error}: {question}"))
    }
}

fn noon() -> DateTime<Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}

fn set<'i>(ids: impl IntoIterator<Item = &'i str>) -> BTreeSet<String> {
    ids.into_iter().map(str::to_owned).collect()
}

/// Takes a rule through one run; returns what was handled and what was rejected.
async fn run(job: &impl Job, limit: u32) -> (BTreeSet<String>, Vec<(String, String)>) {
    let bounds = job.begin_run().await.expect("a run begins");
    let (mut handled, mut rejected) = (BTreeSet::new(), Vec::new());
    let mut request = BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: limit.try_into().expect("is not zero"),
        after: None,
    };
    loop {
        let batch = job
            .batch(&request)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", job.name()));
        handled.extend(batch.ids);
        rejected.extend(batch.rejected.into_iter().map(|row| (row.id, row.error)));
        match batch.next_cursor {
            None => return (handled, rejected),
            next => request.after = next,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_forecast_and_run_agree_on_what_is_due() {
    for case in SQLITE {
        let host = Host::new(case).await;
        let rule = case.rule();
        let findings = host.store.check_rule(&rule).await.expect("a check");
        assert_eq!(findings.refused, [], "{findings}");
        let job = host.store.rule(rule.clone()).expect("a job");

        let handled = assert_conforms(&job, 2.try_into().expect("is not zero")).await;

        let handled = handled.unwrap_or_else(|error| panic!("{}: {error}", rule.name()));
        assert_eq!(
            handled.into_iter().collect::<BTreeSet<_>>(),
            set(case.due.iter().copied()),
            "{}",
            rule.name()
        );
        assert!(host.holds(case.after), "{}: {}", rule.name(), case.after);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_refused_or_withheld_is_rejected_and_the_rest_goes() {
    for case in SQLITE {
        let rule = case.rule();
        for (answer, reason) in [
            ("raise(abort, 'no')", "no"),
            ("raise(ignore)", "a trigger of the database withholds it"),
        ] {
            let host = Host::new(case).await;
            let event = if case.rule.contains("\"set\"") {
                "update"
            } else {
                "delete"
            };
            let (bad, key) = match rule.table() {
                "ciphers" => ("a", "old.uuid"),
                "invoices" => ("01", "hex(old.hash)"),
                "drafts" => (
                    "['it''s', 1]",
                    "'[' || quote(old.tenant) || ', ' || old.id || ']'",
                ),
                _ => (case.due[0], "old.id"),
            };
            let literal = bad.replace('\'', "''");
            host.run(&format!(
                "create trigger refuse before {event} on {} when {key} = '{literal}' begin select {answer}; end",
                rule.table()
            ));
            let job = host.store.rule(rule.clone()).expect("a job");

            let (handled, rejected) = run(&job, 100).await;

            let name = rule.name();
            assert_eq!(rejected, [(bad.to_owned(), reason.to_owned())], "{name}");
            assert_eq!(handled, set(case.due[1..].iter().copied()), "{name}");
        }
    }
}
