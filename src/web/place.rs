//! Where the router stands, as seen from the page that links to it.

use std::fmt::Write;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;

use super::problem::Problem;
use crate::job::JobName;

/// The way from a page back to the root of the router: what every link on it begins with.
///
/// Relative, so that it is right wherever the host nests the router, and behind a proxy that takes away the front of the path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place(String);

impl Place {
    /// A link from this page.
    pub(crate) fn to(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// A link to something of a job's.
    pub(crate) fn to_job(&self, job: &JobName, rest: &str) -> String {
        format!("{}jobs/{}{rest}", self.0, encoded(job.as_str()))
    }

    /// As the script wants it.
    pub(crate) fn root(&self) -> &str {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(OriginalUri(whole)) = OriginalUri::from_request_parts(parts, state).await;
        Ok(Self(root(whole.path(), parts.uri.path())))
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
            ("/", "/", "./"),
            ("/hk", "/", "./hk/"),
            ("/hk/", "/", "./"),
            ("/a/b:c", "/", "./b:c/"),
            ("/hk/run", "/run", "./"),
            ("/jobs/x", "/jobs/x", "./../"),
            ("/a/b/jobs/x", "/jobs/x", "./../"),
            ("/a/jobs/x%2Fy/preview", "/jobs/x%2Fy/preview", "./../../"),
        ];

        for (whole, inner, expected) in table {
            assert_eq!(root(whole, inner), expected, "{whole}");
        }
    }

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        let place = Place("./hk/".to_owned());

        assert_eq!(
            place.to_job(&"a/b ?\"é".into(), "/preview"),
            "./hk/jobs/a%2Fb%20%3F%22%C3%A9/preview"
        );
        assert_eq!(place.to("run"), "./hk/run");
    }
}
