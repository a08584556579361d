//! Rejections and their answers.

use std::time::Duration;

use axum::http::Method;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::testing::{Fault, Gate, Step};
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{HousekeeperArguments, HousekeeperMsg, start};
use tokio::task::JoinSet;

use crate::web::visitor::{Answer, Visitor, host};

#[tokio::test(start_paused = true)]
async fn each_invalid_query_is_a_problem_that_says_why() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let table = [
        ("/api", 404, "not_found"),
        ("/assets/other.js", 404, "not_found"),
        ("/api/v1/jobs/other", 404, "unknown_job"),
        ("/api/v1/jobs/other/history", 404, "unknown_job"),
        ("/api/v1/jobs/other/preview", 404, "unknown_job"),
        ("/api/v1/jobs/%FF", 400, "bad_request"),
        (
            "/api/v1/jobs/booking-expirer/history?limit=x",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/history?limit=0",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/history?after=%00",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/history?after=zzz",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/history?from=-262143-01-01",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/history?until=%2B10000-01-01",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/history?limt=1",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/history?limit=1001",
            422,
            "unprocessable",
        ),
        (
            "/api/v1/jobs/booking-expirer/preview?size=0",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/preview?size=1001",
            422,
            "page",
        ),
        (
            "/api/v1/jobs/booking-expirer/preview?size=99999999999",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/preview?user=nobody",
            422,
            "scope",
        ),
        (
            "/api/v1/jobs/booking-expirer/preview?after_id=b1",
            400,
            "bad_request",
        ),
        (
            "/api/v1/jobs/booking-expirer/preview?after_since=noon&after_id=b1",
            400,
            "bad_request",
        ),
    ];

    for (path, status, kind) in table {
        let answer = visitor.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (status, kind),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_invalid_action_is_a_problem_that_says_why() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let run = "/api/v1/jobs/booking-expirer/run";
    let large = format!(r#"{{"scope": {{"user": "{}"}}}}"#, "x".repeat(17_000));
    let table = [
        (run, r#"{"scope": "#, 400, "bad_request"),
        (run, r#"{"scope": "some"}"#, 422, "unprocessable"),
        (run, r#"{"scoop": "all"}"#, 422, "unprocessable"),
        (run, r#"{"scope": {"user": "nobody"}}"#, 422, "scope"),
        (run, &large, 413, "too_large"),
        (
            "/api/v1/jobs/booking-expirer/run?wait=31",
            "",
            422,
            "unprocessable",
        ),
        (
            "/api/v1/jobs/booking-expirer/run?wait=-1",
            "",
            400,
            "bad_request",
        ),
        ("/api/v1/jobs/other/run", "", 404, "unknown_job"),
        ("/api/v1/jobs/other/run?wait=0", "", 404, "unknown_job"),
        (
            "/api/v1/jobs/booking-expirer/run?wait=0",
            r#"{"scope": {"user": "nobody"}}"#,
            422,
            "scope",
        ),
        ("/api/v1/jobs/other/pause", "", 404, "unknown_job"),
        ("/api/v1/status", "", 405, "method_not_allowed"),
    ];

    for (path, body, status, kind) in table {
        let answer = visitor.post_json(path, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (status, kind),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_must_be_json_with_its_content_type() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let run = "/api/v1/jobs/booking-expirer/run";

    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
    ] {
        let headers = [("content-type", kind)];
        let answer = visitor
            .send(Method::POST, run, &headers, r#"{"scope": "all"}"#)
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (415, "not_json"),
            "{kind}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn another_method_is_answered_with_the_allowed_ones() {
    let host = host().await;
    let visitor = Visitor::actor(&host);

    let read = visitor
        .send(Method::DELETE, "/api/v1/status", &[], "")
        .await;
    let act = visitor.get("/api/v1/jobs/booking-expirer/run").await;

    assert_eq!(
        (read.problem().as_str(), read.header("allow")),
        ("method_not_allowed", "GET,HEAD")
    );
    assert_eq!(
        (act.problem().as_str(), act.header("allow")),
        ("method_not_allowed", "POST")
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_comes_with_its_fields() {
    let host = host().await;

    let answer = Visitor::reader(&host).get("/api/v1/jobs/other").await;

    let known = &answer.json()["refusal"]["known"];
    assert_eq!(
        *known,
        serde_json::json!(["booking-expirer", "session-cleaner"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_disabled_job_is_a_conflict() {
    let store = ractor_housekeeper::testing::MemoryStore::new();
    let off = BookingExpirer::new(std::sync::Arc::new(store), None).expect("is off");
    let arguments = HousekeeperArguments::new(vec![std::sync::Arc::new(off)]);
    let housekeeper = start(None, arguments).await.expect("it starts").housekeeper;
    let visitor = Visitor(
        Web::new(housekeeper)
            .with_actions()
            .with_hosts(["a.example"])
            .router(),
    );

    let answer = visitor.post("/api/v1/jobs/booking-expirer/run").await;
    let page = visitor.get("/").await;

    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (409, "off")
    );
    assert!(page.page(200).contains("its setting is not set"));
}

#[tokio::test(start_paused = true)]
async fn too_many_scopes_are_429_with_retry_after() {
    let host = host().await;
    let gate = Gate::closed();
    host.faults
        .once(Step::BeginRun, 1, Fault::Hold(gate.clone()));
    let visitor = Visitor::actor(&host);
    let run = |user: u128| {
        let user = uuid::Uuid::from_u128(user);
        let body = format!(r#"{{"scope": {{"user": "{user}"}}}}"#);
        let visitor = visitor.clone();
        async move {
            let path = "/api/v1/jobs/booking-expirer/run?wait=0";
            visitor.post_json(path, &body).await
        }
    };
    tokio::spawn(run(0));
    gate.reached().await;

    let waiting: JoinSet<Answer> = (1..=1_001).map(run).collect();
    let answers = waiting.join_all().await;
    let form = format!("user={}", uuid::Uuid::max());
    let page = visitor.post_form("/jobs/booking-expirer/run", &form).await;
    gate.open();

    let refused: Vec<_> = answers.iter().filter(|one| one.status != 202).collect();
    let [refused] = refused.as_slice() else {
        panic!("one is refused: {refused:?}");
    };
    assert_eq!(refused.problem(), "too_many_scopes");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), "5");
    page.page(429);
    assert_eq!(page.header("retry-after"), "5");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_housekeeper_is_unavailable_and_pages_say_so() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let stopped = host.housekeeper.stop_and_wait(None, None).await;
    stopped.expect("it stops");

    assert_eq!(
        visitor.get("/api/v1/status").await.header("retry-after"),
        "5"
    );
    let paths = [
        "/api/v1/status",
        "/api/v1/jobs/x",
        "/api/v1/jobs/x/history",
        "/api/v1/jobs/x/preview",
    ];
    for path in
        paths
            .into_iter()
            .chain(["/events", "/health/live", "/health/ready", "/health/jobs"])
    {
        let answer = visitor.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (503, "stopped"),
            "{path}"
        );
    }
    for path in ["/api/v1/run", "/api/v1/jobs/x/run", "/api/v1/jobs/x/pause"] {
        let answer = visitor.post(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (503, "stopped"),
            "{path}"
        );
    }
    for path in ["/", "/jobs/x", "/jobs/x/preview"] {
        let page = visitor.get(path).await;
        assert!(
            page.page(503).contains("the housekeeper has stopped"),
            "{path}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_housekeeper_is_unavailable_after_a_second() {
    let (mute, handle) = Actor::spawn(None, SilentHousekeeper, ())
        .await
        .expect("it starts");
    let visitor = Visitor(
        Web::new(mute.clone())
            .with_actions()
            .with_hosts(["a.example"])
            .router(),
    );
    let asked = tokio::time::Instant::now();

    let answer = visitor.get("/health/live").await;
    let pause = visitor.post("/api/v1/jobs/booking-expirer/pause").await;

    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (503, "not_answering")
    );
    assert_eq!(pause.problem(), "not_answering");
    assert!(asked.elapsed() < Duration::from_secs(3));
    mute.stop(None);
    handle.await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn missing_pages_say_so_in_html() {
    let host = host().await;
    let visitor = Visitor::actor(&host);

    let job = visitor.get("/jobs/other").await;
    let preview = visitor
        .get("/jobs/booking-expirer/preview?user=nobody")
        .await;
    let act = visitor.get("/jobs/booking-expirer/explode").await;

    assert!(job.page(404).contains("unknown job"));
    assert!(preview.page(422).contains("cannot run for this scope"));
    assert!(act.page(404).contains("there is nothing at"));
    for path in [
        "/nowhere",
        "/jobs/booking-expirer/",
        "/jobs/healthy/",
        "/jobs",
        "/runs/x/y",
    ] {
        let page = visitor.get(path).await;
        assert!(page.page(404).contains("To the overview"), "{path}");
    }
    assert!(
        visitor
            .get("/jobs/%ff")
            .await
            .page(400)
            .contains("To the overview")
    );
    let method = visitor
        .send(Method::DELETE, "/jobs/booking-expirer", &[], "")
        .await;
    method.page(405);
    assert_eq!(method.header("allow"), "GET,HEAD");
    for path in ["preview?size=x", "preview?size=0", "?limit=x"] {
        let page = visitor
            .get(&format!("/jobs/booking-expirer/{path}").replace("/?", "?"))
            .await;
        assert!(page.page(400).contains("Bad Request"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalid_form_says_why() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let path = "/jobs/booking-expirer/run";
    let form = "application/x-www-form-urlencoded";
    let large = format!("user={}", "x".repeat(17_000));

    let large = visitor
        .send(Method::POST, path, &[("content-type", form)], &large)
        .await;
    let json = visitor.post_json(path, r#"{"scope": "all"}"#).await;

    assert!(large.page(413).contains("larger than 16 kB"));
    assert!(json.page(415).contains(form));
}

/// Takes messages and keeps them and never answers.
struct SilentHousekeeper;

#[ractor::actor(message = HousekeeperMsg, state = Vec<HousekeeperMsg>, arguments = ())]
impl SilentHousekeeper {
    async fn pre_start(
        &self,
        _: ActorRef<HousekeeperMsg>,
        (): (),
    ) -> Result<Vec<HousekeeperMsg>, ActorProcessingErr> {
        Ok(Vec::new())
    }

    async fn handle(
        &self,
        _: ActorRef<HousekeeperMsg>,
        message: HousekeeperMsg,
        kept: &mut Vec<HousekeeperMsg>,
    ) -> Result<(), ActorProcessingErr> {
        kept.push(message);
        Ok(())
    }
}
