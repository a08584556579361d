//! Actions, and the host's decision on each.

use std::fmt;
use std::sync::Arc;

use axum::http::request::Parts;

use crate::actors::panics::catch_panic;
use crate::fmt::log_line;
use crate::job::JobName;

/// An act on a job or on what it hands on, as [`Web::allow`](super::Web::allow) decides on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Runs the job now.
    Run,
    /// Ends the run in progress.
    Cancel,
    /// Suspends the schedule on this instance.
    Pause,
    /// Resumes the schedule on this instance.
    Resume,
    /// Suspends the schedule on all replicas.
    PauseReplicas,
    /// Resumes the schedule on all replicas.
    ResumeReplicas,
    /// Redelivers parked entries of the rule.
    Redeliver,
    /// Deletes parked entries of the rule, which are never delivered.
    Discard,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 8] = [
        Self::Run,
        Self::Cancel,
        Self::Pause,
        Self::Resume,
        Self::PauseReplicas,
        Self::ResumeReplicas,
        Self::Redeliver,
        Self::Discard,
    ];

    /// Returns whether it acts on parked entries, and not on a job.
    #[must_use]
    pub fn is_on_entries(self) -> bool {
        matches!(self, Self::Redeliver | Self::Discard)
    }

    /// Returns the word in paths, such as `run`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Cancel => "cancel",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::PauseReplicas => "pause-replicas",
            Self::ResumeReplicas => "resume-replicas",
            Self::Redeliver => "redeliver",
            Self::Discard => "discard",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The host's decision on an action. Everything is allowed by default.
#[derive(Clone, Default)]
pub(crate) struct Allow(Option<Arc<Decide>>);

type Decide = dyn Fn(&Parts, Action, &JobName) -> bool + Send + Sync;

impl Allow {
    pub(crate) fn new(
        decide: impl Fn(&Parts, Action, &JobName) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(decide)))
    }

    /// Returns whether the host allows the action on the job. A decision that panics refuses.
    pub(crate) fn allows(&self, parts: &Parts, action: Action, job: &JobName) -> bool {
        let Some(decide) = &self.0 else { return true };
        catch_panic(|| decide(parts, action, job)).unwrap_or_else(|panic| {
            let (panic, job) = (log_line(&panic), log_line(job.as_str()));
            tracing::error!(
                panic,
                "the host's decision on {action} of {job} panicked; it is refused"
            );
            false
        })
    }
}

impl fmt::Debug for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decides = if self.0.is_some() { "host" } else { "all" };
        f.debug_tuple("Allow").field(&decides).finish()
    }
}
