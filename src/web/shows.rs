//! The parts of a page that the host enables.

use axum::http::request::Parts;

use super::allow::{Action, Allow};
use crate::job::JobName;

/// The parts of a page that the host enables.
#[derive(Clone, Copy)]
pub(crate) struct Shows<'a> {
    pub(crate) actions: bool,
    pub(crate) previews: bool,
    /// Whether the history is in a store, which replicas may share.
    pub(crate) replicas: bool,
    /// The host's decision, and the request; `None` in frames, which are the same for all pages.
    pub(crate) viewer: Option<(&'a Allow, &'a Parts)>,
}

impl Shows<'_> {
    /// Returns whether a button is shown.
    pub(crate) fn offers(self, action: Action, job: &JobName) -> bool {
        let allows = |(allow, parts): (&Allow, &Parts)| allow.allows(parts, action, job);
        self.actions && self.viewer.is_none_or(allows)
    }
}
