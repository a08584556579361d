//! The job that deletes idle chat sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::job::{BookingJob, built_in};
use super::text;
use crate::config::ConfigError;
use crate::job::JobName;
use crate::rule::{Rule, age, children, eq, newest};
use crate::store::Store;

/// Deletes idle chat sessions with their image and video records.
///
/// A session is idle when its last activity is strictly older than `idle_after`. Last activity is
/// the later of the session's creation and the newest message of its user. Reports count
/// `sessions`, `image_records` and `video_records`.
pub struct SessionCleaner(BookingJob);

impl fmt::Debug for SessionCleaner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCleaner")
            .field("idle_after", &self.0.age)
            .finish_non_exhaustive()
    }
}

impl SessionCleaner {
    /// `session-cleaner`
    pub const NAME: JobName = JobName::new("session-cleaner");

    /// Creates the job. An age of `None` disables it.
    ///
    /// # Errors
    ///
    /// Fails if the age is zero or longer than 100 years.
    pub fn new(store: Arc<dyn Store>, idle_after: Option<Duration>) -> Result<Self, ConfigError> {
        Ok(Self(BookingJob::new(
            store,
            "ages.idle_after",
            idle_after,
            Self::rule,
        )?))
    }

    /// Returns the rule that this job runs.
    #[must_use]
    pub fn rule(idle_after: Duration) -> Rule {
        let messages = newest("messages", "user_id", "timestamp")
            .references("user_id")
            .only(eq("sender", "user"))
            .noted_in(
                "last_activity_at",
                "housekeeper_note_activity",
                "select throttle_us from housekeeper_activity",
            );
        let records = |table| children(table, "session_id").show_count();
        Rule::new(Self::NAME.as_str(), "sessions")
            .due(age("created_at", idle_after).on_sqlite(text()))
            .active(messages)
            .with(records("image_sent").counts_as("image_records"))
            .with(records("video_sent").counts_as("video_records"))
            .keeps_referenced()
            .scope("user_id")
            .expect_backlog()
            .delete()
    }
}

built_in!(SessionCleaner);
