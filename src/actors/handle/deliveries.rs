//! Calls for parked entries.

use super::HousekeeperRef;
use crate::actors::ask::AskError;
use crate::actors::message::HousekeeperMsg;
use crate::job::JobName;
use crate::model::{ParkedEntries, ParkedPage, WhichEntries};

impl HousekeeperRef {
    /// Returns a page of the entries of a rule that failed too often.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the rule has no courier here, or the read failed.
    pub async fn parked(
        &self,
        rule: impl Into<JobName>,
        page: ParkedPage,
    ) -> Result<ParkedEntries, AskError> {
        let rule = rule.into();
        self.request(|reply| HousekeeperMsg::Parked(rule, page, reply))
            .await
    }

    /// Delivers parked entries of a rule again. Returns their number.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the rule has no courier here, or the write failed.
    pub async fn redeliver(
        &self,
        rule: impl Into<JobName>,
        which: WhichEntries,
    ) -> Result<u64, AskError> {
        let rule = rule.into();
        self.request(|reply| HousekeeperMsg::Redeliver(rule, which, reply))
            .await
    }

    /// Deletes parked entries of a rule undelivered. Returns their number.
    ///
    /// # Errors
    ///
    /// [`AskError::Request`] if the rule has no courier here, or the write failed.
    pub async fn discard(
        &self,
        rule: impl Into<JobName>,
        which: WhichEntries,
    ) -> Result<u64, AskError> {
        let rule = rule.into();
        self.request(|reply| HousekeeperMsg::Discard(rule, which, reply))
            .await
    }
}
