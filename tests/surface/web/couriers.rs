//! Couriers and parked entries, on the page and as JSON.

use std::sync::Arc;

use axum::http::Method;
use ractor_housekeeper::actors::{Destination, Refusal};
use ractor_housekeeper::model::Event;
use ractor_housekeeper::testing::{MemoryOutbox, next_event};
use ractor_housekeeper::web::{Action, Web};
use serde_json::{Value, json};

use crate::support::host::{Host, Setup};
use crate::web::browser::serve;
use crate::web::visitor::{Visitor, setup};
use crate::web::webdriver::Browser;

const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];

/// A host whose receiver refuses every entry but those of `good`, and parks at once.
pub(crate) fn with_courier(mut setup: Setup, rule: &'static str) -> (Setup, MemoryOutbox) {
    let outbox = MemoryOutbox::new().with_clock(Arc::new(setup.clock.clone()));
    let destination = Destination::handler(|entry| async move {
        if entry.key == "good" {
            return Ok(());
        }
        Err(Refusal::from(format!("no mailbox for <{}>", entry.key)))
    });
    setup.config.courier.max_attempts = 1.try_into().expect("is not zero");
    setup.arguments = setup
        .arguments
        .with_courier(rule, outbox.clone(), destination);
    (setup, outbox)
}

/// Parks an entry for each key.
pub(crate) async fn park(
    host: &mut Host,
    outbox: &MemoryOutbox,
    rule: &'static str,
    keys: &[&str],
) {
    for key in keys {
        outbox.write(rule, "bookings", *key, r#"{"guest":"anna"}"#);
    }
    for _ in keys {
        next_event(&mut host.events, |event| {
            matches!(event, Event::EntryParked { .. })
        })
        .await;
    }
}

/// A host with two parked entries of `mails`.
async fn two_parked() -> (Host, MemoryOutbox) {
    let (setup, outbox) = with_courier(setup(), "mails");
    let mut host = setup.start().await;
    park(&mut host, &outbox, "mails", &["row-one", "row-two"]).await;
    (host, outbox)
}

fn parked_keys(listed: &Value) -> Vec<&str> {
    let entries = listed["entries"].as_array().expect("a list");
    let keys = entries.iter().map(|entry| entry["key"].as_str());
    keys.map(|key| key.expect("is text")).collect()
}

#[tokio::test(start_paused = true)]
async fn parked_entries_are_listed_redelivered_and_discarded() {
    let (mut host, _outbox) = two_parked().await;
    let visitor = Visitor::actor(&host);
    let list = "/api/v1/couriers/mails/parked";

    let courier = visitor.get("/api/v1/couriers/mails").await.json();
    let first = visitor.get(&format!("{list}?size=1")).await.json();
    let second = visitor
        .get(&format!("{list}?size=1&after={}", first["next"]))
        .await
        .json();
    let body = json!({ "entries": { "these": [first["entries"][0]["id"]] } }).to_string();
    let again = visitor
        .post_json("/api/v1/couriers/mails/redeliver", &body)
        .await;
    next_event(&mut host.events, |event| {
        matches!(event, Event::EntryParked { .. })
    })
    .await;
    let all = r#"{"entries":"all"}"#;
    let gone = visitor
        .post_json("/api/v1/couriers/mails/discard", all)
        .await;
    let left = visitor.get(list).await.json();

    assert_eq!(courier["recent"][0]["end"], "parked");
    assert_eq!(courier["parked"], 2);
    assert_eq!(parked_keys(&first), ["row-one"]);
    assert_eq!(first["entries"][0]["error"], "no mailbox for <row-one>");
    assert_eq!(parked_keys(&second), ["row-two"]);
    assert_eq!(
        again.json(),
        json!({ "message": "1 parked entry of mails due again", "entries": 1 })
    );
    assert_eq!(
        gone.json(),
        json!({ "message": "2 parked entries of mails discarded", "entries": 2 })
    );
    assert_eq!(parked_keys(&left), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_not_parked_stay_as_they_are() {
    let (host, _outbox) = two_parked().await;
    let visitor = Visitor::actor(&host);

    for action in ["redeliver", "discard"] {
        let path = format!("/api/v1/couriers/mails/{action}");
        for ids in ["[]", "[0]", "[-1, 9223372036854775807]"] {
            let body = format!(r#"{{"entries":{{"these":{ids}}}}}"#);
            let answer = visitor.post_json(&path, &body).await;
            assert_eq!(answer.json()["entries"], 0, "{action} {ids}");
        }
    }

    let left = visitor.get("/api/v1/couriers/mails/parked").await.json();
    assert_eq!(parked_keys(&left), ["row-one", "row-two"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_say_which_entries_changes_none() {
    let (host, _outbox) = two_parked().await;
    let visitor = Visitor::actor(&host);
    let discard = "/api/v1/couriers/mails/discard";
    let table = [
        (discard, "", 422),
        (discard, "{}", 422),
        (discard, "[]", 422),
        (discard, r#"{"entries":null}"#, 422),
        (discard, r#"{"entries":"some"}"#, 422),
        (discard, r#"{"entries":[1]}"#, 400),
        (discard, r#"{"entries":{"these":["1"]}}"#, 422),
        (
            discard,
            r#"{"entries":{"these":[9223372036854775808]}}"#,
            422,
        ),
        (discard, r#"{"entries":"all","user":"a"}"#, 422),
        (
            "/api/v1/couriers/mails/discard?entry=1",
            r#"{"entries":"all"}"#,
            400,
        ),
        (
            "/api/v1/couriers/other/discard",
            r#"{"entries":"all"}"#,
            404,
        ),
        ("/api/v1/jobs/mails/discard", r#"{"entries":"all"}"#, 404),
        ("/api/v1/couriers/mails/run", "", 404),
    ];

    for (path, body, status) in table {
        let answer = visitor.post_json(path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}: {answer:?}");
        answer.problem();
    }
    for (path, body, status) in [
        ("/couriers/mails/discard", "entry=x", 422),
        ("/couriers/mails/discard", "user=a", 422),
        ("/couriers/mails/run", "", 404),
        ("/couriers/other/discard", "", 404),
        ("/jobs/booking-expirer/discard", "", 404),
    ] {
        let answer = visitor.send(Method::POST, path, &FORM, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}: {answer:?}");
    }

    let left = visitor.get("/api/v1/couriers/mails/parked").await.json();
    assert_eq!(parked_keys(&left), ["row-one", "row-two"]);
}

#[tokio::test(start_paused = true)]
async fn parked_entries_are_changed_by_those_alone_who_may() {
    let (host, _outbox) = two_parked().await;
    let web = || Web::new(host.housekeeper.clone()).with_hosts(["a.example"]);
    let reader = Visitor(web().router());
    let careful = Visitor(
        web()
            .with_actions()
            .allow(|_, action, rule| action != Action::Discard && rule.as_str() == "mails")
            .router(),
    );
    let actor = Visitor::actor(&host);
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("content-type", "application/json"),
    ];
    let all = r#"{"entries":"all"}"#;
    let discard = "/api/v1/couriers/mails/discard";

    let read_only = reader.post_json(discard, all).await;
    let not_allowed = careful.post_json(discard, all).await;
    let cross_site = actor.send(Method::POST, discard, &foreign, all).await;
    let pages = [
        reader.get("/couriers/mails/discard").await,
        careful.get("/couriers/mails/discard").await,
        careful
            .send(Method::POST, "/couriers/mails/discard", &FORM, "")
            .await,
        actor
            .send(Method::POST, "/couriers/mails/discard", &foreign[..1], "")
            .await,
    ];
    let read = reader.get("/couriers/mails").await;
    let offered = careful.get("/couriers/mails").await;
    let left = actor.get("/api/v1/couriers/mails/parked").await.json();
    let allowed = careful
        .post_json("/api/v1/couriers/mails/redeliver", all)
        .await;

    assert_eq!(read_only.problem(), "read_only");
    assert_eq!(not_allowed.problem(), "not_allowed");
    assert_eq!(cross_site.problem(), "cross_site");
    assert_eq!(pages.map(|page| page.status.as_u16()), [403; 4]);
    assert!(
        !read.page(200).contains("<form class=\"act"),
        "{}",
        read.body
    );
    let buttons = ["redeliver", "discard"].map(|action| {
        let form = format!("<form class=\"act {action}\"");
        offered.page(200).contains(&form)
    });
    assert_eq!(buttons, [true, false], "{}", offered.body);
    assert_eq!(parked_keys(&left), ["row-one", "row-two"]);
    assert_eq!(allowed.json()["entries"], 2);
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_deliveries_and_acts_without_a_script() {
    let (host, _outbox) = two_parked().await;
    let visitor = Visitor::actor(&host);

    let overview = visitor.get("/").await;
    let courier = visitor.get("/couriers/mails").await;
    let asked = visitor.get("/couriers/mails/discard?entry=1").await;
    let done = visitor
        .send(Method::POST, "/couriers/mails/discard", &FORM, "entry=1")
        .await;
    let after = visitor.get("/couriers/mails?done=discard").await;
    let none = visitor
        .send(
            Method::POST,
            "/couriers/mails/discard",
            &FORM,
            "entry=99999",
        )
        .await;
    let missing = visitor.get("/couriers/other").await;

    let overview = overview.page(200);
    assert!(overview.contains("1 of 3 needs you"), "{overview}");
    assert!(overview.contains("entries of mails wait"), "{overview}");
    assert!(overview.contains("href=\"./couriers/mails\""), "{overview}");
    let [couriers, jobs] = ["couriers", "jobs"].map(|id| overview.find(&format!("id=\"{id}\"")));
    assert!(couriers < jobs, "entries that wait come before the jobs");
    let courier = courier.page(200);
    assert!(
        courier.contains("no mailbox for &lt;row-one&gt;"),
        "{courier}"
    );
    assert!(courier.contains("Discard entry 2 of mails"), "{courier}");
    assert!(asked.page(200).contains("Discard entry 1 of mails?"));
    assert_eq!(done.status, 303, "{done:?}");
    assert_eq!(done.header("location"), "../mails?done=discard");
    assert_eq!(none.header("location"), "../mails?done=discard");
    assert!(after.page(200).contains("<h2>Parked now: 1 entry</h2>"));
    assert!(!after.page(200).contains("Discard entry 1 of mails"));
    assert!(after.body.contains("Discard entry 2 of mails"));
    assert!(missing.page(404).contains("mails"));
}

#[tokio::test(start_paused = true)]
async fn personal_data_of_entries_is_hidden_on_request() {
    let (host, _outbox) = two_parked().await;
    let web = || Web::new(host.housekeeper.clone());
    let redacted = Visitor(web().redact(|kind, _| format!("<{kind:?}>")).router());
    let without_ids = Visitor(web().without_ids().router());
    let without_previews = Visitor(web().without_previews().router());
    let paths = [
        "/",
        "/couriers/mails",
        "/api/v1/status",
        "/api/v1/couriers/mails",
        "/api/v1/couriers/mails/parked",
    ];

    for path in paths {
        let hidden = redacted.get(path).await.body;
        for secret in ["row-one", "row-two", "no mailbox", "anna"] {
            assert!(!hidden.contains(secret), "{path}: {hidden}");
        }
        let hidden = without_ids.get(path).await.body;
        assert!(
            !hidden.contains(">row-one<") && !hidden.contains("\"row-one\""),
            "{path}: {hidden}"
        );
        assert!(!hidden.contains("anna"), "{path}: {hidden}");
        let hidden = without_previews.get(path).await.body;
        assert!(!hidden.contains("anna"), "{path}: {hidden}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_entry_leaves_the_open_page() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let (host, _outbox) = two_parked().await;
    browser.open(&format!("{}/couriers/mails", serve(&host).await));

    browser.click("tbody tr:first-child form.discard button");
    browser.wait_for("document.activeElement.id === 'ask-no'");
    browser.click("#ask-yes");

    browser.wait_for("document.querySelectorAll('tbody tr').length === 1");
    assert!(browser.text("tbody").contains("row-two"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_wait_come_before_the_jobs_as_long_as_they_wait() {
    let Some(browser) = Browser::start() else {
        return;
    };
    let (host, _outbox) = two_parked().await;
    let above = "(couriers.compareDocumentPosition(jobs) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0";
    browser.open(&serve(&host).await);
    browser.wait_for("document.querySelector('#link').dataset.state === 'live'");
    browser.wait_for(above);

    let all = r#"{"entries":"all"}"#;
    let path = "/api/v1/couriers/mails/discard";
    let discarded = Visitor::actor(&host).post_json(path, all).await;

    assert_eq!(discarded.status, 200);
    browser.wait_for(&format!("!({above})"));
    assert!(browser.text("#sum").contains("Both jobs are healthy"));
}
