//! What a job is: a rule about rows, and what is done to the rows it matches.

use async_trait::async_trait;

mod batch;
mod error;
mod forecast;
mod name;
mod preview;
mod progress;

pub use batch::{Batch, BatchRequest, Counts, Cursor, RejectedRow, RunBounds, Scope};
pub use error::JobError;
pub use forecast::{BoundedCount, Forecast};
pub use name::JobName;
pub use preview::{Page, Preview, PreviewRow, PreviewRows};
pub(crate) use progress::Progress;

/// A rule about rows and what is done with the rows it matches.
///
/// The housekeeper gives every job a worker, a schedule, supervision, reports and a history; the
/// job brings its own queries. A job finds its rows itself: nobody tells it which. All methods take
/// `&self` and may be called at the same time (a preview during a batch).
///
/// Every step must be safe to drop at any await, because a worker can be killed: do each batch in
/// one transaction whose connection rolls back when it is dropped. A step that outlasts
/// [`JobConfig::step_timeout`](crate::config::JobConfig::step_timeout) is dropped too.
///
/// # Examples
///
/// A job over a table of the host's, kept in memory for brevity;
/// `examples/own_tables` has jobs over SQL.
///
/// ```
/// use async_trait::async_trait;
/// use chrono::{TimeDelta, Utc};
/// use ractor_housekeeper::{Job, JobName, Scope};
/// use ractor_housekeeper::job::{Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds};
///
/// struct DraftSweeper;
///
/// #[async_trait]
/// impl Job for DraftSweeper {
///     fn name(&self) -> JobName {
///         JobName::new("draft-sweeper")
///     }
///     async fn begin_run(&self) -> Result<RunBounds, JobError> {
///         let now = Utc::now();
///         Ok(RunBounds { now, cutoff: now - TimeDelta::days(30) })
///     }
///     async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError> {
///         // delete at most `request.limit` drafts last saved before `pass.cutoff`, in one transaction
///         Ok(Batch::default().with_count("drafts", 0))
///     }
///     async fn preview(&self, _scope: &Scope, _page: &Page) -> Result<PreviewRows, JobError> {
///         Ok(PreviewRows::none(Utc::now() - TimeDelta::days(30)))
///     }
///     async fn forecast(&self, _rejected: &[String]) -> Result<Forecast, JobError> {
///         Ok(Forecast::default())
///     }
/// }
/// ```
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// The name under which messages, reports, status and traces speak of this job. Unique within a
    /// housekeeper.
    fn name(&self) -> JobName;

    /// Whether the job is switched on; asked once, at the start. A job that is off has no worker,
    /// and `RunNow` is refused with the reason.
    fn is_enabled(&self) -> bool {
        true
    }

    /// Returns whether a run cannot be undone, such as one that deletes rows. Runs of such a job
    /// are held while the clock cannot be trusted: see
    /// [`max_clock_leap`](crate::config::JobConfig::max_clock_leap). Default: `true`.
    fn is_irreversible(&self) -> bool {
        true
    }

    /// Says what is wrong with a scope that this job cannot serve, before anything is queued.
    fn check_scope(&self, _scope: &Scope) -> Result<(), String> {
        Ok(())
    }

    /// Checks what the job needs of its database. Called before the first run of each life of a
    /// worker; an error fails that run.
    async fn check(&self) -> Result<(), JobError> {
        Ok(())
    }

    /// Reads the clock that decides, usually the database's, and derives the cutoff of one run from
    /// it.
    async fn begin_run(&self) -> Result<RunBounds, JobError>;

    /// Looks at no more than `request.limit` due rows after `request.after`, oldest first or nearly
    /// so, and handles them in one transaction.
    ///
    /// [`Batch::next_cursor`] is the last row examined if the batch reached its limit, which asks
    /// for another batch, and `None` otherwise. A run that comes back to a cursor where it was
    /// fails, because it would never end.
    async fn batch(&self, pass: &BatchRequest) -> Result<Batch, JobError>;

    /// Lists the rows a run would handle now, without a lock and without a change.
    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError>;

    /// Tells what is still due and when the next row falls due. Rows in `rejected` do not count.
    ///
    /// `next_due` and `max_age` plan the deadline runs; without them the job runs at ticks only.
    /// `due` and `oldest_overdue` are for reports and health.
    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError>;
}
