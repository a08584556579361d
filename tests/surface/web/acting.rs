//! The actor that the host's request names, and the actions that the host allows.

use axum::Extension;
use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::web::{Action, Web};
use ractor_housekeeper::{HousekeeperMsg, Requester, Scope};

use crate::support::alone::ran_alone;
use crate::support::host::Host;
use crate::support::log::Log;
use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_request_acts_in_the_name_that_its_extension_gives() {
    let host = host().await;
    host.add_overdue(1);
    let visitor = person(&host, "<b>anna</b>");
    let name = Requester::new("<b>anna</b>");

    let run = visitor.post("/api/v1/jobs/booking-expirer/run").await;
    let all = visitor.post("/api/v1/run").await;
    visitor.post("/api/v1/jobs/booking-expirer/pause").await;
    let pause = host.status().await.pause.expect("it is paused");
    let page = visitor.get("/jobs/booking-expirer").await;
    let path = "/jobs/booking-expirer/run";
    let form = visitor.post_form(path, "user=").await;

    assert_eq!(run.json()["requested_by"][0], name.as_str());
    assert_eq!(all.json()["reports"][0]["requested_by"][0], name.as_str());
    assert_eq!(pause.by, Some(name));
    let page = page.page(200);
    assert!(
        page.contains(" by &lt;b&gt;anna&lt;/b&gt;, runs on request only"),
        "{page}"
    );
    assert!(page.contains("manual by &lt;b&gt;anna&lt;/b&gt;"), "{page}");
    let result = visitor
        .get(&format!(
            "/jobs/{}",
            form.header("location").trim_start_matches("../")
        ))
        .await;
    assert!(
        result
            .page(200)
            .contains("manual by &lt;b&gt;anna&lt;/b&gt;")
    );
}

#[tokio::test(start_paused = true)]
async fn the_host_decides_by_action_and_job() {
    let host = host().await;
    host.add_overdue(1);
    let web = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"]);
    let visitor = Visitor(
        web.allow(|_, action, job| action == Action::Pause || *job == SessionCleaner::NAME)
            .router(),
    );
    let mut refused = Vec::new();

    for job in [BookingExpirer::NAME, SessionCleaner::NAME] {
        for action in Action::ALL.into_iter().filter(|it| !it.is_on_entries()) {
            for root in ["/api/v1/jobs", "/jobs"] {
                let path = format!("{root}/{job}/{action}");
                let answer = if root == "/jobs" {
                    visitor.post_form(&path, "").await
                } else {
                    visitor.post(&path).await
                };
                if root == "/jobs" {
                    let asked = visitor.get(&path).await;
                    assert_eq!(asked.status == 403, answer.status == 403, "{path}");
                } else if answer.status == 403 {
                    assert_eq!(answer.problem(), "not_allowed");
                }
                if answer.status == 403 {
                    refused.push(path);
                } else {
                    assert!(answer.status == 200 || answer.status == 303, "{path}");
                }
            }
        }
    }
    assert!(host.status().await.paused);
    // A paused job takes no part in a run of all.
    let resume = |reply| HousekeeperMsg::Resume(BookingExpirer::NAME, reply);
    host.ask(resume).await.expect("the job is there");
    let all = [
        visitor.post("/api/v1/run").await,
        visitor.post_form("/run", "").await,
    ];

    let refused_actions = [
        "run",
        "cancel",
        "resume",
        "pause-replicas",
        "resume-replicas",
    ];
    let expected = refused_actions.iter().flat_map(|action| {
        ["/api/v1/jobs", "/jobs"].map(|root| format!("{root}/booking-expirer/{action}"))
    });
    assert!(expected.eq(refused));
    assert_eq!(all.map(|answer| answer.status.as_u16()), [403, 403]);
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_panics_refuses() {
    if ran_alone("web::acting::a_decision_that_panics_refuses") {
        return;
    }
    let log = Log::listen();
    let host = host().await;
    let web = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"]);
    let visitor = Visitor(web.allow(|_, _, _| panic!("no such person")).router());

    let overview = visitor.get("/").await;
    let pause = visitor.post("/api/v1/jobs/booking-expirer/pause").await;
    let form = visitor.post_form("/jobs/booking-expirer/pause", "").await;
    let odd = visitor.post("/api/v1/jobs/x%0aFAKE%1b%5b31m/pause").await;
    let all = visitor.get("/run").await;

    all.page(403);
    assert_eq!(log.of("FAKE"), ["ERROR"], "no line of its own");
    let detail = odd.json()["detail"].to_string();
    assert!(detail.contains(r"x\\nFAKE\\u{1b}[31m"), "{detail}");
    assert!(!overview.page(200).contains("<form class=\"act "));
    assert_eq!(pause.problem(), "not_allowed");
    assert_eq!((pause.status.as_u16(), form.status.as_u16()), (403, 403));
    assert!(!host.status().await.paused);
}

#[tokio::test(start_paused = true)]
async fn the_decision_sees_who_asks() {
    let host = host().await;
    let web = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"]);
    let web = web.allow(|parts, _, _| {
        let by = parts.extensions.get::<Requester>();
        by.is_some_and(|by| by.as_str() == "anna")
    });
    let path = "/api/v1/jobs/booking-expirer/run";

    let visitors = ["anna", "ben"].map(|name| {
        let extension = Extension(Requester::new(name));
        Visitor(web.router().layer(extension))
    });
    let [anna, ben] = visitors;

    assert_eq!(anna.post(path).await.status, 200);
    assert_eq!(ben.post(path).await.problem(), "not_allowed");
    let report = host.run_now(Scope::All).await.expect("a report");
    assert_eq!(report.requested_by, []);
}

fn person(host: &Host, name: &str) -> Visitor {
    let web = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"]);
    Visitor(web.router().layer(Extension(Requester::new(name))))
}
