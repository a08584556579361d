//! Requesters in reports, events, the status, the history and the log.

use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::config::Schedule;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::time::Clock;
use ractor_housekeeper::{HousekeeperMsg, HousekeeperRef, Outcome, Requester, Scope};

use crate::support::alone::ran_alone;
use crate::support::host::{Host, Setup, minutes};
use crate::support::log::Log;

const JOB: ractor_housekeeper::JobName = BookingExpirer::NAME;

#[tokio::test(start_paused = true)]
async fn a_pause_says_since_when_and_by_whom_until_the_resume() {
    let mut host = Setup::new().start().await;
    let (anna, ben) = (asker(&host, "anna"), asker(&host, "ben"));

    let paused = [anna.pause(JOB).await, ben.pause(JOB).await];
    let pause = host.status().await.pause.expect("it is paused");
    let event = next_event(&mut host.events, |news| {
        matches!(news, Event::JobPaused { .. })
    })
    .await;
    ben.resume(JOB).await.expect("it is paused");
    let resumed = next_event(&mut host.events, |news| {
        matches!(news, Event::JobResumed { .. })
    })
    .await;

    assert_eq!(paused, [Ok(true), Ok(false)]);
    assert_eq!(
        (pause.since, pause.by),
        (host.clock.now(), Some(name("anna")))
    );
    assert!(
        matches!(&*event, Event::JobPaused { requested_by, .. } if *requested_by == Some(name("anna")))
    );
    assert!(
        matches!(&*resumed, Event::JobResumed { requested_by, .. } if *requested_by == Some(name("ben")))
    );
    assert_eq!(host.status().await.pause, None);
}

#[tokio::test(start_paused = true)]
async fn a_merged_run_names_all_who_asked_for_it() {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(setup.store.clone());
    let gate = Gate::closed();
    setup.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let mut host = setup.start().await;
    host.add_overdue(1);
    let running = host.run_now(Scope::All);
    next_event(&mut host.events, |news| {
        matches!(news, Event::RunStarted { .. })
    })
    .await;

    let asked = ["anna", "ben", "anna"].map(|by| {
        let run = move |reply| HousekeeperMsg::RunNow(JOB, Scope::All, reply).requested_by(by);
        host.ask(run)
    });
    host.status().await;
    gate.open();
    assert_eq!(running.await.expect("a report").requested_by, []);
    host.add_overdue(1);
    let [first, others @ ..] = asked;
    let report = first.await.expect("a report");
    let event = next_event(
        &mut host.events,
        |news| matches!(news, Event::RunStarted { run, .. } if *run == report.run),
    )
    .await;

    let names = vec![Requester::new("anna"), Requester::new("ben")];
    assert_eq!(report.requested_by, names);
    for other in others {
        assert_eq!(other.await.expect("a report"), report);
    }
    assert!(matches!(&*event, Event::RunStarted { requested_by, .. } if *requested_by == names));
    let history = host
        .ask(|reply| HousekeeperMsg::History(JOB, 9, reply))
        .await;
    let history = history.expect("a history").runs;
    assert!(
        history
            .iter()
            .any(|record| record.report.requested_by == names)
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_run_says_who_cancelled_it() {
    let mut host = Setup::new().start().await;
    host.add_overdue(9);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
    let run = host.run_now(Scope::All);
    let batch = |news: &Event| matches!(news, Event::BatchCommitted { .. });
    next_event(&mut host.events, batch).await;

    asker(&host, "anna").cancel(JOB).await.expect("it runs");
    gate.open();
    let report = run.await.expect("a report");

    assert_eq!(
        report.outcome,
        Outcome::Cancelled {
            by: Some(name("anna"))
        }
    );
    assert!(report.message().contains("cancelled by anna"));
}

#[tokio::test(start_paused = true)]
async fn the_outermost_name_counts() {
    let host = Setup::new().start().await;

    let run = |reply| {
        let inner = HousekeeperMsg::RunNow(JOB, Scope::All, reply).requested_by("inner");
        inner.requested_by("outer")
    };
    let report = host.ask(run).await.expect("a report");

    assert_eq!(report.requested_by, [Requester::new("outer")]);
}

#[tokio::test(start_paused = true)]
async fn each_request_that_changes_something_leaves_a_log_line() {
    if ran_alone("requesters::each_request_that_changes_something_leaves_a_log_line") {
        return;
    }
    let log = Log::listen();
    let mut host = Setup::new().start().await;
    host.add_overdue(1);
    let forger = asker(&host, "anna\nINFO forged\u{1b}[31m");
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));

    let run = host.ask(|reply| {
        HousekeeperMsg::RunNow(JOB, Scope::user("x\nINFO forged"), reply).requested_by("ben")
    });
    assert!(run.await.is_err(), "a user is a UUID");
    let run = host.ask(|reply| HousekeeperMsg::RunNow(JOB, Scope::All, reply).requested_by("ben"));
    next_event(&mut host.events, |news| {
        matches!(news, Event::RunStarted { .. })
    })
    .await;
    forger.cancel(JOB).await.expect("it runs");
    gate.open();
    run.await.expect("a report");
    forger.pause(JOB).await.expect("there is the job");
    forger.pause(JOB).await.expect("there is the job");
    forger.resume(JOB).await.expect("there is the job");
    let hourly = Schedule {
        every: Some(minutes(60)),
        ..Schedule::default()
    };
    forger.reschedule(JOB, hourly).await.expect("it can be");

    let name = r"anna\nINFO forged\u{1b}[31m";
    let lines = [
        "a run of booking-expirer (all) was requested by ben".to_owned(),
        format!("booking-expirer was cancelled during its run by {name}"),
        format!("booking-expirer was paused by {name}"),
        format!("booking-expirer was resumed by {name}"),
        format!("booking-expirer was rescheduled by {name}"),
    ];
    for line in lines {
        assert_eq!(log.of(&line), ["INFO"], "{line}");
    }
    assert_eq!(log.of("\u{1b}"), [""; 0]);
}

fn asker(host: &Host, name: &str) -> HousekeeperRef {
    HousekeeperRef::from(host.housekeeper.clone()).requested_by(name)
}

fn name(name: &str) -> Requester {
    Requester::new(name)
}
