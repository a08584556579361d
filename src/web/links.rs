//! Where the router stands, as seen from the page that links to it.

use std::fmt::Write;

use axum::extract::{FromRequestParts, NestedPath, OriginalUri};
use axum::http::request::Parts;

use super::problem::Problem;
use crate::job::JobName;

/// The way from a page back to the router.
///
/// Relative, so that it is right wherever the host nests the router, and behind a proxy that takes
/// away the front of the path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    /// To what is below the router's path: what every link but the one home begins with.
    root: String,
    /// To the overview. Not the same: a nested router may know its own path without a slash at the
    /// end only.
    home: String,
}

impl Links {
    /// A link to the overview.
    pub(crate) fn home(&self) -> &str {
        &self.home
    }

    /// A link to anything else.
    pub(crate) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    /// A link to something of a job's.
    pub(crate) fn to_job(&self, job: &JobName, rest: &str) -> String {
        format!("{}jobs/{}{rest}", self.root, encoded(job.as_str()))
    }

    /// A link to something of a courier's.
    pub(crate) fn to_courier(&self, rule: &JobName, rest: &str) -> String {
        format!("{}couriers/{}{rest}", self.root, encoded(rule.as_str()))
    }

    /// As the script wants it.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Links {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(OriginalUri(whole)) = OriginalUri::from_request_parts(parts, state).await;
        // Nested at a path that ends in a slash, the overview is there, and not at the path
        // without it.
        let nested = parts.extensions.get::<NestedPath>();
        let slash = nested.is_some_and(|at| at.as_str().ends_with('/'));
        let (whole, inner) = (whole.path(), parts.uri.path());
        Ok(Self {
            root: root(whole, inner),
            home: home(whole, inner, slash),
        })
    }
}

/// The way to the root from a page whose path is `whole` to the browser and `inner` to the router.
fn root(whole: &str, inner: &str) -> String {
    let depth = inner.trim_start_matches('/').matches('/').count();
    if !matches!(inner, "" | "/") {
        // `./` first: a segment with a colon would be read as a scheme.
        return format!("./{}", "../".repeat(depth));
    }
    // The root itself: without a slash at its end, links are looked up beside it.
    match whole.rsplit('/').next() {
        None | Some("") => "./".to_owned(),
        Some(last) => format!("./{last}/"),
    }
}

/// The way to the overview: the path of the router itself, with a slash at its end if it was
/// reached so or has no other.
fn home(whole: &str, inner: &str, slash: bool) -> String {
    let root = root(whole, inner);
    if matches!(inner, "" | "/") {
        return match root.strip_suffix('/') {
            Some(".") | None => root,
            Some(here) => here.to_owned(),
        };
    }
    let at = whole.strip_suffix(inner).unwrap_or_default();
    match at.rsplit('/').next() {
        Some(last) if !slash && !last.is_empty() => format!("{root}../{last}"),
        // Not nested, or the path was rewritten.
        _ => root,
    }
}

/// A text as one segment of a path, or one value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_back_to_the_root_from_any_page_at_any_depth() {
        let table = [
            ("/", "/", "./", "./"),
            ("/hk", "/", "./hk/", "./hk"),
            ("/hk/", "/", "./", "./"),
            ("/a/b:c", "/", "./b:c/", "./b:c"),
            ("/run", "/run", "./", "./"),
            ("/hk/run", "/run", "./", "./../hk"),
            ("/jobs/x", "/jobs/x", "./../", "./../"),
            ("/a/b/jobs/x", "/jobs/x", "./../", "./../../b"),
            (
                "/a/jobs/x%2Fy/preview",
                "/jobs/x%2Fy/preview",
                "./../../",
                "./../../../a",
            ),
            ("/rewritten", "/jobs/x", "./../", "./../"),
        ];

        for (whole, inner, to_root, to_home) in table {
            assert_eq!(root(whole, inner), to_root, "{whole}");
            assert_eq!(home(whole, inner, false), to_home, "{whole}");
        }
        assert_eq!(home("/hk/jobs/x", "/jobs/x", true), "./../");
    }

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        let links = Links {
            root: "./hk/".to_owned(),
            home: "./hk".to_owned(),
        };

        assert_eq!(
            links.to_job(&"a/b ?\"é".into(), "/preview"),
            "./hk/jobs/a%2Fb%20%3F%22%C3%A9/preview"
        );
        assert_eq!(links.to("run"), "./hk/run");
    }
}
