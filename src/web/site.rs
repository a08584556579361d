//! The state that all requests share.

use std::time::Duration;

use axum::http::request::Parts;

use super::address::Address;
use super::allow::Allow;
use super::hosts::Hosts;
use super::hub::Hub;
use super::privacy::Privacy;
use super::shows::Shows;
use crate::model::Status;

/// The state of the router.
pub(crate) struct Site {
    pub(super) address: Address,
    pub(super) actions: bool,
    pub(super) allow: Allow,
    pub(super) hosts: Option<Hosts>,
    pub(super) privacy: Privacy,
    pub(super) hub: Hub,
}

impl Site {
    /// `viewer` is the request of the page; `None` for a frame.
    pub(crate) fn shows<'a>(&'a self, status: &Status, viewer: Option<&'a Parts>) -> Shows<'a> {
        Shows {
            actions: self.actions,
            previews: !self.privacy.without_previews,
            replicas: status.shared_history,
            viewer: viewer.map(|parts| (&self.allow, parts)),
        }
    }
}

/// Timeout of an answer from memory. A housekeeper that takes longer is stuck or gone.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Longest wait for a read, which the housekeeper answers within its `read_timeout`. Below the 60
/// seconds of most proxies.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(50);
