//! Passwords stay where they are: in no log, no error, no `Debug`, no status.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use ractor::call_t;
use ractor_housekeeper::actors::ignore_reply;
use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy, built_in};
use ractor_housekeeper::job::Page;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::store::Timeouts;
use ractor_housekeeper::testing::PrivatePostgres;
use ractor_housekeeper::{
    HousekeeperArguments, HousekeeperMsg, Outcome, PostgresStore, Scope, start,
};

/// All lines that this crate, ractor, the pool and the driver log, and all errors of this test.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

#[test]
fn no_password_appears_in_any_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(server) = server_with_passwords(folder.path()).expect("Postgres starts") else {
        eprintln!("left out: Postgres is not installed");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(make_role(&server));
    let output = Output::default();
    let log = output.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || log.clone())
        .init();
    let url = server.url();
    let host = url.split(['@', '/']).nth(3).expect("the URL has a host");

    // The right one first: what is logged of a connection that works is more.
    let right = forms(host, RIGHT).swap_remove(0);
    runtime.block_on(use_store(&right, Timeouts::default(), &output));
    runtime.block_on(use_housekeeper(&right, Timeouts::default(), &output));
    let logged = output.take();
    assert!(
        logged.contains("preparing query"),
        "the driver's log is not in {logged}"
    );
    assert!(!logged.contains(RIGHT), "the password is in {logged}");
    let config = ProptestConfig {
        cases: 3,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let wrong = "[!-~]{6,20}".prop_filter("stands in the address anyway", |password| {
        !url.contains(password.as_str())
    });
    let outcome = TestRunner::new(config).run(&wrong, |password| {
        let forms = forms(host, &password);
        for url in &forms {
            runtime.block_on(use_store(url, impatient(), &output));
        }
        runtime.block_on(use_housekeeper(&forms[0], impatient(), &output));
        let text = output.take();
        let escaped = encoded(&password);
        prop_assert!(
            !text.contains(&password) && !text.contains(&escaped),
            "{} is in {}",
            password,
            text
        );
        prop_assert!(text.contains("password authentication failed"), "{}", text);
        prop_assert!(text.contains("cannot be opened"), "{}", text);
        Ok(())
    });

    assert!(outcome.is_ok(), "{outcome:?}");
}

/// Collects all texts of a store and of a housekeeper over it.
async fn use_store(url: &str, timeouts: Timeouts, output: &Output) {
    let store = match PostgresStore::connect(url) {
        Ok(store) => store
            .with_timeouts(timeouts)
            .expect("the timeouts are valid"),
        Err(error) => return output.error(&error),
    };
    output.debug(&store);
    output.debug(store.pool());
    match store.now().await {
        Ok(now) => output.debug(&now),
        Err(error) => output.error(&error),
    }
    if let Err(error) = store.check().await {
        output.error(&error);
    }
    if let Err(error) = store.migrate(&[]).await {
        output.error(&error);
    }
}

/// Collects all texts of a housekeeper over a store.
async fn use_housekeeper(url: &str, timeouts: Timeouts, output: &Output) {
    let store = PostgresStore::connect(url).expect("the URL can be");
    let store = store
        .with_timeouts(timeouts)
        .expect("the timeouts are valid");
    let jobs = built_in(store.clone(), &BookingPolicy::default()).expect("the ages can be");
    let arguments = HousekeeperArguments::new(jobs).with_history(store);
    let started = start(None, arguments).await.expect("it starts");
    output.debug(&started);
    let housekeeper = started.housekeeper;
    let job = BookingExpirer::NAME;

    let report = call_t!(
        housekeeper,
        HousekeeperMsg::RunNow,
        LIMIT_MS,
        job.clone(),
        Scope::All
    )
    .expect("it answers");
    let report = report.expect("the job is there");
    assert_ne!(report.outcome, Outcome::Completed, "there are no tables");
    let preview = call_t!(
        housekeeper,
        HousekeeperMsg::Preview,
        LIMIT_MS,
        job.clone(),
        Scope::All,
        Page::default()
    );
    let history =
        call_t!(housekeeper, HousekeeperMsg::History, LIMIT_MS, job, 10).expect("it answers");
    let status = call_t!(housekeeper, HousekeeperMsg::Status, LIMIT_MS).expect("it answers");
    output.note(&format!(
        "{report} {report:?} {status} {status:?} {preview:?} {history:?}"
    ));
    output.note(&serde_json::to_string(&(&report, &status, &history.ok())).expect("is plain data"));
    output.note(&serde_json::to_string(&preview.expect("it answers")).expect("is plain data"));

    let stop = HousekeeperMsg::Shutdown(Duration::from_secs(5), ignore_reply());
    housekeeper.cast(stop).expect("it lives");
    started.handle.await.expect("it stopped by itself");
}

/// Short timeouts, since these connections fail.
fn impatient() -> Timeouts {
    Timeouts {
        acquire: Duration::from_millis(150),
        ..Timeouts::default()
    }
}

/// The ways to write an address with a password, right and wrong.
fn forms(host: &str, password: &str) -> Vec<String> {
    let escaped = encoded(password);
    let folder = host.replace("%2F", "/");
    let quoted = password.replace('\\', "\\\\").replace('\'', "\\'");
    vec![
        format!("postgres://app:{escaped}@{host}/postgres"),
        format!("postgres://{host}/postgres?user=app&password={escaped}"),
        format!("host={folder} user=app dbname=postgres password='{quoted}'"),
        // No server listens there.
        format!("postgres://app:{escaped}@{host}:1/postgres"),
        format!("postgres://app:{escaped}@localhost:1/postgres"),
        format!("postgres://app:{escaped}@no-such-host.invalid/postgres"),
        format!("postgres://guest:{escaped}@{host}/no_such_database"),
        // Not escaped, misspelt, impossible.
        format!("postgres://app:{password}@{host}/postgres"),
        format!("postgres://app:{escaped}@{host}:99999/postgres"),
        format!("postgres://app:{escaped}@{host}/postgres?sslmode=require"),
        format!("postgres://app:{escaped}@{host}/postgres?pasword={escaped}"),
        format!("app:{password}@{host}/postgres"),
        format!("host={folder} user=app password='{password}"),
    ]
}

fn encoded(password: &str) -> String {
    password.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn server_with_passwords(folder: &std::path::Path) -> io::Result<Option<PrivatePostgres>> {
    let rules = folder.join("rules");
    fs::write(
        &rules,
        "local all housekeeper trust\nlocal all all scram-sha-256\n",
    )?;
    // The server may run as another user.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    PrivatePostgres::start_with(&[&format!("hba_file={}", rules.display())])
}

async fn make_role(server: &PrivatePostgres) {
    let store = PostgresStore::connect(&server.url()).expect("the URL is right");
    let mut conn = store.pool().get().await.expect("it answers");
    let role = format!("create role app login password '{RIGHT}'");
    conn.batch_execute(&role).await.expect("the role is new");
}

impl Output {
    fn note(&self, text: &str) {
        let _ = io::Write::write(&mut self.clone(), text.as_bytes());
    }

    fn debug(&self, value: &impl Debug) {
        self.note(&format!("{value:?} {value:#?}"));
    }

    fn error(&self, error: &(dyn Error + 'static)) {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.note(&format!("{error} {error:#} {error:?} {error:#?}"));
            cause = error.source();
        }
    }

    fn take(&self) -> String {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&std::mem::take(&mut *bytes)).into_owned()
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const RIGHT: &str = "correct-horse-battery";

const LIMIT_MS: u64 = 30_000;
