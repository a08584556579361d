//! The suite on Postgres.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::sql_types::Bool;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::store::postgres::PostgresStore;
use ractor_housekeeper::testing::{ManualClock, PrivatePostgres};
use ractor_housekeeper::{Job, Scope};

use super::rules::{Case, POSTGRES, set};

/// A database with the schemas and one case's rows.
struct Host {
    url: String,
    store: PostgresStore,
}

impl Host {
    async fn new(case: &Case) -> Option<Self> {
        let server = PrivatePostgres::shared().expect("a server")?;
        let url = server.fresh_database().expect("a database");
        let store = PostgresStore::connect(&url).expect("a URL");
        let store = store.with_clock(Arc::new(ManualClock::frozen(noon())));
        let host = Self { url, store };
        host.run(include_str!("postgres.sql")).await;
        host.run(case.rows).await;
        Some(host)
    }

    async fn connect(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.url)
            .await
            .expect("a connection")
    }

    async fn run(&self, sql: &str) {
        let mut conn = self.connect().await;
        conn.batch_execute(sql)
            .await
            .unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    async fn holds(&self, question: &str) -> bool {
        let mut conn = self.connect().await;
        diesel::select(diesel::dsl::sql::<Bool>(&format!("({question})")))
            .get_result(&mut conn)
            .await
            .unwrap_or_else(|error| panic!("{error}: {question}"))
    }
}

fn noon() -> DateTime<Utc> {
    "2026-01-10T12:00:00Z".parse().expect("is an instant")
}

/// Takes a rule through one run, in batches of this many rows; returns what was handled and what
/// was rejected.
async fn run(job: &impl Job, limit: u32) -> (BTreeSet<String>, Vec<(String, String)>) {
    let bounds = job.begin_run().await.expect("a run begins");
    let (mut handled, mut rejected) = (BTreeSet::new(), Vec::new());
    let mut request = crate::first_batch(&bounds, limit);
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
    for case in POSTGRES {
        let Some(host) = Host::new(case).await else {
            return;
        };
        let rule = case.rule();
        let findings = host.store.check_rule(&rule).await.expect("a check");
        let job = host.store.rule(rule.clone()).expect("a job");

        case.assert_handled(&findings, &job).await;

        assert!(
            host.holds(case.after).await,
            "{}: {}",
            rule.name(),
            case.after
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_or_withheld_row_is_rejected_and_the_rest_goes() {
    for case in POSTGRES {
        let rule = case.rule();
        for (answer, reason) in [
            ("raise exception 'no' using errcode = 'BK001'", "no"),
            ("return null", "a trigger of the database withholds it"),
        ] {
            let Some(host) = Host::new(case).await else {
                return;
            };
            host.run(&trigger(case, rule.table(), answer)).await;
            let job = host.store.rule(rule.clone()).expect("a job");
            let bad = case.due[0];

            let (handled, rejected) = run(&job, 100).await;

            let name = rule.name();
            assert_eq!(rejected, [(bad.to_owned(), reason.to_owned())], "{name}");
            assert_eq!(handled, set(case.due[1..].iter().copied()), "{name}");
        }
    }
}

/// Has one row refused by a trigger on its table, or on each part of it.
fn trigger(case: &Case, table: &str, answer: &str) -> String {
    let bad = case.due[0];
    let rule = case.rule;
    let name = table.rsplit('.').next().unwrap_or_default();
    let key = match name {
        "p_ci_job_artifacts" => "jsonb_build_array(old.id, old.partition_id)",
        "django_session" => "old.session_key",
        "spring_session" => "old.primary_id",
        "ciphers" => "old.uuid",
        "invoices" => "old.hash",
        "offline_user_session" => "jsonb_build_array(old.user_session_id, old.offline_flag)",
        "verification_token" => "jsonb_build_array(old.identifier, old.token)",
        _ => "old.id",
    };
    let event = if rule.contains("\"set\"") {
        "update"
    } else {
        "delete"
    };
    let result = if event == "update" { "new" } else { "old" };
    format!(
        "create function refuse() returns trigger language plpgsql as $$ begin if {key}::text = '{bad}' then {answer}; end if; return {result}; end $$;
        create trigger refuse before {event} on {table} for each row execute function refuse()"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_somebody_holds_is_passed_over_and_handled_later() {
    for case in POSTGRES {
        let Some(host) = Host::new(case).await else {
            return;
        };
        let rule = case.rule();
        let job = host.store.rule(rule.clone()).expect("a job");
        let mut guest = host.connect().await;
        guest
            .batch_execute(&format!("begin; select 1 from {} for update", rule.table()))
            .await
            .expect("locks");

        let (none, rejected) = run(&job, 100).await;

        assert_eq!(
            (none, rejected),
            (BTreeSet::new(), Vec::new()),
            "{}",
            rule.name()
        );
        let seen = job
            .preview(&Scope::All, &Page::default())
            .await
            .expect("a preview");
        assert_eq!(seen.rows.len(), case.due.len(), "{}", rule.name());
        guest.batch_execute("rollback").await.expect("lets go");
        let (all, _) = run(&job, 100).await;
        assert_eq!(all, set(case.due.iter().copied()), "{}", rule.name());
    }
}
