//! A deciding clock that leaps ahead: nothing is deleted until the leap is confirmed.

use chrono::TimeDelta;
use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::model::{FailureKind, JobStatus, Trigger};
use ractor_housekeeper::testing::{Fault, ManualClock, Step, next_report};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, HousekeeperRef, Outcome, Report, Scope};
use uuid::Uuid;

use crate::support::host::{Host, Setup, minutes, seconds};

const MONTH: TimeDelta = TimeDelta::days(30);

#[tokio::test(start_paused = true)]
async fn a_leap_of_a_month_deletes_nothing_and_says_so() {
    let host = with_sessions(Setup::new()).await;
    assert!(clean(&host).await.success());
    host.add_overdue(3);

    host.clock.advance_wall(MONTH);
    let held = clean(&host).await;
    let expired = host.run_now(Scope::All).await.expect("is not refused");

    assert_eq!(failure(&held), Some(FailureKind::ClockLeap));
    assert_eq!(host.store.sessions().len(), 5);
    // An expired booking can be set back.
    assert_eq!(expired.counts.total(), 3);
    let status = cleaner(&host).await;
    assert_eq!(
        status.health.reason().expect("it is failing"),
        "the last run failed: the deciding clock leapt 30days ahead of the monotonic one: runs are held until it keeps step for 5m, \
         is set right, or `ConfirmClock` confirms it"
    );

    host.clock.advance_wall(-MONTH);
    assert!(clean(&host).await.success());
    assert_eq!(host.store.sessions().len(), 5);
    assert_eq!(cleaner(&host).await.health.as_str(), "healthy");
}

#[tokio::test(start_paused = true)]
async fn a_leap_that_stays_is_confirmed_by_a_look_five_minutes_later() {
    let mut host = with_sessions(Setup::new()).await;
    clean(&host).await;

    host.clock.advance_wall(MONTH);
    let set = host.clock.now();
    clean(&host).await;
    let cleaned = next_report(&mut host.events, |report| report.counts.total() == 5).await;

    let waited = cleaned.started_at - set;
    assert!(
        (TimeDelta::minutes(5)..=TimeDelta::minutes(6)).contains(&waited),
        "{waited}"
    );
    assert_eq!(cleaned.trigger, Trigger::Retry);
}

#[tokio::test(start_paused = true)]
async fn a_person_confirms_a_leap_and_the_job_runs_at_once() {
    let mut host = with_sessions(Setup::new()).await;
    let handle = HousekeeperRef::from(host.housekeeper.clone());
    clean(&host).await;
    assert_eq!(handle.confirm_clock(SessionCleaner::NAME).await, Ok(false));
    clean(&host).await;
    host.clock.advance_wall(MONTH);
    clean(&host).await;

    assert_eq!(handle.confirm_clock(SessionCleaner::NAME).await, Ok(true));

    let cleaned = next_report(&mut host.events, |report| report.counts.total() == 5).await;
    assert_eq!(cleaned.trigger, Trigger::Manual);
    assert_eq!(cleaner(&host).await.health.as_str(), "healthy");
    assert!(handle.confirm_clock("no-such-job").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_leap_within_the_bound_or_without_one_is_followed() {
    for (leap, bound) in [(TimeDelta::minutes(59), Some(minutes(60))), (MONTH, None)] {
        let mut setup = Setup::new();
        setup.config.job.max_clock_leap = bound;
        let host = with_sessions(setup).await;
        clean(&host).await;

        host.clock.advance_wall(leap);

        assert!(clean(&host).await.success(), "{leap}");
    }
}

#[tokio::test(start_paused = true)]
async fn leaps_that_add_up_within_a_day_are_held() {
    let host = with_sessions(Setup::new()).await;
    clean(&host).await;

    host.clock.advance_wall(TimeDelta::minutes(40));
    let first = clean(&host).await;
    tokio::time::sleep(minutes(5)).await;
    host.clock.advance_wall(TimeDelta::minutes(40));
    let second = clean(&host).await;

    assert!(first.success(), "{first}");
    assert_eq!(failure(&second), Some(FailureKind::ClockLeap));
    assert_eq!(host.store.sessions().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_crashes_forgets_no_leap() {
    let host = with_sessions(Setup::new()).await;
    clean(&host).await;
    host.clock.advance_wall(MONTH);
    clean(&host).await;

    host.sibling_faults.once(Step::BeginRun, 1, Fault::Panic);
    let crashed = clean(&host).await;
    tokio::time::sleep(seconds(5)).await;
    let after = clean(&host).await;

    assert!(matches!(crashed.outcome, Outcome::Crashed { .. }));
    assert_eq!(failure(&after), Some(FailureKind::ClockLeap));
    assert_eq!(host.store.sessions().len(), 5);
}

/// A process that starts again under a database's clock that leapt has no reading from before.
#[tokio::test(start_paused = true)]
async fn a_clock_ahead_of_the_machines_from_the_start_is_held() {
    let mut setup = Setup::new();
    let machine = ManualClock::new(setup.clock.now() - TimeDelta::days(28));
    setup.arguments = setup.arguments.with_clock(machine);
    let mut host = with_sessions(setup).await;
    host.clock.advance_wall(TimeDelta::days(2));

    let held = clean(&host).await;
    let reason = cleaner(&host).await.health.reason();
    let cleaned = next_report(&mut host.events, |report| report.counts.total() == 5).await;

    assert_eq!(failure(&held), Some(FailureKind::ClockLeap));
    assert_eq!(
        reason.as_deref(),
        Some(
            "the last run failed: the deciding clock is 30days ahead of this machine's: runs are held until it keeps step for 5m, \
             is set right, or `ConfirmClock` confirms it"
        )
    );
    assert!(cleaned.started_at > held.started_at + TimeDelta::minutes(5));
}

#[tokio::test(start_paused = true)]
async fn a_run_of_one_user_is_held_as_well() {
    let host = with_sessions(Setup::new()).await;
    clean(&host).await;
    host.clock.advance_wall(MONTH);

    let scope = Scope::user(Uuid::nil());
    let message = |reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, scope, reply);
    let report = host.ask(message).await.expect("is not refused");

    assert_eq!(failure(&report), Some(FailureKind::ClockLeap));
}

/// Five sessions that are not idle.
async fn with_sessions(setup: Setup) -> Host {
    let host = setup.start().await;
    let made = host.clock.now() - TimeDelta::hours(1);
    for number in 0..5 {
        host.store
            .add_session(format!("s{number}"), Uuid::nil(), made);
    }
    host
}

async fn clean(host: &Host) -> Report {
    let message = |reply| HousekeeperMsg::RunNow(SessionCleaner::NAME, Scope::All, reply);
    host.ask(message).await.expect("is not refused")
}

async fn cleaner(host: &Host) -> JobStatus {
    let mut status = host.ask(HousekeeperMsg::Status).await;
    let status = status.jobs.remove(&SessionCleaner::NAME);
    status.expect("the job is there")
}

fn failure(report: &Report) -> Option<FailureKind> {
    match &report.outcome {
        Outcome::Failed { failure, .. } => Some(*failure),
        _ => None,
    }
}
