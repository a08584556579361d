//! Log lines and their levels.

use std::sync::Arc;

use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::{HousekeeperArguments, RequestError, Scope, start};

use crate::health::with_a_row_left;
use crate::rejected::{RejectsChosenRows, run};
use crate::support::alone::ran_alone;
use crate::support::host::{Host, Setup, minutes};
use crate::support::log::Log;

#[tokio::test(start_paused = true)]
async fn a_failed_run_logs_a_warning_and_an_empty_one_debug() {
    if ran_alone("logs::a_failed_run_logs_a_warning_and_an_empty_one_debug") {
        return;
    }
    let log = Log::listen();
    let host = Setup::new().start().await;

    host.run().await;
    let nothing = log.of("booking-expirer handled nothing");
    host.add_overdue(3);
    host.run().await;
    let handled = log.of("booking-expirer handled 3 bookings");
    host.faults
        .always(Step::BeginRun, Fault::Fail("no route".to_owned()));
    host.run().await;
    let failed = log.of("booking-expirer failed: no route");
    host.faults.always(Step::BeginRun, Fault::Panic);
    host.run().await;
    let crashed = log.of("booking-expirer crashed: ");
    let second_batch = log.of("housekeeper.batch{batch.number=2 batch.limit=2}: new");

    assert_eq!(nothing, ["DEBUG"]);
    assert_eq!(handled, ["INFO"]);
    assert_eq!(second_batch, ["DEBUG"]);
    assert_eq!(failed, ["WARN"]);
    assert_eq!(crashed, ["WARN"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_only_rejected_rows_is_logged() {
    if ran_alone("logs::a_run_that_only_rejected_rows_is_logged") {
        return;
    }
    let log = Log::listen();
    let stubborn = RejectsChosenRows::default();
    stubborn.keep(&[1]);
    let arguments = HousekeeperArguments::new(vec![Arc::new(stubborn)]);
    let arguments = arguments.with_config(Setup::new().config);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;

    run(&housekeeper, Scope::All).await;

    assert_eq!(log.of("stubborn handled nothing, 1 rejected"), ["INFO"]);
}

#[tokio::test(start_paused = true)]
async fn worse_health_logs_a_warning_and_better_health_info() {
    if ran_alone("logs::worse_health_logs_a_warning_and_better_health_info") {
        return;
    }
    let log = Log::listen();
    let mut host = with_a_row_left().await;

    tokio::time::sleep(minutes(5)).await;
    let late = log.of("booking-expirer is late: a row has been due for");
    host.kill_worker().await;
    let died = log.of("booking-expirer is failing: its worker crashed");
    tokio::time::sleep(minutes(1)).await;
    let restarted = log.of("booking-expirer is no longer failing but late: a row");
    host.run().await;
    let reset_backoff = log.of("booking-expirer is healthy again");

    assert_eq!(late, ["WARN"]);
    assert_eq!(died, ["WARN"]);
    assert_eq!(restarted, ["INFO"]);
    assert_eq!(reset_backoff, ["INFO"]);
}

impl Host {
    async fn run(&self) {
        let report = self.run_now(Scope::All).await;
        assert!(report.is_ok(), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn text_from_outside_breaks_no_line_of_the_log() {
    if ran_alone("logs::text_from_outside_breaks_no_line_of_the_log") {
        return;
    }
    let log = Log::listen();
    let host = Setup::new().start().await;
    let error = "row b1\nERROR all is lost\u{1b}[2J\u{202e}".to_owned();
    host.faults.once(Step::BeginRun, 1, Fault::Fail(error));

    let failed = host.run_now(Scope::All).await.expect("a report");
    let users = [
        "a\nERROR forged",
        "a\u{1b}[31m",
        "a\u{202e}b",
        " ",
        "",
        " a",
        &"x".repeat(201),
    ];
    for user in users {
        let refused = host.run_now(Scope::user(user)).await;
        assert!(
            matches!(refused, Err(RequestError::Scope { .. })),
            "{user:?}: {refused:?}"
        );
    }

    assert!(!failed.success());
    let lines = log.of("ERROR all is lost");
    assert!(
        !lines.is_empty() && lines.iter().all(|level| level == "WARN"),
        "{lines:?}"
    );
    assert!(log.of("forged").is_empty());
    assert!(log.of("\u{1b}").is_empty() && log.of("\u{202e}").is_empty());
}
