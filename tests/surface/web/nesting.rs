//! The router below paths of a host's.

use std::collections::BTreeSet;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use ractor_housekeeper::web::Web;

use crate::support::host::Host;
use crate::web::visitor::{Visitor, host};

#[tokio::test(start_paused = true)]
async fn every_link_of_every_page_leads_somewhere_at_any_depth() {
    let host = host().await;
    host.add_overdue(3);

    for at in [
        "",
        "/housekeeping",
        "/admin/housekeeping",
        "/a/b/housekeeping",
        "/tenants/{tenant}/keep",
        "/tenants/{tenant}/{job}/keep",
    ] {
        every_link_leads_somewhere(
            &nested(&host, at),
            &at.replace("{tenant}", "7").replace("{job}", "8"),
            "",
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_link_leads_somewhere_below_a_path_that_ends_in_a_slash() {
    let host = host().await;
    host.add_overdue(3);
    let visitor = nested(&host, "/housekeeping/");

    every_link_leads_somewhere(&visitor, "/housekeeping", "/").await;
}

#[tokio::test(start_paused = true)]
async fn every_link_leads_somewhere_below_a_router_in_a_router() {
    let host = host().await;
    host.add_overdue(3);
    let inner = nested(&host, "/housekeeping").0;
    let visitor = Visitor(Router::new().nest("/admin", inner));

    every_link_leads_somewhere(&visitor, "/admin/housekeeping", "").await;
}

#[tokio::test(start_paused = true)]
async fn every_link_of_a_service_works_with_and_without_a_slash() {
    let host = host().await;
    host.add_overdue(3);

    for at in ["/housekeeping", "/admin/housekeeping"] {
        let ours = Web::new(host.housekeeper.clone())
            .with_actions()
            .with_hosts(["a.example"])
            .router();
        let visitor = Visitor(Router::new().nest_service(at, ours));
        for end in ["", "/"] {
            every_link_leads_somewhere(&visitor, at, end).await;
        }
    }
}

/// Follows each link of each page of the router at `at`, whose overview has `end` after that.
async fn every_link_leads_somewhere(visitor: &Visitor, at: &str, end: &str) {
    let overview = match format!("{at}{end}") {
        overview if overview.is_empty() => "/".to_owned(),
        overview => overview,
    };
    let others = [
        "/jobs/booking-expirer",
        "/jobs/booking-expirer/preview?size=1",
        "/jobs/booking-expirer/run",
        "/run",
    ];
    let others = others.map(|page| format!("{at}{page}"));
    for page in [overview].into_iter().chain(others) {
        let answer = visitor.get(&page).await;
        for link in links(answer.page(200)) {
            let target = resolved(&page, &link);
            let found = visitor.get(&target).await;
            assert_eq!(found.status, 200, "{link} on {page} leads to {target}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn as_a_service_the_root_may_be_written_with_a_slash() {
    let host = host().await;
    let ours = Web::new(host.housekeeper.clone()).router();
    let visitor = Visitor(Router::new().nest_service("/housekeeping", ours));

    let with = visitor.get("/housekeeping/").await;
    let without = visitor.get("/housekeeping").await;
    let below = visitor.get("/housekeeping/jobs/booking-expirer").await;

    assert!(with.page(200).contains("data-root=\"./\""));
    assert!(without.page(200).contains("data-root=\"./housekeeping/\""));
    assert!(below.page(200).contains("data-root=\"./../\""));
}

#[tokio::test(start_paused = true)]
async fn other_paths_belong_to_the_host() {
    let host = host().await;
    let visitor = nested(&host, "/housekeeping");

    assert_eq!(visitor.get("/").await.body, "the host");
    assert_eq!(visitor.get("/other").await.body, "not here");
    assert_eq!(
        visitor.get("/housekeeping/api/other").await.problem(),
        "not_found"
    );
}

fn nested(host: &Host, at: &str) -> Visitor {
    let ours = Web::new(host.housekeeper.clone())
        .with_actions()
        .with_hosts(["a.example"])
        .router();
    if at.is_empty() {
        return Visitor(ours);
    }
    let router = Router::new()
        .route("/", get(async || "the host"))
        .nest(at, ours);
    Visitor(router.fallback(async || (StatusCode::NOT_FOUND, "not here")))
}

/// The links of a page, except streams and those to itself.
fn links(page: &str) -> BTreeSet<String> {
    let links = ["href=\"", "src=\"", "action=\""].map(|attribute| {
        let values = page.split(attribute).skip(1);
        values.map(|rest| {
            rest.split('"')
                .next()
                .unwrap_or_default()
                .replace("&amp;", "&")
        })
    });
    links
        .into_iter()
        .flatten()
        .filter(|link| !link.starts_with('#'))
        .collect()
}

/// As a browser does it.
fn resolved(page: &str, link: &str) -> String {
    let path = page.split('?').next().unwrap_or_default();
    let (mut place, _) = path.rsplit_once('/').unwrap_or_default();
    let mut rest = link;
    loop {
        if let Some(here) = rest.strip_prefix("./") {
            rest = here;
        } else if let Some(up) = rest.strip_prefix("../") {
            (place, _) = place.rsplit_once('/').expect("not above the host");
            rest = up;
        } else {
            return format!("{place}/{rest}");
        }
    }
}
