//! Requests that no page and no client of ours sends.

use std::time::Instant;

use axum::http::{HeaderMap, Method};
use ractor_housekeeper::web::Web;

use crate::support::host::Host;
use crate::web::fleet::fleet_of;
use crate::web::streams::{next, open};
use crate::web::visitor::{Visitor, host};

const JOB: &str = "/api/v1/jobs/booking-expirer";

#[tokio::test(start_paused = true)]
async fn odd_bodies_do_nothing() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let deep = ["[", "{\"scope\":", "{\"entries\":{\"these\":["].map(|part| part.repeat(500));
    let bodies = [
        "null",
        "true",
        "0",
        "\"all\"",
        "[]",
        "[{}]",
        "{} {}",
        "{}x",
        "\u{feff}{}",
        "{\"\":0}",
        "{\"__proto__\":{}}",
        "{\"scope\":null}",
        "{\"scope\":\"ALL\"}",
        "{\"scope\":[\"all\"]}",
        "{\"scope\":{}}",
        "{\"scope\":{\"user\":7}}",
        "{\"scope\":{\"user\":null}}",
        "{\"scope\":{\"user\":[\"anna\"]}}",
        "{\"scope\":{\"user\":\"a\",\"user\":\"b\"}}",
        "{\"scope\":{\"all\":true}}",
        "{\"scope\":\"all\",\"scope\":{\"user\":\"anna\"}}",
        "{\"scope\":{\"user\":\"\\ud800\"}}",
        "{\"scope\":{\"user\":\"a\\u202eb\"}}",
        "{\"scope\":{\"user\":\"a\\u200bb\"}}",
        "{\"scope\":{\"user\":\"\\u3164\"}}",
        "{\"scope\":{\"user\":\"\\u2800\"}}",
        "{\"scope\":{\"user\":\" \"}}",
        "{\"paused\":\"true\"}",
        "{\"paused\":1}",
        "{\"paused\":true,\"paused\":true}",
        "{\"entries\":{\"these\":[99999999999999999999999]}}",
        "{\"entries\":{\"these\":[1e400]}}",
        "{\"entries\":\"none\"}",
        &deep[0],
        &deep[1],
        &deep[2],
    ];
    let paths = ["/api/v1/run", "/api/v1/jobs/booking-expirer"];
    let acts = ["", "/run", "/cancel", "/pause", "/pause-replicas"];

    for body in bodies {
        for act in acts {
            let path = match act {
                "" => paths[0].to_owned(),
                act => format!("{}{act}", paths[1]),
            };
            let answer = visitor.post_json(&path, body).await;
            answer.problem();
            assert!(
                [400, 422].contains(&answer.status.as_u16()),
                "{path} {body}: {answer:?}"
            );
        }
    }
    // Forms have fields of their own.
    for (path, body) in [
        ("/run", "paused=true"),
        ("/run", "user=anna"),
        ("/jobs/booking-expirer/run", "user=anna&user="),
        ("/jobs/booking-expirer/run", "user[]=anna"),
        ("/jobs/booking-expirer/run", "scope=all"),
        ("/jobs/booking-expirer/pause", "user=anna"),
        ("/jobs/booking-expirer/cancel", "run=1"),
    ] {
        let answer = visitor.post_form(path, body).await;
        answer.page(422);
    }
    nothing_was_done(&host).await;
}

#[tokio::test(start_paused = true)]
async fn odd_methods_do_nothing() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let paths = [
        "/",
        "/run",
        "/jobs/booking-expirer",
        "/jobs/booking-expirer/run",
        "/jobs/booking-expirer/preview",
        "/events",
        "/health/ready",
        "/assets/page.js",
        "/api/v1/status",
        "/api/v1/run",
        "/api/v1/jobs/booking-expirer/run",
        "/api/v1/openapi.json",
    ];

    for path in paths {
        for name in ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
            let method = Method::from_bytes(name.as_bytes()).expect("is a method");
            let answer = visitor.send(method, path, &[], "").await;
            assert_eq!(answer.status, 405, "{name} {path}");
            assert!(!answer.header("allow").is_empty(), "{name} {path}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
        // A HEAD is a GET without its body.
        let [get, head] = [Method::GET, Method::HEAD];
        if path != "/events" {
            let get = visitor.send(get, path, &[], "").await;
            let head = visitor.send(head, path, &[], "").await;
            assert_eq!(head.status, get.status, "{path}");
            assert_eq!(head.body, "", "{path}");
            assert_eq!(head.header("content-type"), get.header("content-type"));
        }
    }
    nothing_was_done(&host).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_query_says_is_understood_or_refused() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let reads = [
        "/api/v1/status".to_owned(),
        "/api/v1/instances".to_owned(),
        JOB.to_owned(),
        format!("{JOB}/history"),
        format!("{JOB}/preview"),
        format!("/api/v1/runs/{}", uuid::Uuid::nil()),
        "/api/v1/couriers/mails".to_owned(),
        "/api/v1/couriers/mails/parked".to_owned(),
    ];
    for path in &reads {
        let answer = visitor.get(&format!("{path}?jobs=x")).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.problem()),
            (400, "bad_request"),
            "{path}"
        );
    }
    for act in [
        "run",
        "cancel",
        "pause",
        "resume",
        "pause-replicas",
        "resume-replicas",
    ] {
        for path in [
            format!("{JOB}/{act}?job=x"),
            format!("/jobs/booking-expirer/{act}?job=x"),
        ] {
            let api = path.starts_with("/api");
            let answer = if api {
                visitor.post(&path).await
            } else {
                visitor.post_form(&path, "").await
            };
            assert_eq!(answer.status, 400, "{path}");
        }
    }
    let gone = "history?after=00000000-0000-0000-0000-000000000000";
    let queries = [
        "history?limit=1&limit=2",
        "history?limit=1e3",
        "history?limit=-1",
        "history?limit=18446744073709551616",
        "history?from=tomorrow",
        "history?from=2026-13-01",
        "history?from=%FF",
        "history?outcome=completed,",
        "history?outcome=Completed",
        "history?after=..%2F..%2Fetc%2Fpasswd",
        "history?after=%00",
        gone,
        "preview?size=",
        "preview?size=01x",
        "preview?after_since=2026-01-10T12:00:00Z",
        "preview?after_since=2026-01-10T12:00:00Z&after_id=a&after_id=b",
        "preview?user=%E2%80%AEanna",
        "preview?user=%00",
    ];
    for query in queries {
        let answer = visitor.get(&format!("{JOB}/{query}")).await;
        let fits = answer.status == 200 || [400, 422].contains(&answer.status.as_u16());
        assert!(fits, "{query}: {answer:?}");
        // Only a cleared field and a cursor whose run has gone are fine.
        let harmless = query == "preview?size=" || query == gone;
        assert_eq!(answer.status == 200, harmless, "{query}: {answer:?}");
    }
    nothing_was_done(&host).await;
}

#[tokio::test(start_paused = true)]
async fn headers_of_a_proxy_or_of_a_cache_change_no_answer() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let plain = visitor.get("/api/v1/jobs/booking-expirer").await;
    let headers = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "/api/v1/run"),
        ("x-http-method-override", "POST"),
        ("range", "bytes=0-3"),
        ("if-none-match", "*"),
        ("if-modified-since", "Sat, 10 Jan 2026 12:00:00 GMT"),
        ("if-match", "\"x\""),
        ("expect", "100-continue"),
        ("accept", "text/plain"),
        ("accept-encoding", "gzip"),
    ];

    for (name, value) in headers {
        let answer = visitor.send(Method::GET, JOB, &[(name, value)], "").await;
        assert_eq!(
            (answer.status, &answer.body),
            (plain.status, &plain.body),
            "{name}"
        );
        let page = visitor.send(Method::GET, "/", &[(name, value)], "").await;
        assert!(!page.page(200).contains("evil"), "{name}");
    }
    // An origin that is no site is not ours, and neither is another scheme's port.
    for origin in [
        "null",
        "http://a.example:443",
        "file://",
        "http://a.example.",
    ] {
        let path = format!("{JOB}/pause");
        let answer = visitor
            .send(Method::POST, &path, &[("origin", origin)], "")
            .await;
        assert_eq!(answer.problem(), "cross_site", "{origin}");
    }
    nothing_was_done(&host).await;
}

#[tokio::test(start_paused = true)]
async fn jobs_of_any_name_are_reached_by_their_links() {
    let long = "ä".repeat(200);
    let names = [
        "a/b", "a//b", "/", "a/../b", "...", "run", "jobs", "x?y#z", "100%", "%2e%2e", "a+b c",
        "a;b", "c:d", "<b>&\"'", "清掃", "مهمة", "-", &long,
    ];
    let fleet = fleet_of(names.map(str::to_owned)).await;
    let visitor = Visitor(
        Web::new(fleet)
            .with_actions()
            .with_hosts(["a.example"])
            .router(),
    );

    let overview = visitor.get("/?state=").await;
    let status = visitor.get("/api/v1/status").await.json();
    let links = overview.page(200).split("<h2><a href=\"./").skip(1);
    let links: Vec<String> = links
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    assert_eq!(
        (
            links.len(),
            status["jobs"].as_object().map(serde_json::Map::len)
        ),
        (18, Some(18))
    );
    for link in links {
        let page = visitor.get(&format!("/{link}")).await;
        page.page(200);
        let job = visitor.get(&format!("/api/v1/{link}")).await.json();
        let name = job["job"].as_str().expect("a name").to_owned();
        assert!(names.contains(&&*name), "{name}");
        let ran = visitor.post_form(&format!("/{link}/run"), "user=").await;
        assert_eq!(ran.status, 303, "{name}: {ran:?}");
        let result = ran.header("location").trim_start_matches("../");
        let result = visitor.get(&format!("/jobs/{result}")).await;
        assert!(result.page(200).contains("completed"), "{name}");
        let run = visitor.post(&format!("/api/v1/{link}/run")).await.json();
        assert_eq!(run["job"], name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_jobs_are_a_page_and_no_jobs_are_one_too() {
    let fleet = fleet_of((0..1_000).map(|number| format!("job-{number:04}"))).await;
    let many = Visitor(
        Web::new(fleet)
            .with_actions()
            .with_hosts(["a.example"])
            .router(),
    );
    let none = Visitor(
        Web::new(fleet_of([]).await)
            .with_actions()
            .with_hosts(["a.example"])
            .router(),
    );

    let asked = Instant::now();
    let page = many.get("/").await;
    let took = asked.elapsed();
    let frame = next(&mut open(&many).await).await.expect("a frame");
    let empty = none.get("/").await;
    let health = none.get("/health/jobs").await;
    let run = none.post("/api/v1/run").await;
    let nothing = next(&mut open(&none).await).await.expect("a frame");

    let page = page.page(200);
    println!("a page of 1,000 jobs in {took:?}: {} bytes", page.len());
    assert!(page.contains("All 1,000 jobs are healthy"));
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    assert_eq!(
        frame["ended"].as_object().map(serde_json::Map::len),
        Some(1_000)
    );
    assert!(empty.page(200).contains("This housekeeper has no jobs."));
    assert!(!empty.page(200).contains(">Run all<"));
    assert_eq!((health.status.as_u16(), &*health.body), (200, "{}"));
    assert_eq!(run.json()["reports"].as_array().map(Vec::len), Some(0));
    let html = nothing["html"].as_str().expect("is text");
    assert!(html.contains("data-title=\"No jobs\""), "{html}");
}

#[tokio::test(start_paused = true)]
async fn what_a_path_holds_is_shown_as_such() {
    let host = host().await;
    let visitor = Visitor::reader(&host);

    for path in [
        "/jobs/%E2%80%AEgpj",
        "/jobs/%1B[2J",
        "/%E2%80%AE",
        "/jobs/a%0Ab/run",
    ] {
        let answer = visitor.get(path).await;
        assert!(answer.status.is_client_error(), "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let unseen = ['\u{202e}', '\u{1b}'];
        assert!(!answer.body.contains(unseen), "{path}: {}", answer.body);
        assert!(headers_are_plain(&answer.headers), "{path}");
    }
}

fn headers_are_plain(headers: &HeaderMap) -> bool {
    headers.values().all(|value| value.to_str().is_ok())
}

async fn nothing_was_done(host: &Host) {
    let status = host.status().await;
    assert_eq!((status.last, status.paused), (None, false));
}
