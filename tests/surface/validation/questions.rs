//! Requests of any kind to a housekeeper over each store: each gets an answer, and none crashes an
//! actor.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use ractor::ActorRef;
use ractor_housekeeper::booking::{BookingPolicy, built_in};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::testing::MemoryStore;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Job, JobName, RequestError, Scope, start,
};

use crate::validation::values::{name, page, scope, unsaved};

#[derive(Debug, Clone)]
enum RequestKind {
    Run(JobName, Scope),
    Preview(JobName, Scope, Page),
    History(JobName, u32),
    Pause(JobName),
    Resume(JobName),
    Cancel(JobName),
}

#[test]
fn every_request_is_answered_over_memory() {
    let runtime = runtime();
    ask_everything(&runtime, 500, jobs(MemoryStore::new()));
}

#[cfg(feature = "sqlite")]
#[test]
fn every_request_is_answered_over_sqlite() {
    use ractor_housekeeper::SqliteStore;
    use ractor_housekeeper::store::Schema;

    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.db");
    let store = runtime.block_on(async {
        let path = path.to_str().expect("is text");
        let store = SqliteStore::open(path).await.expect("the path is right");
        store.migrate(Schema::ALL).await.expect("the file is new");
        store
    });
    ask_everything(&runtime, 200, jobs(store));
}

#[cfg(all(feature = "postgres", unix))]
#[test]
fn every_request_is_answered_over_postgres() {
    use ractor_housekeeper::PostgresStore;
    use ractor_housekeeper::store::Schema;
    use ractor_housekeeper::testing::PrivatePostgres;

    let Some(server) = PrivatePostgres::shared().expect("Postgres starts") else {
        eprintln!("left out: Postgres is not installed");
        return;
    };
    let runtime = runtime();
    let store = runtime.block_on(async {
        let url = server.fresh_database().expect("a database");
        let store = PostgresStore::connect(&url).expect("the URL is right");
        store.migrate(Schema::ALL).await.expect("it is empty");
        store
    });
    ask_everything(&runtime, 200, jobs(store));
}

fn ask_everything(runtime: &tokio::runtime::Runtime, cases: u32, jobs: Vec<Arc<dyn Job>>) {
    let started = runtime.block_on(start(None, HousekeeperArguments::new(jobs)));
    let housekeeper = started.expect("the settings are right").housekeeper;

    let outcome = TestRunner::new(unsaved(cases)).run(&question(), |question| {
        let refusal = runtime.block_on(ask(&housekeeper, question));
        let text = refusal
            .map(|refusal| refusal.to_string())
            .unwrap_or_default();
        // A log line stays a line, whatever the text that was refused.
        prop_assert!(!text.contains(['\0', '\n']), "{:?}", text);
        Ok(())
    });

    let status = runtime.block_on(async { ractor::call!(housekeeper, HousekeeperMsg::Status) });
    let status = status.expect("it lives");
    assert!(outcome.is_ok(), "{outcome:?}\n{status}");
    assert!(
        status.jobs.values().all(|job| job.restarts == 0),
        "{status}"
    );
}

async fn ask(
    housekeeper: &ActorRef<HousekeeperMsg>,
    question: RequestKind,
) -> Option<RequestError> {
    use ractor::call_t as ask;
    const LIMIT_MS: u64 = 30_000;
    let lives = "it answers";
    match question {
        RequestKind::Run(job, scope) => {
            ask!(housekeeper, HousekeeperMsg::RunNow, LIMIT_MS, job, scope)
                .expect(lives)
                .err()
        }
        RequestKind::Preview(job, scope, page) => ask!(
            housekeeper,
            HousekeeperMsg::Preview,
            LIMIT_MS,
            job,
            scope,
            page
        )
        .expect(lives)
        .err(),
        RequestKind::History(job, limit) => {
            ask!(housekeeper, HousekeeperMsg::History, LIMIT_MS, job, limit)
                .expect(lives)
                .err()
        }
        RequestKind::Pause(job) => ask!(housekeeper, HousekeeperMsg::Pause, LIMIT_MS, job)
            .expect(lives)
            .err(),
        RequestKind::Resume(job) => ask!(housekeeper, HousekeeperMsg::Resume, LIMIT_MS, job)
            .expect(lives)
            .err(),
        RequestKind::Cancel(job) => ask!(housekeeper, HousekeeperMsg::Cancel, LIMIT_MS, job)
            .expect(lives)
            .err(),
    }
}

fn question() -> impl Strategy<Value = RequestKind> {
    prop_oneof![
        (name(), scope()).prop_map(|(job, scope)| RequestKind::Run(job, scope)),
        (name(), scope(), page())
            .prop_map(|(job, scope, page)| RequestKind::Preview(job, scope, page)),
        (name(), any::<u32>()).prop_map(|(job, limit)| RequestKind::History(job, limit)),
        name().prop_map(RequestKind::Pause),
        name().prop_map(RequestKind::Resume),
        name().prop_map(RequestKind::Cancel),
    ]
}

fn jobs(store: impl ractor_housekeeper::store::Store) -> Vec<Arc<dyn Job>> {
    built_in(store, &BookingPolicy::default()).expect("the ages are right")
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .enable_all()
        .worker_threads(2)
        .build()
        .expect("a runtime")
}
