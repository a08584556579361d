//! A page of whichever housekeeper has a name.

use axum::Router;
use ractor::ActorRef;
use ractor_housekeeper::booking::BookingExpirer;
use ractor_housekeeper::web::Web;
use ractor_housekeeper::{HousekeeperMsg, start};
use tokio::time::timeout;

use crate::support::host::{Setup, seconds};
use crate::web::streams::{next, open};
use crate::web::visitor::Visitor;

/// The paths of a housekeeper: pages, the same as JSON, probes and events.
const PATHS: [&str; 5] = [
    "/",
    "/jobs/booking-expirer",
    "/api/v1/status",
    "/health/live",
    "/health/ready",
];

#[tokio::test(start_paused = true)]
async fn a_page_of_a_name_follows_a_restarted_housekeeper() {
    let name = "started-again";
    let visitor = Visitor(Web::named(name).router());
    let probes = Visitor(Web::named(name).health());

    for _ in 0..3 {
        let housekeeper = started(name).await;
        for path in PATHS {
            assert_eq!(visitor.get(path).await.status, 200, "{path}");
        }
        assert_eq!(probes.get("/health/live").await.status, 200);

        killed(&housekeeper).await;
        for path in PATHS {
            let answer = visitor.get(path).await;
            assert_eq!(answer.status, 503, "{path}");
            assert!(answer.body.contains("has stopped"), "{}", answer.body);
        }
        assert_eq!(probes.get("/health/live").await.problem(), "stopped");
    }
}

#[tokio::test(start_paused = true)]
async fn reconnected_streams_follow_the_next_housekeeper() {
    let name = "followed";
    let visitor = Visitor(Web::named(name).router());
    let first = started(name).await;
    let mut stream = open(&visitor).await;
    next(&mut stream).await.expect("a frame");

    killed(&first).await;
    let end = timeout(seconds(60), async {
        while next(&mut stream).await.is_some() {}
    });
    end.await.expect("the stream ends with its housekeeper");
    let second = started(name).await;
    let mut stream = open(&visitor).await;
    next(&mut stream).await.expect("a frame");
    let pause = |reply| HousekeeperMsg::Pause(BookingExpirer::NAME, reply);
    second.call(pause, None).await.expect("it runs");

    // Sooner than a frame that comes even without news: this one came from an event.
    let recorded = timeout(seconds(1), async {
        loop {
            let frame = next(&mut stream).await.expect("a frame");
            let html = frame["html"].as_str().expect("is text");
            if html.contains("badge paused") {
                return;
            }
        }
    });
    recorded.await.expect("the news of the second");
}

#[tokio::test(start_paused = true)]
async fn a_page_without_its_housekeeper_names_the_missing_one() {
    let name = "still-to-come";
    let visitor = Visitor(
        Web::named(name)
            .with_actions()
            .with_hosts(["a.example"])
            .router(),
    );

    let before = visitor.get("/health/live").await;
    let page = visitor.get("/").await;
    let stream = visitor.get("/events").await;
    let run = visitor.post("/api/v1/run").await;
    started(name).await;
    let after = visitor.get("/health/live").await;

    assert_eq!(before.status, 503);
    for refused in [&before, &stream, &run] {
        assert_eq!(refused.problem(), "never_started");
    }
    assert_eq!(
        before.json()["detail"],
        "no housekeeper was started under the name \"still-to-come\""
    );
    assert!(page.page(503).contains("no housekeeper was started"));
    assert_eq!(after.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_one_housekeeper_does_not_follow_its_name() {
    let name = "one-of-two";
    let first = started(name).await;
    let visitor = Visitor(Router::new().nest("/hk", Web::new(first.clone()).router()));
    killed(&first).await;
    started(name).await;

    let answer = visitor.get("/hk/api/v1/status").await;

    assert_eq!(answer.problem(), "stopped");
}

async fn started(name: &str) -> ActorRef<HousekeeperMsg> {
    let setup = Setup::new();
    let arguments = setup.arguments.with_config(setup.config);
    let started = start(Some(name), arguments).await.expect("it starts");
    started.housekeeper.into()
}

async fn killed(housekeeper: &ActorRef<HousekeeperMsg>) {
    housekeeper.kill_and_wait(None).await.expect("it is killed");
}
