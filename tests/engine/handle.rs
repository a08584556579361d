//! The typed handle.

use ractor_housekeeper::actors::AskError;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::job::Page;
use ractor_housekeeper::model::RequestError;
use ractor_housekeeper::testing::{Fault, Gate, Step};
use ractor_housekeeper::{HousekeeperRef, Scope, start};

use crate::support::host::{Setup, seconds};

#[tokio::test(start_paused = true)]
async fn each_function_of_the_handle_returns_its_answer() {
    let housekeeper = started(Setup::new()).await;
    let expirer = BookingExpirer::NAME;

    let report = housekeeper.run_now(expirer.clone(), Scope::All).await;
    let reports = housekeeper.run_all().await;
    let preview = housekeeper
        .preview(expirer.clone(), Scope::All, Page::default())
        .await;
    let history = housekeeper.history(expirer.clone(), 3).await;
    let switches = [
        housekeeper.pause(expirer.clone()).await,
        housekeeper.resume(expirer.clone()).await,
    ];
    let cancelled = housekeeper.cancel(expirer.clone()).await;
    let status = housekeeper.status().await.expect("it runs");
    let schedule = status.jobs[&expirer].schedule.clone();
    let rescheduled = housekeeper.reschedule(expirer, schedule).await;

    assert!(report.expect("it runs").success());
    assert_eq!(reports.expect("it runs").len(), 2);
    assert!(preview.is_ok() && history.is_ok() && cancelled.is_ok());
    assert_eq!(switches, [Ok(true), Ok(true)]);
    assert_eq!(rescheduled, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_request_is_an_error_of_its_own() {
    let housekeeper = started(Setup::new()).await;

    let unknown = housekeeper.run_now("nope", Scope::All).await;

    let known = matches!(
        unknown,
        Err(AskError::Request(RequestError::UnknownJob { .. }))
    );
    assert!(known, "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_times_out_and_its_run_goes_on() {
    let setup = Setup::new();
    let gate = Gate::closed();
    setup.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let housekeeper = started(setup).await.with_timeout(seconds(1));

    let late = housekeeper.run_now(BookingExpirer::NAME, Scope::All).await;
    gate.open();
    let again = housekeeper.run_now(BookingExpirer::NAME, Scope::All).await;

    let timeout = seconds(1);
    assert_eq!(late, Err(AskError::Timeout { timeout }));
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_after_the_stop_says_so_and_a_shutdown_is_no_error() {
    let housekeeper = started(Setup::new()).await;

    housekeeper.shutdown(seconds(1)).await;
    let status = housekeeper.status().await;
    housekeeper.shutdown(seconds(1)).await;

    assert_eq!(status, Err(AskError::Stopped));
}

async fn started(setup: Setup) -> HousekeeperRef {
    let arguments = setup.arguments.with_config(setup.config);
    let started = start(None, arguments).await.expect("it starts");
    started.housekeeper
}
