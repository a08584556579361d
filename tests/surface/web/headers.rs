//! Headers that go with the answers.

use axum::http::Method;

use crate::web::visitor::{Answer, Visitor, host};

#[tokio::test(start_paused = true)]
async fn answers_forbid_unneeded_features_and_caching() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let paths = [
        "/",
        "/jobs/booking-expirer",
        "/api/v1/status",
        "/health/live",
        "/nowhere",
        "/api/v1/jobs/x",
    ];

    for path in paths {
        let answer = visitor.get(path).await;
        let policy = answer.header("content-security-policy");
        for part in [
            "default-src 'none';",
            "script-src 'self';",
            "base-uri 'none';",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn assets_are_cached_under_their_digest_and_revalidated_without() {
    let host = host().await;
    let visitor = Visitor::reader(&host);
    let page = visitor.get("/").await;
    let links = page
        .page(200)
        .split('"')
        .filter(|link| link.starts_with("./assets/"))
        .collect::<Vec<_>>();
    let kinds = [
        "image/svg+xml",
        "text/css; charset=utf-8",
        "text/javascript; charset=utf-8",
    ];

    assert_eq!(links.len(), kinds.len());
    for (link, kind) in links.into_iter().zip(kinds) {
        let path = &link[1..];
        let asset = visitor.get(path).await;
        let tag = asset.header("etag").to_owned();
        let plain = path.split('?').next().expect("is a path");
        let known = [("if-none-match", tag.as_str())];
        let again = visitor.send(Method::GET, plain, &known, "").await;
        let last = &path[path.len() - 1..];

        let facts = |answer: &Answer| {
            (
                answer.status.as_u16(),
                answer.header("cache-control").to_owned(),
            )
        };
        assert_eq!(
            facts(&asset),
            (200, "max-age=31536000, immutable".to_owned())
        );
        assert_eq!(asset.header("content-type"), kind);
        assert!(!asset.body.is_empty());
        assert_eq!(facts(&again), (304, "no-cache".to_owned()));
        assert_eq!(
            (again.header("etag"), again.body.as_str()),
            (tag.as_str(), "")
        );
        for query in ["", last, "v="] {
            let other = visitor.get(&format!("{plain}?{query}")).await;
            assert_eq!(facts(&other), (200, "no-cache".to_owned()), "{query}");
        }
    }
}
