//! Requests that say less, or something else, than they seem to: nothing makes a scope wider.

use ractor_housekeeper::booking::SessionCleaner;
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event};
use ractor_housekeeper::{HousekeeperMsg, Scope};

use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_body_that_is_not_understood_runs_nothing() {
    let host = host().await;
    host.add_overdue(1);
    let visitor = Visitor::actor(&host);
    let one = "/api/v1/jobs/booking-expirer/run";
    let all = "/api/v1/run";
    let pause = "/api/v1/jobs/booking-expirer/pause";
    let cancel = "/api/v1/jobs/booking-expirer/cancel";
    let table = [
        (all, r#"{"scope":{"user":"a"}}"#, 422),
        (
            all,
            r#"{"scope":{"user":"00000000-0000-0000-0000-000000000000"}}"#,
            422,
        ),
        (all, "[]", 422),
        (all, r#"{"jobs":["x"]}"#, 422),
        (one, "[]", 422),
        (one, r#"["all"]"#, 422),
        (one, "null", 422),
        (one, r#"{"user":"a"}"#, 422),
        (one, r#"{"scope":{"user":""}}"#, 422),
        (one, r#"{"scope":{"user":" "}}"#, 422),
        (one, r#"{"scope":{"user":"a","user":"b"}}"#, 400),
        (one, r#"{"scope":"all","scope":"all"}"#, 422),
        (pause, r#"{"user":"a"}"#, 422),
        (pause, "[]", 422),
        (cancel, r#"{"run":"x"}"#, 422),
        ("/api/v1/jobs/booking-expirer/pause?until=5", "", 400),
        ("/api/v1/jobs/booking-expirer/cancel?job=5", "", 400),
        ("/api/v1/jobs/booking-expirer/run?user=a", "", 400),
    ];

    for (path, body, status) in table {
        let answer = visitor.post_json(path, body).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{path} {body}: {}",
            answer.body
        );
        answer.problem();
    }

    let large = format!(r#"{{"scope":{{"user":"{}"}}}}"#, "x".repeat(1 << 20));
    assert_eq!(visitor.post_json(all, &large).await.status, 413);
    assert!(host.expired().is_empty());
    assert!(!host.status().await.paused);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_not_understood_runs_nothing() {
    let host = host().await;
    host.add_overdue(1);
    let visitor = Visitor::actor(&host);
    let table = [
        ("/jobs/booking-expirer/run", "usr=a"),
        ("/jobs/booking-expirer/run", "user=a&user=b"),
        ("/jobs/booking-expirer/run", "user=%20"),
        ("/jobs/booking-expirer/run", "user=a%0Ab"),
        (
            "/jobs/booking-expirer/run",
            "run=00000000-0000-0000-0000-000000000000",
        ),
        ("/jobs/booking-expirer/pause", "user=a"),
        ("/jobs/booking-expirer/cancel", "user=a"),
        ("/run", "user=a"),
        ("/run", "job=booking-expirer"),
    ];

    for (path, body) in table {
        let done = visitor.post_form(path, body).await;
        done.page(422);
        let asked = visitor.get(&format!("{path}?{body}")).await;
        assert!([400, 422].contains(&asked.status.as_u16()), "{path}?{body}");
        assert!(!asked.body.contains("method=\"post\""), "{path}?{body}");
    }

    assert!(host.expired().is_empty());
    assert!(!host.status().await.paused);
}

#[tokio::test(start_paused = true)]
async fn paused_jobs_are_left_out_of_all_and_named() {
    let host = host().await;
    host.add_overdue(2);
    let visitor = Visitor::actor(&host);
    visitor.post("/api/v1/jobs/booking-expirer/pause").await;

    let asked = visitor.get("/run").await;
    let without = visitor.post("/api/v1/run").await.json();
    let untouched = host.expired().is_empty();
    let form = visitor.post_form("/run", "").await;
    let page = visitor.get("/?done=ran_all").await;
    let with = visitor
        .post_json("/api/v1/run", r#"{"paused": true}"#)
        .await
        .json();

    assert!(
        asked
            .page(200)
            .contains("Left out because paused: booking-expirer.")
    );
    assert_eq!(without["left_out"], serde_json::json!(["booking-expirer"]));
    assert_eq!(without["reports"].as_array().map(Vec::len), Some(1));
    assert!(untouched);
    assert_eq!(
        (form.status.as_u16(), form.header("location")),
        (303, "./?done=ran_all")
    );
    assert!(
        page.page(200)
            .contains("Left out because paused: booking-expirer.")
    );
    assert_eq!(with["left_out"], serde_json::json!([]));
    assert_eq!(host.expired().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_of_all_by_message_leaves_out_paused_jobs() {
    let host = host().await;
    let pause = |reply| HousekeeperMsg::Pause(SessionCleaner::NAME, reply);
    host.ask(pause).await.expect("the job is there");

    let some = host.ask(HousekeeperMsg::RunAll).await.expect("reports");
    let all = host
        .ask(HousekeeperMsg::RunAllAndPaused)
        .await
        .expect("reports");

    assert_eq!((some.len(), all.len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn another_run_than_the_one_named_is_not_cancelled() {
    let mut host = host().await;
    host.add_overdue(5);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
    let run = host.run_now(Scope::All);
    let batch = |news: &Event| matches!(news, Event::BatchCommitted { .. });
    next_event(&mut host.events, batch).await;
    let visitor = Visitor::actor(&host);
    let path = "/api/v1/jobs/booking-expirer/cancel?run=";
    let other = "00000000-0000-0000-0000-000000000000";

    let refused = visitor.post(&format!("{path}{other}")).await;
    let refusal = &refused.json()["refusal"];
    let running = refusal["running"].as_str().expect("a run").to_owned();
    let form = format!("run={other}");
    let page = visitor
        .post_form("/jobs/booking-expirer/cancel", &form)
        .await;
    let cancelled = visitor.post(&format!("{path}{running}")).await;
    gate.open();
    let report = run.await.expect("a report");
    let late = visitor.post(&format!("{path}{running}")).await;

    assert_eq!(
        (refused.status.as_u16(), refused.problem().as_str()),
        (409, "other_run")
    );
    page.page(409);
    assert_eq!(cancelled.json()["cancelled"], report.run.to_string());
    assert_eq!(late.problem(), "other_run");
}
