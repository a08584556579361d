//! Requests that another site makes a browser send.

use axum::http::Method;

use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn requests_of_other_sites_change_nothing() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let paths = [
        "/api/v1/jobs/booking-expirer/pause",
        "/jobs/booking-expirer/pause",
    ];
    let foreign: [&[(&str, &str)]; 4] = [
        &[("sec-fetch-site", "cross-site")],
        &[
            ("sec-fetch-site", "same-site"),
            ("origin", "http://a.example"),
        ],
        &[("origin", "https://b.example")],
        &[("origin", "null")],
    ];

    for (path, headers) in paths
        .into_iter()
        .flat_map(|path| foreign.map(|headers| (path, headers)))
    {
        let answer = visitor.send(Method::POST, path, headers, "").await;
        assert_eq!(answer.status, 403, "{path} {headers:?}");
        if path.starts_with("/api") {
            assert_eq!(answer.problem(), "cross_site", "{headers:?}");
        } else {
            assert!(
                answer.body.contains("another site sent this request"),
                "{headers:?}"
            );
        }
    }

    assert!(!host.status().await.paused);
}

#[tokio::test(start_paused = true)]
async fn our_own_page_and_programs_may_act() {
    let host = host().await;
    let visitor = Visitor::actor(&host);
    let ours: [&[(&str, &str)]; 4] = [
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://a.example"),
        ],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://a.example")],
        &[],
    ];

    for headers in ours {
        let answer = visitor
            .send(
                Method::POST,
                "/api/v1/jobs/booking-expirer/pause",
                headers,
                "",
            )
            .await;
        assert_eq!(answer.status, 200, "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn links_of_other_sites_may_lead_here() {
    let host = host().await;
    let headers = [("sec-fetch-site", "cross-site")];

    let answer = Visitor::actor(&host)
        .send(Method::GET, "/", &headers, "")
        .await;

    answer.page(200);
}
