//! A client of a router, without a socket.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use ractor_housekeeper::web::Web;
use serde_json::Value;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::support::host::{Host, Setup, seconds};

/// Speaks to a router.
#[derive(Clone)]
pub(crate) struct Visitor(pub(crate) Router);

/// The response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Visitor {
    /// Of a page that only reads.
    pub(crate) fn reader(host: &Host) -> Self {
        Self(Web::new(host.housekeeper.clone()).router())
    }

    /// Of a page that can act.
    pub(crate) fn actor(host: &Host) -> Self {
        Self(
            Web::new(host.housekeeper.clone())
                .with_actions()
                .with_hosts(["a.example"])
                .router(),
        )
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.send(Method::POST, path, &[], "").await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &str) -> Answer {
        let kind = [("content-type", "application/json; charset=utf-8")];
        self.send(Method::POST, path, &kind, body).await
    }

    pub(crate) async fn post_form(&self, path: &str, body: &str) -> Answer {
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send(Method::POST, path, &kind, body).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.send_to("a.example", method, path, headers, body).await
    }

    pub(crate) async fn send_to(
        &self,
        host: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned()));
        let response = self.request(request.expect("can be sent")).await;
        let (parts, body) = response.into_parts();
        // Of a stream that should have been refused there is no end.
        let body = timeout(seconds(3_600), to_bytes(body, usize::MAX)).await;
        let body = body.expect("an end").expect("a whole body");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("is text"),
        }
    }

    pub(crate) async fn request(&self, request: Request<Body>) -> axum::response::Response {
        let response = self.0.clone().oneshot(request).await;
        response.unwrap_or_else(|never| match never {})
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("is text"))
    }

    /// The kind of problem, after a look at whether it is one in every respect.
    pub(crate) fn problem(&self) -> String {
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(
            problem["title"],
            self.status.canonical_reason().expect("is known")
        );
        assert!(!problem["detail"].as_str().expect("is text").is_empty());
        problem["kind"].as_str().expect("is text").to_owned()
    }

    /// The page, of this status.
    pub(crate) fn page(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.header("content-type"), "text/html; charset=utf-8");
        &self.body
    }
}

/// A host whose history is in its store.
pub(crate) async fn host() -> Host {
    setup().start().await
}

pub(crate) fn setup() -> Setup {
    let mut setup = Setup::new();
    setup.arguments = setup.arguments.with_history(setup.store.clone());
    setup
}
