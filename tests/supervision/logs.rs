//! What the log says, and how loudly.
//!
//! In processes of their own: a place in the code that is reached by two threads while one of them begins to listen may be left out for good.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chrono::DateTime;
use ractor::call;
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::{
    Batch, HousekeeperArguments, HousekeeperMsg, Job, JobError, JobName, Outlook, Page, Pass,
    PreviewRows, Scope, SetAside, Window, start,
};
use tracing::Level;
use tracing::subscriber::DefaultGuard;

use crate::health::with_a_row_left;
use crate::support::{Host, Setup, minutes};

#[test]
fn a_run_that_failed_is_a_warning_and_one_that_found_nothing_is_told_to_the_curious_only() {
    alone(
        "a_run_that_failed_is_a_warning_and_one_that_found_nothing_is_told_to_the_curious_only",
        async {
            let log = Log::listen();
            let host = Setup::new().start().await;

            host.run().await;
            let nothing = log.of("booking-expirer handled nothing");
            host.add_overdue(1);
            host.run().await;
            let handled = log.of("booking-expirer handled 1 booking");
            host.faults
                .always(Step::Open, Fault::Fail("no route".to_owned()));
            host.run().await;
            let failed = log.of("booking-expirer failed: no route");
            host.faults.always(Step::Open, Fault::Panic);
            host.run().await;
            let crashed = log.of("booking-expirer crashed");

            assert_eq!(nothing, ["DEBUG"]);
            assert_eq!(handled, ["INFO"]);
            assert_eq!(failed, ["WARN"]);
            assert_eq!(crashed, ["WARN"]);
        },
    );
}

#[test]
fn a_run_that_only_set_rows_aside_is_told() {
    alone("a_run_that_only_set_rows_aside_is_told", async {
        let log = Log::listen();
        let arguments = HousekeeperArguments::new(vec![Arc::new(Refusing)]);
        let arguments = arguments.with_config(Setup::new().config);
        let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;

        let run = HousekeeperMsg::RunNow;
        let report = call!(housekeeper, run, Refusing.name(), Scope::All).expect("it runs");

        assert_eq!(report.expect("is not refused").set_aside_count, 1);
        assert_eq!(log.of("refusing handled nothing, 1 set aside"), ["INFO"]);
    });
}

#[test]
fn health_that_gets_worse_is_a_warning_and_health_that_gets_better_is_not() {
    alone(
        "health_that_gets_worse_is_a_warning_and_health_that_gets_better_is_not",
        async {
            let log = Log::listen();
            let mut host = with_a_row_left().await;

            tokio::time::sleep(minutes(5)).await;
            let late = log.of("booking-expirer is late: a row has been due for");
            host.kill_worker().await;
            let died = log.of("booking-expirer is failing: its worker died");
            tokio::time::sleep(minutes(1)).await;
            let restarted = log.of("booking-expirer is no more failing, but late: a row");
            host.run().await;
            let healed = log.of("booking-expirer is healthy again");

            assert_eq!(late, ["WARN"]);
            assert_eq!(died, ["WARN"]);
            assert_eq!(restarted, ["INFO"]);
            assert_eq!(healed, ["INFO"]);
        },
    );
}

/// Plays a story where no other test runs.
fn alone(test: &str, story: impl Future<Output = ()>) {
    if std::env::var_os(ALONE).is_none() {
        let itself = std::env::current_exe().expect("it runs");
        let played = Command::new(itself)
            .args(["--exact", &format!("logs::{test}"), "--nocapture"])
            .env(ALONE, "1")
            .output()
            .expect("it runs once more");
        let said = String::from_utf8_lossy(&played.stdout);
        assert!(
            played.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&played.stderr)
        );
        return;
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(story);
}

/// Set for the process that plays one story.
const ALONE: &str = "HOUSEKEEPER_LOGS_ALONE";

impl Host {
    async fn run(&self) {
        let report = self.run_now(Scope::All).await;
        assert!(report.is_ok(), "{report:?}");
    }
}

/// What this thread logs, a line each, with the level first.
struct Log {
    lines: Lines,
    _listening: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen() -> Self {
        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || written.clone())
            .finish();
        Self {
            lines,
            _listening: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The levels of the lines that say this.
    fn of(&self, message: &str) -> Vec<String> {
        let text = String::from_utf8(self.lines.lock().clone()).expect("it is text");
        let lines = text.lines().filter(|line| line.contains(message));
        lines
            .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
            .collect()
    }
}

impl Lines {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.lock().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A job whose only row never goes.
struct Refusing;

#[async_trait]
impl Job for Refusing {
    fn name(&self) -> JobName {
        JobName::new("refusing")
    }

    async fn open(&self) -> Result<Window, JobError> {
        Ok(Window {
            now: DateTime::UNIX_EPOCH,
            cutoff: DateTime::UNIX_EPOCH,
        })
    }

    async fn batch(&self, _: &Pass) -> Result<Batch, JobError> {
        Ok(Batch {
            set_aside: vec![SetAside {
                id: "row".to_owned(),
                error: "somebody needs it".to_owned(),
            }],
            ..Batch::default()
        })
    }

    async fn preview(&self, _: &Scope, _: &Page) -> Result<PreviewRows, JobError> {
        Ok(PreviewRows::none(DateTime::UNIX_EPOCH))
    }

    async fn outlook(&self, _: &[String]) -> Result<Outlook, JobError> {
        Ok(Outlook::default())
    }
}
