//! The style, the script and the icon, built in.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::problem::Problem;

/// A file that is built in.
pub(crate) struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    /// Of the content, so that an address with it may be kept for good.
    digest: u64,
}

pub(crate) const STYLE: Asset = Asset::new(
    "style.css",
    "text/css; charset=utf-8",
    include_str!("assets/style.css"),
);
pub(crate) const SCRIPT: Asset = Asset::new(
    "page.js",
    "text/javascript; charset=utf-8",
    include_str!("assets/page.js"),
);
pub(crate) const ICON: Asset =
    Asset::new("icon.svg", "image/svg+xml", include_str!("assets/icon.svg"));

impl Asset {
    const fn new(name: &'static str, kind: &'static str, content: &'static str) -> Self {
        Self {
            name,
            kind,
            content,
            digest: digest(content.as_bytes()),
        }
    }

    /// Where it is, from the root of the router.
    pub(crate) fn address(&self) -> String {
        format!("assets/{}?{}", self.name, self.version())
    }

    /// The query of the address that may be kept for good.
    fn version(&self) -> String {
        format!("v={:016x}", self.digest)
    }

    fn tag(&self) -> String {
        format!("\"{:016x}\"", self.digest)
    }
}

#[derive(Deserialize)]
pub(crate) struct FileInPath {
    file: String,
}

pub(crate) async fn asset(
    Path(FileInPath { file }): Path<FileInPath>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = [STYLE, SCRIPT, ICON]
        .into_iter()
        .find(|asset| asset.name == file);
    let Some(asset) = asset else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is no such file",
        ));
    };
    let tag = asset.tag();
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| tags == "*" || tags.contains(&tag));
    // Not `public`: what lies behind a host's authentication is not for shared caches to keep.
    let lasting = if uri.query() == Some(asset.version().as_str()) {
        "max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let caching = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, lasting),
    ];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, caching).into_response()
    } else {
        let kind = [(header::CONTENT_TYPE, asset.kind)];
        (caching, kind, asset.content).into_response()
    })
}

/// FNV-1a: distinguishes versions of a file, and can be worked out by the compiler. No secret hangs
/// on it.
const fn digest(content: &[u8]) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut place = 0;
    while place < content.len() {
        digest = (digest ^ content[place] as u64).wrapping_mul(0x0100_0000_01b3);
        place += 1;
    }
    digest
}
