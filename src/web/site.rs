//! The state that all requests share.

use std::time::Duration;

use super::address::Address;
use super::allow::Allow;
use super::hosts::Hosts;
use super::hub::Hub;
use super::privacy::Privacy;

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
    pub(crate) fn shows(&self) -> Shows {
        Shows {
            actions: self.actions,
            previews: !self.privacy.without_previews,
        }
    }
}

/// The parts of a page that the host enables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shows {
    pub(crate) actions: bool,
    pub(crate) previews: bool,
}

/// What is answered from memory. A housekeeper that takes longer is stuck or gone.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Longest wait for a read, which the housekeeper answers within its `read_timeout`. Below the 60
/// seconds of most proxies.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(50);
