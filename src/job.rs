//! What a job is: a rule about rows, and what is done to the rows it matches.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::batch::{Batch, Pass, Scope, Window};
use crate::outlook::Outlook;
use crate::preview::{Page, PreviewRows};

/// A rule about rows and what is done with the rows it matches.
///
/// The housekeeper gives every job a worker, a schedule, supervision, reports and a history; the job brings its own queries. A job finds
/// its rows itself: nobody tells it which. All methods take `&self` and may be called at the same time (a preview during a batch).
///
/// Every step must be safe to drop at any await, because a worker can be killed: do each batch in one transaction whose
/// connection rolls back when it is dropped. A step that outlasts [`JobConfig::step_limit`](crate::JobConfig::step_limit) is dropped too.
///
/// # Examples
///
/// A job over a table of the host's, kept in memory for brevity; `examples/own_tables/sqlite/booking_expirer.rs` is one over SQL.
///
/// ```
/// use async_trait::async_trait;
/// use chrono::{TimeDelta, Utc};
/// use ractor_housekeeper::{Batch, Job, JobError, JobName, Outlook, Page, Pass, PreviewRows, Scope, Window};
///
/// struct DraftSweeper;
///
/// #[async_trait]
/// impl Job for DraftSweeper {
///     fn name(&self) -> JobName {
///         JobName::new("draft-sweeper")
///     }
///     async fn open(&self) -> Result<Window, JobError> {
///         let now = Utc::now();
///         Ok(Window { now, cutoff: now - TimeDelta::days(30) })
///     }
///     async fn batch(&self, pass: &Pass) -> Result<Batch, JobError> {
///         // delete at most `pass.limit` drafts last saved before `pass.cutoff`, in one transaction
///         Ok(Batch::default().counted("drafts", 0))
///     }
///     async fn preview(&self, _scope: &Scope, _page: &Page) -> Result<PreviewRows, JobError> {
///         Ok(PreviewRows::none(Utc::now() - TimeDelta::days(30)))
///     }
///     async fn outlook(&self, _set_aside: &[String]) -> Result<Outlook, JobError> {
///         Ok(Outlook::default())
///     }
/// }
/// ```
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// The name under which messages, reports, status and traces speak of this job. Unique within a housekeeper.
    fn name(&self) -> JobName;

    /// Whether the job is switched on; asked once, at the start. A job that is off has no worker, and `RunNow` is refused with the reason.
    fn is_on(&self) -> bool {
        true
    }

    /// Says what is wrong with a scope that this job cannot serve, before anything is queued.
    fn check_scope(&self, _scope: &Scope) -> Result<(), String> {
        Ok(())
    }

    /// Checks what the job needs of its database. Called before the first run of each life of a worker; an error fails that run.
    async fn check(&self) -> Result<(), JobError> {
        Ok(())
    }

    /// Reads the clock that decides, usually the database's, and derives the cutoff of one run from it.
    async fn open(&self) -> Result<Window, JobError>;

    /// Looks at no more than `pass.limit` due rows after `pass.after`, oldest first or nearly so, and handles them in one transaction.
    ///
    /// [`Batch::reached`] is the last row looked at if the limit was reached, which asks for another batch, and `None` if it was not. One
    /// that does not lie behind `pass.after` fails the run, which would never end.
    async fn batch(&self, pass: &Pass) -> Result<Batch, JobError>;

    /// Lists the rows a run would handle now, without a lock and without a change.
    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError>;

    /// Tells what is still due and when the next row falls due. Rows in `set_aside` do not count.
    ///
    /// `next_due` and `age` are what deadline runs are planned by; without them the job runs at ticks only. `due` and `oldest_overdue` are
    /// for reports and health.
    async fn outlook(&self, set_aside: &[String]) -> Result<Outlook, JobError>;
}

/// The name of a job, such as `session-cleaner`. From a text that is not `'static`, as of a request: `JobName::from(text.to_owned())`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobName(Cow<'static, str>);

impl JobName {
    /// A name known when the program is compiled.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for JobName {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl From<String> for JobName {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An expected failure of a job: the database is away, a lock was refused, a table is missing.
///
/// Any error converts into one with `?`. It ends the run as [`Outcome::Failed`](crate::Outcome::Failed) and is retried with backoff;
/// it never costs a restart. Only a panic does.
pub struct JobError {
    source: Box<dyn Error + Send + Sync>,
}

impl JobError {
    /// The error and everything that caused it, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let part = error.to_string();
            if !text.contains(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            cause = error.source();
        }
        text
    }
}

// `JobError` itself is no `Error`, or this conversion would overlap with the reflexive one.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for JobError {
    fn from(error: E) -> Self {
        Self {
            source: error.into(),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the run could not begin")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn an_error_is_told_with_its_causes_and_debugged_as_itself() {
        let error = JobError::from(Outer(std::fmt::Error));
        let cause = std::fmt::Error.to_string();

        assert_eq!(
            error.to_string(),
            format!("the run could not begin: {cause}")
        );
        assert_eq!(format!("{error:?}"), "Outer(Error)");
    }
}
