//! Personal data in answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::testing::{Fault, Step};
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{HousekeeperMsg, Scope};

use crate::support::host::Host;
use crate::web::streams::{next, open};
use crate::web::visitor::{Visitor, host};

const SECRET: &str = "anna@example.org owes 7 euros";

const BOSS: &str = "Frau Direktor";

const PATHS: [&str; 6] = [
    "/",
    "/jobs/booking-expirer",
    "/jobs/booking-expirer/preview",
    "/api/v1/status",
    "/api/v1/jobs/booking-expirer/history",
    "/api/v1/jobs/booking-expirer/preview",
];

#[tokio::test(start_paused = true)]
async fn a_redaction_reaches_every_answer() {
    let host = in_trouble().await;
    let plain = Visitor(Web::new(host.housekeeper.clone()).router());
    let web = Web::new(host.housekeeper.clone());
    let redacted = Visitor(web.redact(|kind, _| format!("<{kind:?}>")).router());
    let mut shown = 0;

    let paths = paths(&host).await;

    for path in &paths {
        let open = plain.get(path).await.body;
        shown += usize::from(has_secrets(&open));
        let hidden = redacted.get(path).await.body;
        assert!(!has_secrets(&hidden), "{path}: {hidden}");
    }
    let frame = next(&mut open(&redacted).await).await.expect("a frame");

    assert_eq!(
        shown,
        paths.len(),
        "without a redaction all of them show some"
    );
    assert!(!has_secrets(&frame.to_string()));
    assert!(frame.to_string().contains("&lt;Error&gt;"), "{frame}");
}

#[tokio::test(start_paused = true)]
async fn a_redaction_that_panics_hides_its_text_and_nothing_else() {
    let host = in_trouble().await;
    let web = Web::new(host.housekeeper.clone());
    let broken = Visitor(
        web.redact(|kind, _| panic!("no rule for {kind:?}"))
            .router(),
    );

    for path in paths(&host).await {
        let answer = broken.get(&path).await;
        assert!(answer.status.is_success() || answer.status == 502, "{path}");
        assert!(!has_secrets(&answer.body), "{path}: {}", answer.body);
    }
    let status = broken.get("/api/v1/jobs/booking-expirer").await.json();
    let frame = next(&mut open(&broken).await).await.expect("a frame");

    assert_eq!(status["health"]["cause"]["error"], "hidden");
    assert_eq!(status["pause"]["by"], "hidden");
    assert!(!has_secrets(&frame.to_string()), "{frame}");
    assert!(frame.to_string().contains("booking-expirer"));
}

#[tokio::test(start_paused = true)]
async fn ids_are_hidden_by_a_switch() {
    let host = in_trouble().await;
    let visitor = Visitor(Web::new(host.housekeeper.clone()).without_ids().router());

    for path in paths(&host).await {
        let body = visitor.get(&path).await.body;
        assert!(
            !body.contains("b000") && !body.contains("b001"),
            "{path}: {body}"
        );
    }
    let preview = visitor
        .get("/api/v1/jobs/booking-expirer/preview?size=1")
        .await;
    assert_eq!(preview.json()["rows"][0]["id"], "hidden");
    assert!(preview.json()["next"].is_null());
}

#[tokio::test(start_paused = true)]
async fn previews_are_hidden_by_a_switch() {
    let host = in_trouble().await;
    let web = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"]);
    let visitor = Visitor(web.without_previews().router());

    let api = visitor.get("/api/v1/jobs/booking-expirer/preview").await;
    let page = visitor.get("/jobs/booking-expirer/preview").await;
    let overview = visitor.get("/").await;
    let asked = visitor.get("/jobs/booking-expirer/run").await;

    assert_eq!(
        (api.status.as_u16(), api.problem().as_str()),
        (403, "no_previews")
    );
    page.page(403);
    assert!(!overview.page(200).contains("/preview\""));
    assert!(
        asked
            .page(200)
            .contains("The number of due rows is not known.")
    );
}

#[tokio::test(start_paused = true)]
async fn probes_show_states_only() {
    let host = in_trouble().await;
    let web = Web::new(host.housekeeper.clone());

    for router in [web.health(), web.router()] {
        for path in ["/health/live", "/health/ready", "/health/jobs"] {
            let answer = Visitor(router.clone()).get(path).await;
            assert!(!has_secrets(&answer.body), "{path}: {}", answer.body);
        }
    }
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let redacted = web.clone().redact(move |_, text| {
        counted.fetch_add(1, Ordering::Relaxed);
        text.to_owned()
    });
    for path in ["live", "ready", "jobs"] {
        Visitor(redacted.health())
            .get(&format!("/health/{path}"))
            .await;
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0, "no text is rewritten");
    let jobs = Visitor(web.health()).get("/health/jobs").await;
    assert_eq!(jobs.json()["detail"], "booking-expirer is failing");
}

/// All paths, with those of the last run.
async fn paths(host: &Host) -> Vec<String> {
    let run = host.status().await.last.expect("it ran").run;
    let of_run = [format!("/runs/{run}"), format!("/api/v1/runs/{run}")];
    PATHS.map(str::to_owned).into_iter().chain(of_run).collect()
}

/// A host whose last run handled a row, whose run failed with a secret, and which has a row due.
async fn in_trouble() -> Host {
    let host = host().await;
    host.add_overdue(1);
    host.run_now(Scope::All).await.expect("a report");
    host.add_overdue(2);
    host.faults
        .always(Step::BeginRun, Fault::Fail(SECRET.to_owned()));
    let run = |reply| HousekeeperMsg::RunNow(BookingExpirer::NAME, Scope::All, reply);
    let by_boss = |reply| run(reply).requested_by(BOSS);
    host.ask(by_boss).await.expect("a report");
    let pause = |reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply);
    let by_boss = |reply| pause(reply).requested_by(BOSS);
    host.ask(by_boss).await.expect("the job is there");
    host
}

fn has_secrets(body: &str) -> bool {
    body.contains(SECRET)
        || body.contains(BOSS)
        || ["b000", "b001"].iter().any(|id| body.contains(id))
}
