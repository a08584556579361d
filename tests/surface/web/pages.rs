//! The content of the pages.

use ractor_housekeeper::Scope;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};

use crate::support::host::seconds;
use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_read_only_page_has_no_buttons() {
    let host = host().await;

    let reader = Visitor::reader(&host).get("/").await;
    let actor = Visitor::actor(&host).get("/").await;

    let acts = |page: &str| page.matches("data-api=").count();
    assert_eq!(acts(reader.page(200)), 0);
    // Run, cancel, pause and pause all of two jobs, and run all.
    assert_eq!(acts(actor.page(200)), 9);
}

#[tokio::test(start_paused = true)]
async fn a_run_in_progress_is_shown_with_what_it_has_done() {
    let mut host = host().await;
    host.add_overdue(9);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 3, Fault::Hold(gate.clone()));
    let run = host.run_now(Scope::All);
    for _ in 0..2 {
        next_event(&mut host.events, |news| {
            matches!(news, Event::BatchCommitted { .. })
        })
        .await;
    }

    let answer = Visitor::reader(&host).get("/").await;
    let status = host.status().await;
    gate.open();
    run.await.expect("a report");

    let page = answer.page(200);
    assert!(
        page.contains("Running") && page.contains("<strong>4</strong> rows"),
        "{page}"
    );
    assert!(
        page.contains("4 bookings") && page.contains(", 2 batches"),
        "{page}"
    );
    let ractor_housekeeper::model::WorkerStatus::Running(current) = status.worker else {
        panic!("it is running");
    };
    assert_eq!((current.rows, current.batches), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_silent_is_shown_to_be() {
    let mut host = host().await;
    host.add_overdue(1);
    let gate = Gate::closed();
    let hold = Fault::Hold(gate.clone());
    host.faults.once(Step::Batch, 1, hold);
    let run = host.run_now(Scope::All);
    next_event(&mut host.events, |news| {
        matches!(news, Event::RunStarted { .. })
    })
    .await;
    let visitor = Visitor::reader(&host);

    let early = visitor.get("/").await;
    tokio::time::sleep(seconds(12)).await;
    let late = visitor.get("/").await;
    gate.open();
    run.await.expect("a report");

    assert!(!early.page(200).contains("silent for"));
    let silence = late.page(200).split("silent for <time").nth(1);
    let silence = silence.and_then(|rest| rest.split(['<', '>']).nth(1));
    assert_eq!(silence, Some("12s"), "{}", late.body);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_measured_by_the_backlog_that_the_last_one_left() {
    let mut host = host().await;
    host.add_overdue(1);
    let gate = Gate::closed();
    host.faults
        .once(Step::Forecast, 1, Fault::Hold(gate.clone()));
    let first = host.run_now(Scope::All);
    next_event(&mut host.events, |news| {
        matches!(news, Event::BatchCommitted { .. })
    })
    .await;
    // These fall due while it looks ahead.
    host.add_overdue(5);
    gate.open();
    first.await.expect("a report");
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let second = host.run_now(Scope::All);
    next_event(&mut host.events, |news| {
        matches!(news, Event::RunStarted { .. })
    })
    .await;

    let page = Visitor::reader(&host).get("/").await;
    gate.open();
    second.await.expect("a report");

    assert!(page.page(200).contains("of about 5"), "{}", page.body);
}

#[tokio::test(start_paused = true)]
async fn a_job_shows_its_past_as_plots_and_as_a_table() {
    let host = host().await;
    for rows in [3, 1, 2] {
        host.add_overdue(rows);
        host.run_now(Scope::All).await.expect("a report");
    }
    host.faults.once(
        Step::BeginRun,
        1,
        Fault::Fail("the database is away".to_owned()),
    );
    host.run_now(Scope::All).await.expect("a report");

    let answer = Visitor::reader(&host).get("/jobs/booking-expirer").await;

    let page = answer.page(200);
    assert_eq!(page.matches("<svg role=\"img\"").count(), 3);
    for title in ["Rows per run", "Time per run", "Lag after each run"] {
        assert!(page.contains(title), "{title}");
    }
    // A failed run has no forecast, so it has no lag.
    assert_eq!(page.matches("<circle").count(), 4 + 4 + 3);
    assert_eq!(page.matches("class=\"point bad\"").count(), 2);
    assert_eq!(page.matches("<tr").count(), 1 + 4);
    assert!(page.contains("<div class=\"why\">the database is away</div>"));
    assert!(page.contains("4 points from 2026-01-10"));
}

#[tokio::test(start_paused = true)]
async fn a_lag_is_shown_as_none_only_after_a_check() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let lag = "title=\"How long the oldest due row has waited\">";

    let before = visitor.get("/jobs/booking-expirer").await;
    host.run_now(Scope::All).await.expect("a report");
    let after = visitor.get("/jobs/booking-expirer").await;

    assert!(before.page(200).contains(&format!("{lag}–<")));
    assert!(after.page(200).contains(&format!("{lag}none<")));
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_past_says_so() {
    let host = host().await;

    let page = Visitor::reader(&host).get("/jobs/booking-expirer").await;

    assert!(page.page(200).contains("No run has changed anything yet"));
}

#[tokio::test(start_paused = true)]
async fn a_preview_leads_to_its_next_page_and_back_to_the_first() {
    let host = host().await;
    host.add_overdue(3);
    let visitor = Visitor::reader(&host);

    let first = visitor.get("/jobs/booking-expirer/preview?size=2").await;
    let link = first.page(200).split("rel=\"next\" href=\"./../../").nth(1);
    let link = link
        .and_then(|rest| rest.split('"').next())
        .expect("a next page");
    let second = visitor
        .get(&format!("/{}", link.replace("&amp;", "&")))
        .await;

    let cleared = visitor
        .get("/jobs/booking-expirer/preview?user=&size=")
        .await;

    let ids = |page: &str| page.matches("<td class=\"id\">b0").count();
    assert_eq!(ids(cleared.page(200)), 3);
    assert_eq!((ids(first.page(200)), ids(second.page(200))), (2, 1));
    assert!(first.body.contains("<strong>3</strong> rows are due"));
    assert!(!first.body.contains("First page") && second.body.contains("First page"));
    assert!(!second.body.contains("Next page"));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_crashed_is_shown_with_the_reason() {
    let mut host = host().await;
    host.child("worker").kill();
    let restarting = |news: &Event| matches!(news, Event::WorkerRestarting { .. });
    next_event(&mut host.events, restarting).await;

    let page = Visitor::reader(&host).get("/").await;

    assert!(page.page(200).contains("Worker crashed"), "{}", page.body);
    assert!(
        page.body.contains("its worker crashed: killed"),
        "{}",
        page.body
    );
    assert!(page.body.contains("badge failing"), "{}", page.body);
}
