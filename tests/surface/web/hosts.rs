//! Names under which the page is served.

use axum::http::Method;
use ractor_housekeeper::web::Web;

use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn a_page_that_acts_answers_to_this_machine_or_to_listed_names() {
    let host = host().await;
    let web = || Web::new(host.housekeeper.clone());
    let own = Visitor(web().with_actions().router());
    let listed = Visitor(
        web()
            .with_actions()
            .with_hosts(["admin.example:8443"])
            .router(),
    );
    let reader = Visitor(web().router());
    let table = [
        ("127.0.0.1:8080", 200, 421, 200),
        ("localhost", 200, 421, 200),
        ("evil.example", 421, 421, 200),
        ("admin.example", 421, 421, 200),
        ("admin.example:8443", 421, 200, 200),
    ];

    for (name, of_own, of_listed, of_reader) in table {
        let statuses = [(&own, of_own), (&listed, of_listed), (&reader, of_reader)];
        for (visitor, status) in statuses {
            for path in ["/", "/api/v1/status", "/jobs/booking-expirer/preview"] {
                let answer = as_host(visitor, Method::GET, path, name).await;
                assert_eq!(answer.status.as_u16(), status, "{name} {path}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rebound_name_can_neither_act_nor_read() {
    let host = host().await;
    host.add_overdue(1);
    let visitor = Visitor(Web::new(host.housekeeper.clone()).with_actions().router());

    // As a browser sends it: the same site, by its own account.
    let run = as_host(&visitor, Method::POST, "/api/v1/run", "evil.example").await;
    let page = as_host(&visitor, Method::GET, "/", "evil.example").await;
    let probe = as_host(&visitor, Method::GET, "/health/live", "evil.example").await;

    assert_eq!(
        (run.status.as_u16(), run.problem().as_str()),
        (421, "unknown_host")
    );
    assert!(page.page(421).contains("not served as evil.example"));
    assert_eq!(probe.status, 200, "probes come by address");
    assert!(host.expired().is_empty());
}

async fn as_host(
    visitor: &Visitor,
    method: Method,
    path: &str,
    name: &str,
) -> crate::web::visitor::Answer {
    let origin = format!("http://{name}");
    let headers = [
        ("sec-fetch-site", "same-origin"),
        ("origin", origin.as_str()),
    ];
    visitor.send_to(name, method, path, &headers, "").await
}
