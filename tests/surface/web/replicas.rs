//! Replicas on the page and in the API, and the buttons that the host allows.

use axum::Extension;
use axum::http::Method;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::web::{Action, Web};
use ractor_housekeeper::{Requester, Scope};
use serde_json::json;

use crate::support::host::Setup;
use crate::web::streams::{next, open};
use crate::web::visitor::{Visitor, host, setup};

const JOB: &str = "/api/v1/jobs/booking-expirer";
const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

#[tokio::test(start_paused = true)]
async fn a_pause_for_all_is_on_the_page_and_in_the_api() {
    let host = host().await;
    let web = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"]);
    let visitor = Visitor(web.router().layer(Extension(Requester::new("anna"))));

    let before = visitor.get("/jobs/booking-expirer").await;
    let mut reported = Vec::new();
    for action in ["pause-replicas", "pause-replicas"] {
        let answer = visitor.post(&format!("{JOB}/{action}")).await;
        reported.push((answer.status.as_u16(), answer.json()["changed"].clone()));
    }
    let status = visitor.get(JOB).await.json();
    let page = visitor.get("/jobs/booking-expirer").await;
    let refused = visitor.post(&format!("{JOB}/resume")).await;
    let path = "/jobs/booking-expirer/resume-replicas";
    let asked = visitor.get(path).await;
    let resumed = visitor.send(Method::POST, path, &FORM, "").await;

    assert!(before.page(200).contains("Pause all"));
    assert_eq!(reported, [(200, json!(true)), (200, json!(false))]);
    assert_eq!(status["pause"]["all_replicas"], true);
    assert_eq!(status["pause"]["by"], "anna");
    let page = page.page(200);
    assert!(
        page.contains("Paused</span> for all replicas for "),
        "{page}"
    );
    assert!(
        page.contains("Resume all") && !page.contains("Pause all"),
        "{page}"
    );
    assert_eq!(refused.problem(), "paused_for_all");
    assert_eq!(refused.status, 409);
    assert!(
        asked
            .page(200)
            .contains("Resume booking-expirer for all replicas?")
    );
    assert_eq!(resumed.status, 303);
    assert!(!host.status().await.paused);
}

#[tokio::test(start_paused = true)]
async fn the_overview_names_the_instances() {
    let mut setup = setup();
    setup.arguments = setup.arguments.with_instance("pod-7<b>");
    let host = setup.start().await;
    let visitor = Visitor::actor(&host);
    host.add_overdue(1);
    host.run_now(Scope::All).await.expect("a report");

    let known = visitor.get("/api/v1/instances").await.json();
    let overview = visitor.get("/").await;
    let status = visitor.get("/api/v1/status").await.json();
    let alone = Setup::new().start().await;
    let alone = Visitor::actor(&alone).get("/").await;

    assert_eq!(status["instance"], "pod-7<b>");
    assert_eq!(known["this"], "pod-7<b>");
    assert_eq!(known["instances"][0]["instance"], "pod-7<b>");
    assert_eq!(known["instances"][0]["lines"], 1);
    let overview = overview.page(200);
    assert!(overview.contains("(instance pod-7&lt;b&gt;)"), "{overview}");
    assert!(
        overview.contains("<strong> (this one)</strong>"),
        "{overview}"
    );
    assert!(overview.contains("Pause and Resume reach this instance alone"));
    // Without a history in a store, nothing is shared.
    let alone = alone.page(200);
    assert!(!alone.contains("Instances") && !alone.contains("Pause all"));
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_the_buttons_that_the_host_allows() {
    let host = host().await;
    let web = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"]);
    let web = web.allow(|parts, action, job| {
        let is_anna = parts
            .extensions
            .get::<Requester>()
            .is_some_and(|by| by.as_str() == "anna");
        is_anna || (action == Action::Run && *job == BookingExpirer::NAME)
    });
    let [anna, ben] =
        ["anna", "ben"].map(|name| Visitor(web.router().layer(Extension(Requester::new(name)))));
    let buttons = |page: &str| page.matches("<form class=\"act ").count();

    let all = anna.get("/").await;
    let some = ben.get("/").await;
    let card = ben.get("/jobs/booking-expirer/card").await;
    let none = ben.get(&format!("/jobs/{}", SessionCleaner::NAME)).await;
    let frame = next(&mut open(&ben).await).await.expect("a frame");

    assert_eq!(buttons(all.page(200)), 8);
    assert!(!all.page(200).contains("id=\"refused\""));
    assert!(all.page(200).contains(">Run all<"));
    assert_eq!(buttons(some.page(200)), 1);
    assert!(!some.page(200).contains(">Run all<"));
    assert_eq!(buttons(card.page(200)), 1);
    assert_eq!(buttons(none.page(200)), 0);
    // Frames are the same for all; the script leaves out what the page says.
    assert_eq!(buttons(frame["html"].as_str().expect("is text")), 8);
    assert!(
        some.page(200)
            .contains("&quot;booking-expirer&quot;:[&quot;cancel&quot;,&quot;pause&quot;")
    );
}
