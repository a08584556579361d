//! Runs by their id, and the pages of a history.

use ractor_housekeeper::Scope;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use uuid::Uuid;

use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_run_has_a_page_while_it_waits_runs_and_after() {
    let mut host = host().await;
    host.add_overdue(2);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let visitor = Visitor::actor(&host);
    let run = "/api/v1/jobs/booking-expirer/run?wait=0";

    let first = visitor.post(run).await.json()["run"].clone();
    let started = |news: &Event| matches!(news, Event::RunStarted { .. });
    next_event(&mut host.events, started).await;
    let body = format!(r#"{{"scope": {{"user": "{}"}}}}"#, Uuid::nil());
    let second = visitor.post_json(run, &body).await.json()["run"].clone();
    let paths = [first, second].map(|run| format!("/runs/{}", run.as_str().expect("an id")));
    let running = visitor.get(&paths[0]).await;
    let queued = visitor.get(&paths[1]).await;
    gate.open();
    let ended = visitor.get(&format!("/api/v1{}?wait=5", paths[0])).await;
    let page = visitor.get(&paths[0]).await;

    assert!(running.page(200).contains("in progress"));
    assert!(queued.page(200).contains("1 ahead of it"));
    assert_eq!(ended.json()["state"], "ended");
    assert!(
        page.page(200)
            .contains("booking-expirer handled 2 bookings")
    );
    assert!(page.body.contains("<code>b001</code>"), "{}", page.body);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_run_says_so() {
    let host = host().await;
    let visitor = Visitor::reader(&host);

    for run in [Uuid::nil().to_string(), "x".to_owned()] {
        let page = visitor.get(&format!("/runs/{run}")).await;
        let answer = visitor.get(&format!("/api/v1/runs/{run}")).await;
        page.page(404);
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (404, "unknown_run")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_links_of_a_history_lead_to_each_run_once() {
    let host = host().await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        host.add_overdue(1);
        host.clock.advance_wall(chrono::TimeDelta::seconds(10));
        let report = host.run_now(Scope::All).await.expect("a report");
        runs.insert(0, report.run.to_string());
    }
    let visitor = Visitor::reader(&host);
    let mut path = "/jobs/booking-expirer?limit=2".to_owned();
    let mut found = Vec::new();

    loop {
        let page = visitor.get(&path).await.page(200).to_owned();
        let links = page.split("/runs/").skip(1);
        found.extend(links.map(|rest| rest[..36].to_owned()));
        let older = page.split("rel=\"next\" href=\"./../").nth(1);
        let Some(link) = older.and_then(|rest| rest.split('"').next()) else {
            break;
        };
        path = format!("/{}", link.replace("&amp;", "&"));
    }

    assert_eq!(found, runs);
    let failed = "/jobs/booking-expirer?outcome=failed&from=2026-01-10&until=&after=";
    assert!(visitor.get(failed).await.page(200).contains("No such run."));
    let twice = "/jobs/booking-expirer?outcome=failed,failed&limit=";
    let twice = visitor.get(twice).await;
    assert!(twice.page(200).contains("value=\"failed\" selected"));
    let overview = visitor.get("/").await;
    assert!(overview.page(200).contains("the last 5 runs: 5 completed"));
}
