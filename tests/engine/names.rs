//! Names and settings.

use std::time::Duration;

use ractor::Actor;
use ractor_housekeeper::actors::{StartError, status, stop};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::ConfigError;
use ractor_housekeeper::model::HousekeeperState;
use ractor_housekeeper::testing::{Fault, Gate, Step};
use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, Scope, start};
use tokio::sync::mpsc;

use crate::helpers::ParentActor;
use crate::support::host::{Setup, seconds};

#[tokio::test(start_paused = true)]
async fn a_second_start_of_a_name_fails_with_the_first_housekeeper() {
    let name = Some("twice");

    let first = start(name, Setup::new().arguments)
        .await
        .expect("it starts");
    let error = start(name, Setup::new().arguments)
        .await
        .expect_err("is taken");

    assert_eq!(
        error.to_string(),
        "the housekeeper twice is already running"
    );
    let running = error.into_running().expect("it runs");
    assert_eq!(first.housekeeper.get_id(), running.get_id());
    stop("twice", seconds(1)).await.expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn a_start_during_the_shutdown_of_its_name_waits_and_starts() {
    let setup = Setup::new();
    let gate = Gate::closed();
    setup.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let old = start(Some("successor"), setup.arguments)
        .await
        .expect("it starts");
    let run = HousekeeperMsg::RunNow(
        BookingExpirer::NAME,
        Scope::All,
        ractor_housekeeper::actors::ignore_reply(),
    );
    old.housekeeper.cast(run).expect("it runs");
    gate.reached().await;
    let shutdown =
        HousekeeperMsg::Shutdown(seconds(30), ractor_housekeeper::actors::ignore_reply());
    old.housekeeper.cast(shutdown).expect("it runs");

    let starting = tokio::spawn(start(Some("successor"), Setup::new().arguments));
    tokio::time::sleep(seconds(1)).await;
    let still_waits = !starting.is_finished();
    gate.open();
    let new = starting.await.expect("no panic").expect("it starts");

    assert!(still_waits);
    assert_ne!(old.housekeeper.get_id(), new.housekeeper.get_id());
    assert_eq!(status("successor").await.state, HousekeeperState::Running);
    stop("successor", seconds(1)).await.expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn concurrent_starts_of_one_name_start_one_housekeeper() {
    let starts = (0..20).map(|_| tokio::spawn(start(Some("race"), Setup::new().arguments)));
    let starts: Vec<_> = starts.collect();

    let (mut started, mut running) = (Vec::new(), Vec::new());
    for one in starts {
        match one.await.expect("no panic") {
            Ok(one) => started.push(one.housekeeper.get_id()),
            Err(error) => running.push(error.into_running().expect("it runs").get_id()),
        }
    }

    assert_eq!((started.len(), running.len()), (1, 19));
    assert!(running.iter().all(|id| *id == started[0]));
    stop("race", seconds(1)).await.expect("it runs");
}

#[tokio::test(start_paused = true)]
async fn the_status_of_a_name_tells_never_started_from_stopped() {
    let before = status("once").await;
    start(Some("once"), Setup::new().arguments)
        .await
        .expect("it starts");
    let during = status("once").await;
    stop("once", seconds(1)).await.expect("it runs");
    let after = status("once").await;
    let again = stop("once", seconds(1)).await;

    assert_eq!(before.state, HousekeeperState::NeverStarted);
    assert_eq!(
        (during.state, during.jobs.len()),
        (HousekeeperState::Running, 2)
    );
    assert_eq!(after.state, HousekeeperState::Stopped);
    assert_eq!(again.expect_err("none runs").name, "once");
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_says_why() {
    let mut zero = Setup::new();
    zero.config.retry.first = Duration::ZERO;
    let twice = Setup::new().arguments;
    let jobs = twice.jobs.iter().chain(&twice.jobs).cloned().collect();
    let (somebody, _) = Actor::spawn(
        Some("stranger".to_owned()),
        ParentActor,
        mpsc::unbounded_channel().0,
    )
    .await
    .expect("it starts");

    let zero = start(None, zero.arguments.with_config(zero.config)).await;
    let twice = start(None, HousekeeperArguments::new(jobs)).await;
    let taken = start(Some("stranger"), Setup::new().arguments).await;

    assert!(
        matches!(&zero, Err(StartError::Config(ConfigError { setting, .. })) if setting == "retry.first"),
        "{zero:?}"
    );
    assert!(
        matches!(&twice, Err(StartError::SameName { job }) if *job == BookingExpirer::NAME),
        "{twice:?}"
    );
    assert!(
        matches!(&taken, Err(StartError::NameTaken { name }) if name == "stranger"),
        "{taken:?}"
    );
    somebody.stop(None);
}
