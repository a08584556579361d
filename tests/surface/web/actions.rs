//! Requests that change something.

use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{Fault, Gate, Step, next_event, next_report};
use ractor_housekeeper::{Outcome, Report, Scope};
use uuid::Uuid;

use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_run_is_answered_by_its_report() {
    let host = host().await;
    host.add_overdue(3);

    let answer = Visitor::actor(&host)
        .post("/api/v1/jobs/booking-expirer/run")
        .await;

    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["success"], true);
    assert_eq!(body["message"], "booking-expirer handled 3 bookings");
    assert_eq!(host.expired().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_may_be_for_one_user() {
    let host = host().await;
    let user = Uuid::from_u128(7);
    host.add_overdue(1);
    let visitor = Visitor::actor(&host);

    let body = format!(r#"{{"scope": {{"user": "{user}"}}}}"#);
    let one = visitor
        .post_json("/api/v1/jobs/booking-expirer/run", &body)
        .await;
    let all = visitor
        .post_json("/api/v1/jobs/booking-expirer/run", r#"{"scope": "all"}"#)
        .await;

    let report: Report = serde_json::from_str(&one.body).expect("is a report");
    assert_eq!(
        (report.scope, report.counts.total()),
        (Scope::user(user), 0)
    );
    assert_eq!(all.json()["counts"]["bookings"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_answers_with_its_report() {
    let host = host().await;
    host.faults.once(
        Step::BeginRun,
        1,
        Fault::Fail("the database is away".to_owned()),
    );

    let answer = Visitor::actor(&host)
        .post("/api/v1/jobs/booking-expirer/run")
        .await;

    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["success"], false);
    assert_eq!(answer.json()["outcome"]["error"], "the database is away");
}

#[tokio::test(start_paused = true)]
async fn a_run_longer_than_the_wait_continues() {
    let mut host = host().await;
    host.add_overdue(1);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 1, Fault::Hold(gate.clone()));
    let visitor = Visitor::actor(&host);

    let answer = visitor
        .post("/api/v1/jobs/booking-expirer/run?wait=3")
        .await;
    gate.open();
    let report = next_report(&mut host.events, |_| true).await;

    assert_eq!(answer.status, 202);
    let location = format!("../../runs/{}", report.run);
    assert_eq!(answer.header("location"), location);
    assert_eq!(answer.json()["run"], report.run.to_string());
    let path = format!("/api/v1/runs/{}", report.run);
    let later = visitor.get(&path).await.json();
    assert_eq!(
        later["report"],
        serde_json::to_value(&report).expect("is data")
    );
    let message = answer.json()["message"].as_str().map(str::to_owned);
    assert_eq!(
        message.as_deref(),
        Some("the run of booking-expirer for all has not ended within 3s; it goes on")
    );
    assert!(report.success());
}

#[tokio::test(start_paused = true)]
async fn all_jobs_run_side_by_side() {
    let host = host().await;
    host.add_overdue(1);

    let answer = Visitor::actor(&host).post("/api/v1/run").await;

    let reports = answer.json()["reports"].take();
    let reports: Vec<Report> = serde_json::from_value(reports).expect("is a list of reports");
    let jobs: Vec<String> = reports
        .iter()
        .map(|report| report.job.to_string())
        .collect();
    assert_eq!(jobs, ["booking-expirer", "session-cleaner"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_cancelled_after_its_batch() {
    let mut host = host().await;
    host.add_overdue(9);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
    let run = host.run_now(Scope::All);
    let batch = |news: &Event| matches!(news, Event::BatchCommitted { .. });
    next_event(&mut host.events, batch).await;
    let visitor = Visitor::actor(&host);

    let answer = visitor.post("/api/v1/jobs/booking-expirer/cancel").await;
    gate.open();
    let report = run.await.expect("a report");
    let again = visitor.post("/api/v1/jobs/booking-expirer/cancel").await;

    assert_eq!(answer.json()["cancelled"], report.run.to_string());
    assert_eq!(report.outcome, Outcome::Cancelled { by: None });
    assert_eq!(again.json()["message"], "booking-expirer was not running");
    assert!(again.json()["cancelled"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_job_is_paused_and_resumed() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let mut reported = Vec::new();

    for act in ["pause", "pause", "resume", "resume"] {
        let answer = visitor
            .post(&format!("/api/v1/jobs/booking-expirer/{act}"))
            .await;
        let answer = answer.json();
        reported.push((answer["paused"] == true, answer["changed"] == true));
        assert_eq!(host.status().await.paused, act == "pause");
    }

    assert_eq!(
        reported,
        [(true, true), (true, false), (false, true), (false, false)]
    );
}

#[tokio::test(start_paused = true)]
async fn actions_are_off_unless_the_host_enables_them() {
    let host = host().await;
    host.add_overdue(1);
    let visitor = Visitor::reader(&host);
    let acts = ["run", "cancel", "pause", "resume"];
    let paths = acts
        .iter()
        .flat_map(|act| ["/api/v1/jobs", "/jobs"].map(|of| format!("{of}/booking-expirer/{act}")))
        .chain(["/api/v1/run", "/run"].map(str::to_owned));

    for path in paths {
        let answer = visitor.post(&path).await;
        if path.starts_with("/api") {
            assert_eq!(answer.problem(), "read_only", "{path}");
        }
        assert_eq!(answer.status, 403, "{path}");
    }

    assert!(host.expired().is_empty());
    assert!(!host.status().await.paused);
}

#[tokio::test(start_paused = true)]
async fn without_a_script_a_form_asks_first_and_then_acts() {
    let host = host().await;
    host.add_overdue(1);
    let visitor = Visitor::actor(&host);
    let user = Uuid::nil();
    let path = "/jobs/booking-expirer/run";

    let question = visitor.get(&format!("{path}?user={user}")).await;
    let untouched = host.expired().is_empty();
    let body = format!("user={user}");
    let done = visitor.post_form(path, &body).await;
    let result = see(&visitor, &done).await;
    let other = format!("user={}", Uuid::from_u128(7));
    let nothing = visitor.post_form(path, &other).await;
    let nothing = see(&visitor, &nothing).await;
    let paused = visitor.post_form("/jobs/booking-expirer/pause", "").await;
    let paused = see(&visitor, &paused).await;

    let question = question.page(200);
    assert!(
        question.contains(&format!("Run booking-expirer for user {user}?")),
        "{question}"
    );
    assert!(question.contains("1 row is due now."), "{question}");
    assert!(untouched);
    assert!(
        result.contains("completed</span>: booking-expirer"),
        "{result}"
    );
    assert!(
        result.contains("booking-expirer handled 1 booking (user"),
        "{result}"
    );
    assert!(
        nothing.contains("booking-expirer handled nothing"),
        "{nothing}"
    );
    assert!(paused.contains("<h2>Paused</h2>"), "{paused}");
    assert!(host.status().await.paused);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_headed_by_its_outcome_and_survives_a_reload() {
    let host = host().await;
    host.add_overdue(1);
    let error = "the database is away".to_owned();
    host.faults.once(Step::Batch, 1, Fault::Fail(error));
    let visitor = Visitor::actor(&host);
    let path = "/jobs/booking-expirer/run";

    let failed = visitor.post_form(path, "user=").await;
    let first = see(&visitor, &failed).await;
    let again = see(&visitor, &failed).await;
    let forged = visitor.get("/jobs/booking-expirer?done=paused").await;

    assert!(first.contains("failed</span>: booking-expirer"), "{first}");
    assert!(first.contains("the database is away"));
    assert_eq!(first, again);
    assert!(host.expired().is_empty(), "a reload runs nothing");
    assert!(
        forged.page(200).contains("<h2>Resumed</h2>"),
        "it is not paused"
    );
}

#[tokio::test(start_paused = true)]
async fn a_result_names_no_run_that_is_not_known_or_did_not_complete() {
    let mut host = host().await;
    let visitor = Visitor::actor(&host);
    let no_runs = visitor.get("/?done=ran_all").await;
    let path = "/jobs/session-cleaner/run";
    let other = visitor.post_form(path, "user=").await;
    let other = other
        .header("location")
        .split("run=")
        .nth(1)
        .map(str::to_owned);
    let mut unknown = Vec::new();
    for run in [other.expect("a run"), Uuid::nil().to_string()] {
        let path = format!("/jobs/booking-expirer?done=ran&run={run}");
        unknown.push(visitor.get(&path).await);
    }
    host.add_overdue(9);
    let gate = Gate::closed();
    host.faults.once(Step::Batch, 2, Fault::Hold(gate.clone()));
    let run = host.run_now(Scope::All);
    let batch = |news: &Event| matches!(news, Event::BatchCommitted { .. });
    next_event(&mut host.events, batch).await;
    let cancel = visitor.post_form("/jobs/booking-expirer/cancel", "").await;
    let cancelling = see(&visitor, &cancel).await;
    gate.open();
    run.await.expect("a report");
    let cancelled = see(&visitor, &cancel).await;
    let all = visitor.get("/?done=ran_all").await;

    assert!(no_runs.page(200).contains("<h2>No runs yet</h2>"));
    for page in unknown {
        assert!(page.page(200).contains("<h2>Run not known</h2>"));
    }
    assert!(cancelling.contains("<h2>Cancelling</h2>"));
    assert!(cancelled.contains("cancelled</span>: booking-expirer"));
    assert!(
        all.page(200)
            .contains("<h2>Not completed: 1 of 2 runs</h2>")
    );
}

/// The page that a form leads to.
async fn see(visitor: &Visitor, done: &crate::web::visitor::Answer) -> String {
    assert_eq!(done.status, 303, "{}", done.body);
    let at = done.header("location").trim_start_matches("../");
    visitor
        .get(&format!("/jobs/{at}"))
        .await
        .page(200)
        .to_owned()
}
