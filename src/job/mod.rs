//! The trait `Job` and its exchange types.

use async_trait::async_trait;

mod batch;
mod counts;
mod cursor;
mod error;
mod findings;
mod forecast;
mod name;
mod preview;
mod progress;
mod run_bounds;
mod scope;
mod snapshot;

pub use batch::{Batch, BatchRequest, RejectedRow};
pub use counts::Counts;
pub use cursor::Cursor;
pub use error::JobError;
pub use findings::{Finding, Findings};
pub use forecast::{BoundedCount, Forecast};
pub use name::JobName;
pub use preview::{Page, Preview, PreviewRow, PreviewRows};
pub(crate) use progress::Progress;
pub(crate) use run_bounds::PauseRead;
pub use run_bounds::{ReplicaPause, RunBounds};
pub use scope::Scope;
pub use snapshot::OldSnapshot;

/// A rule about rows and an action on the rows that match.
///
/// The housekeeper gives every job a worker, a schedule, supervision, reports and a history; the
/// job brings its own queries and finds its rows itself. All methods take `&self` and may run at
/// the same time (a preview during a batch).
///
/// Every step must be safe to drop at any await, because a worker can be killed: handle each batch
/// in one transaction whose connection rolls back when it is dropped. The worker drops a step that
/// outlasts [`JobConfig::step_timeout`](crate::config::JobConfig::step_timeout).
///
/// # Examples
///
/// A job over the host's drafts, without SQL for brevity; `examples/own_tables` has jobs over SQL.
///
/// ```
/// use async_trait::async_trait;
/// use chrono::{TimeDelta, Utc};
/// use ractor_housekeeper::{Job, JobName, Scope};
/// use ractor_housekeeper::job::{
///     Batch, BatchRequest, Forecast, JobError, Page, PreviewRows, RunBounds,
/// };
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
///         Ok(RunBounds::new(now, now - TimeDelta::days(30)))
///     }
///     async fn batch(&self, _request: &BatchRequest) -> Result<Batch, JobError> {
///         // In one transaction: delete at most `request.limit` drafts, saved before
///         // `request.cutoff`, after `request.after`.
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
    /// Returns the name of the job in messages, reports, status and traces. Unique within a
    /// housekeeper.
    fn name(&self) -> JobName;

    /// Returns whether the job is switched on. Called once, at the start. A disabled job has no
    /// worker, and `RunNow` fails with [`RequestError::Disabled`](crate::RequestError::Disabled).
    fn is_enabled(&self) -> bool {
        true
    }

    /// Returns whether batches write entries to the outbox for a courier to deliver. Called once,
    /// at the start: the status names a job whose entries no courier of this process delivers.
    /// Default: `false`.
    fn hands_on(&self) -> bool {
        false
    }

    /// Prepares for a run. `from_start` is false for a run that starts because a row fell due. Such
    /// a run may begin at the place below which nothing was due at the last run; every other run
    /// looks for rows that were set back behind it. Default: does nothing.
    fn prepare_run(&self, _from_start: bool) {}

    /// Returns whether a run cannot be undone, such as one that deletes rows. Runs of such a job
    /// are held while the clock cannot be trusted: see
    /// [`max_clock_leap`](crate::config::JobConfig::max_clock_leap). Default: `true`.
    fn is_irreversible(&self) -> bool {
        true
    }

    /// Checks a scope before a run or preview is queued. Default: accepts every scope. A job
    /// without users must reject [`Scope::User`], or a request for one user handles all rows.
    ///
    /// # Errors
    ///
    /// Returns the reason why the job cannot serve the scope.
    fn check_scope(&self, _scope: &Scope) -> Result<(), String> {
        Ok(())
    }

    /// Checks the job's database: tables, indexes, privileges. Called before the first run of each
    /// worker, so again after a restart; an error fails that run.
    async fn check(&self) -> Result<(), JobError> {
        Ok(())
    }

    /// Returns what the last check found, for the status. Default: nothing. Called after
    /// [`Job::check`], also if that failed; must return at once.
    fn findings(&self) -> Findings {
        Findings::default()
    }

    /// Reads the deciding clock, usually the database's, and derives the cutoff of a run from it.
    /// The read may cover the job's pause for all replicas: see [`RunBounds::with_pause`].
    async fn begin_run(&self) -> Result<RunBounds, JobError>;

    /// Examines at most `request.limit` due rows after `request.after`, oldest first or nearly so,
    /// and handles them in one transaction.
    ///
    /// [`Batch::next_cursor`] is the last row examined if the batch reached its limit, which
    /// requests another batch, and `None` otherwise. A run that returns to an earlier cursor would
    /// never end, so it fails.
    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError>;

    /// Lists the rows that a run would handle now. Takes no lock and changes nothing.
    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError>;

    /// Returns what is still due and when the next row falls due. Rows in `rejected` do not count.
    ///
    /// `next_due` and `max_age` plan the deadline runs; without them the job runs at ticks only.
    /// `due` and `oldest_overdue` are for reports and health.
    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError>;

    /// Returns the oldest snapshot that keeps deleted rows of the job's database, for the health.
    /// Called at most once a minute, after a forecast that took several times as long as the best
    /// one. Default: `None`, for a database without such snapshots or without the right to ask.
    async fn oldest_snapshot(&self) -> Option<OldSnapshot> {
        None
    }
}
