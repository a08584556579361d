//! Forged requests: those that another site makes a visitor's browser send, and those to a name
//! that is not ours.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::hosts::is_loopback;
use super::problem::Problem;
use super::site::Site;
use crate::fmt::log_line;

/// Refuses requests to a name that is not ours, and requests of another site that would change
/// something. Probes may use any name, since they show nothing.
pub(crate) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let source = Source::of(request.headers(), request.uri());
    let is_probe = request.uri().path().starts_with("/health/");
    if let Some(host) = source.host.filter(|host| !is_probe && !site.serves(host)) {
        let host = log_line(host);
        return Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            format!("this page is not served as {host}; the application lists its names with `Web::with_hosts`"),
        )
        .into_response();
    }
    if is_safe(request.method()) || source.is_ours() {
        return next.run(request).await;
    }
    Problem::new(
        StatusCode::FORBIDDEN,
        "cross_site",
        "another site sent this request, so it may not be what its user wanted",
    )
    .into_response()
}

impl Site {
    /// Returns whether the page may be requested under this name. While it can act, an unlisted
    /// name must be one of this machine.
    fn serves(&self, host: &str) -> bool {
        match &self.hosts {
            Some(hosts) => hosts.allow(host),
            None => !self.actions || is_loopback(host),
        }
    }
}

/// The origin of a request, by its headers.
#[derive(Debug, Clone, Copy)]
struct Source<'a> {
    /// `Sec-Fetch-Site`: all browsers since 2023, over TLS and on localhost.
    site: Option<&'a str>,
    /// `Origin`: all browsers since 2020, with every request that can change something.
    origin: Option<&'a str>,
    /// The host and port that the browser thinks it speaks to.
    host: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn of(headers: &'a HeaderMap, uri: &'a Uri) -> Self {
        Self {
            site: text(headers, &SEC_FETCH_SITE),
            origin: text(headers, &header::ORIGIN),
            // HTTP/2 has it in the request line instead.
            host: text(headers, &header::HOST).or(uri.authority().map(Authority::as_str)),
        }
    }

    /// The algorithm of `CrossOriginProtection` in Go 1.25: it needs no token and no state, because
    /// no script can set these two headers. Neither of them means no browser, and so no user whose
    /// cookies are abused.
    fn is_ours(self) -> bool {
        match (self.site, self.origin) {
            (Some(site), _) => matches!(site, "same-origin" | "none"),
            (None, Some(origin)) => origin
                .split_once("://")
                .zip(self.host)
                .is_some_and(|((_, ours), host)| ours.eq_ignore_ascii_case(host)),
            (None, None) => true,
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// A value that is no text is there, and no right one.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?;
    Some(value.to_str().unwrap_or("?"))
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_requests_of_our_own_pages_and_of_no_browser_are_ours() {
        let host = Some("a.example:8080");
        let table = [
            // Sec-Fetch-Site decides where it is there.
            (Some("same-origin"), None, true),
            (Some("none"), None, true),
            (Some("same-origin"), Some("https://b.example"), true),
            (Some("same-site"), Some("http://a.example:8080"), false),
            (Some("cross-site"), Some("http://a.example:8080"), false),
            (Some("cross-site"), None, false),
            (Some(""), None, false),
            (Some("?"), None, false),
            // Else the origin, with its port.
            (None, Some("http://a.example:8080"), true),
            (None, Some("https://A.Example:8080"), true),
            (None, Some("http://a.example"), false),
            (None, Some("http://a.example:80"), false),
            (None, Some("http://b.example:8080"), false),
            (None, Some("http://x.a.example:8080"), false),
            (None, Some("http://a.example:8080.b.example"), false),
            (None, Some("null"), false),
            (None, Some(""), false),
            (None, Some("?"), false),
            // Neither: no browser.
            (None, None, true),
        ];

        for (site, origin, expected) in table {
            let source = Source { site, origin, host };
            assert_eq!(source.is_ours(), expected, "{source:?}");
        }
    }

    #[test]
    fn an_origin_is_not_ours_where_nobody_knows_our_host() {
        let source = Source {
            site: None,
            origin: Some("http://a.example"),
            host: None,
        };

        assert!(!source.is_ours());
    }

    #[test]
    fn the_host_of_the_request_line_counts_where_there_is_no_header() {
        let uri = Uri::from_static("http://a.example/api/run");
        let mut headers = HeaderMap::new();
        headers.insert(
            header::ORIGIN,
            header::HeaderValue::from_static("http://a.example"),
        );

        let ours = Source::of(&headers, &uri).is_ours();
        headers.insert(header::HOST, header::HeaderValue::from_static("b.example"));

        assert!(ours);
        assert!(!Source::of(&headers, &uri).is_ours());
    }

    #[test]
    fn a_header_that_is_no_text_is_not_taken_for_one_that_is_absent() {
        let mut headers = HeaderMap::new();
        let value = header::HeaderValue::from_bytes(b"\xff").expect("is a value");
        headers.insert(SEC_FETCH_SITE, value);

        assert!(!Source::of(&headers, &Uri::from_static("/")).is_ours());
    }

    proptest! {
        #[test]
        fn no_site_but_ours_is_let_in(
            site in option::of("[a-z-]{0,12}"),
            origin in option::of("(https?://)?[a-zA-Z0-9.:-]{0,12}"),
            host in option::of("[a-z0-9.:]{1,12}"),
        ) {
            let source = Source { site: site.as_deref(), origin: origin.as_deref(), host: host.as_deref() };

            let ours = source.is_ours();

            let by_site = site.as_deref().map(|site| ["same-origin", "none"].contains(&site));
            let by_origin = origin.map(|origin| {
                let urls = ["http", "https"].map(|scheme| host.as_ref().map(|host| format!("{scheme}://{host}")));
                urls.contains(&Some(origin.to_lowercase()))
            });
            prop_assert_eq!(ours, by_site.or(by_origin).unwrap_or(true));
        }

        #[test]
        fn our_own_origin_is_always_ours(host in "[a-z0-9.:]{1,12}", scheme in "https?") {
            let origin = format!("{scheme}://{host}");

            let source = Source { site: None, origin: Some(&origin), host: Some(&host) };
            prop_assert!(source.is_ours());
        }
    }
}
