//! Checks the contract between the engine and a job.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::fmt::span;
use crate::job::{Job, JobError, RunBounds, Scope};
use crate::time::{Clock, SystemClock};

#[cfg(all(feature = "postgres", unix))]
mod commits;
mod guest;
mod neighbour;
mod scope;
mod walk;

pub use guest::Guest;
pub use neighbour::Neighbour;
use walk::{assert_oldest_first, ids, preview, run};

/// Takes a job through its steps as a housekeeper would, in batches of `limit` rows, and returns
/// the ids it handled, in the order of the preview.
///
/// The check is a [`Conformance`] with the machine's clock and without guest, neighbour and proxy.
/// It prints its warnings.
///
/// # Panics
///
/// If the job breaks a rule of [`Conformance`].
///
/// # Errors
///
/// The first error of any step.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use chrono::{TimeDelta, Utc};
/// use ractor_housekeeper::testing::{ManualClock, MemoryBooking, MemoryStore, assert_conforms};
/// use ractor_housekeeper::booking::{BookingExpirer, BookingPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new().with_clock(Arc::new(ManualClock::frozen(Utc::now())));
/// for id in ["b1", "b2", "b3"] {
///     let created_at = Utc::now() - TimeDelta::hours(1);
///     store.add_booking(MemoryBooking::pending(id, uuid::Uuid::nil(), created_at));
/// }
/// let job = BookingExpirer::new(Arc::new(store), BookingPolicy::default().expire_after)?;
///
/// let handled = assert_conforms(&job, 2.try_into()?).await.map_err(|error| error.to_string())?;
///
/// assert_eq!(handled, ["b1", "b2", "b3"]);
/// # Ok(())
/// # }
/// ```
pub async fn assert_conforms(job: &dyn Job, limit: NonZeroU32) -> Result<Vec<String>, JobError> {
    let conformed = Conformance::new(limit).check(job).await?;
    for warning in &conformed.warnings {
        eprintln!("{}: {warning}", job.name());
    }
    Ok(conformed.handled)
}

/// A check of a job against its contract with the engine.
///
/// Give the job more due rows than the limit, and let no other process change them. Rows of two
/// users, an older row with a later id, and a limit of 1 or 2 find most mistakes.
///
/// | rule | needs |
/// |---|---|
/// | Preview, run and forecast agree on the rows that are due. | any due row |
/// | A preview changes nothing; pages and batches skip and repeat no row and keep to their limit. | more rows than the limit |
/// | Rows come oldest first. | an older row with a later id |
/// | A run for one user handles that user's rows only. | a job that accepts such a scope |
/// | The job's clock is at most ten seconds ahead, or rows are handled early. | [`Conformance::clock`] in a test that sets the job's clock |
/// | [`Forecast::max_age`](crate::job::Forecast::max_age) is no longer than the age of the rule. Without one, a new row waits for a tick, which is a warning. | a cutoff in the past |
/// | A row that a user saves during a batch survives. | [`Conformance::guest`] |
/// | A row that another client locks does not keep the others: nine tenths of them are handled within ten seconds. | [`Conformance::neighbour`] |
/// | Rows whose commit was not confirmed are reported exactly once. | `Conformance::proxy`, on Postgres |
/// | Only the database orders texts. | a database in each of `PrivatePostgres::ODD_LOCALES`, with ids such as `a`, `B`, `c9`, `c10` of one instant |
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/drafts.rs"));
/// use ractor_housekeeper::testing::{Conformance, ManualClock};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(ManualClock::frozen("2126-03-01T12:00:00Z".parse()?));
/// let saved = |days, title: &str| (clock.now() - TimeDelta::days(days), title.to_owned());
/// let rows = vec![saved(35, "a"), saved(40, "b"), saved(31, "c"), saved(30, "d")];
/// let drafts: Drafts = Arc::new(Mutex::new(rows));
/// let job = DraftSweeper { drafts, clock: clock.clone() };
///
/// let check = Conformance::new(2.try_into()?).clock(clock);
/// let conformed = check.check(&job).await.map_err(|error| error.to_string())?;
///
/// assert_eq!(conformed.handled, ["b", "a", "c"]);
/// assert!(conformed.warnings.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Conformance<'g> {
    limit: NonZeroU32,
    clock: Arc<dyn Clock>,
    guest: Option<&'g mut dyn Guest>,
    neighbour: Option<&'g mut dyn Neighbour>,
    #[cfg(all(feature = "postgres", unix))]
    proxy: Option<&'g super::PostgresProxy>,
}

/// The result of a [`Conformance`] check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conformed {
    /// The ids that the job handled, in the order of its preview.
    pub handled: Vec<String>,
    /// Shortcomings that break no rule.
    pub warnings: Vec<String>,
}

impl<'g> Conformance<'g> {
    /// Creates a check in batches of `limit` rows.
    #[must_use]
    pub fn new(limit: NonZeroU32) -> Self {
        Self {
            limit,
            clock: Arc::new(SystemClock),
            guest: None,
            neighbour: None,
            #[cfg(all(feature = "postgres", unix))]
            proxy: None,
        }
    }

    /// Sets the clock to compare the job's with. Default: the machine's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a user who saves a row in the middle of a batch.
    #[must_use]
    pub fn guest(mut self, guest: &'g mut dyn Guest) -> Self {
        self.guest = Some(guest);
        self
    }

    /// Adds a client that locks a due row, or a row that writing it needs. Not for SQLite, where a
    /// writer locks the whole file.
    #[must_use]
    pub fn neighbour(mut self, neighbour: &'g mut dyn Neighbour) -> Self {
        self.neighbour = Some(neighbour);
        self
    }

    /// Cuts the connection at a commit. The job's store must connect through this proxy.
    #[cfg(all(feature = "postgres", unix))]
    #[must_use]
    pub fn proxy(mut self, proxy: &'g super::PostgresProxy) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Checks a job on its database.
    ///
    /// # Panics
    ///
    /// If the job breaks a rule.
    ///
    /// # Errors
    ///
    /// The first error of any step.
    pub async fn check(self, job: &dyn Job) -> Result<Conformed, JobError> {
        let Self {
            limit,
            clock,
            guest,
            neighbour,
            #[cfg(all(feature = "postgres", unix))]
            proxy,
        } = self;
        job.check().await?;
        let began = Instant::now();
        let bounds = job.begin_run().await?;
        assert_not_ahead(&bounds, &*clock);
        let rows = preview(job, &Scope::All, limit).await?;
        let order = ids(&rows);
        let again = ids(&preview(job, &Scope::All, limit).await?);
        assert_eq!(order, again, "a preview changed the due rows");
        assert_oldest_first(job).await?;
        assert_same_clock(job, &bounds, began).await?;
        let mut warnings = assert_forecast(job, &bounds, order.len() as u64).await?;
        if order.is_empty() {
            warnings.push("no row is due, so most rules were not checked".to_owned());
        }

        let mut handled = Vec::new();
        if let (Some(guest), Some(first)) = (guest, order.first()) {
            handled.extend(guest::assert_saved(job, limit, guest, first).await?);
        }
        if let Some(neighbour) = neighbour {
            match neighbour::assert_others_go(job, limit, neighbour).await? {
                Some(ids) => handled.extend(ids),
                None => warnings.push(too_few("neighbour")),
            }
        }
        #[cfg(all(feature = "postgres", unix))]
        if let Some(proxy) = proxy {
            match commits::assert_reported(job, limit, proxy).await? {
                Some(ids) => handled.extend(ids),
                None => warnings.push(too_few("proxy")),
            }
        }
        handled.extend(scope::assert_one_user(job, limit).await?);
        handled.extend(assert_run(job, limit).await?);

        handled.sort_by_key(|id| order.iter().position(|shown| shown == id));
        Ok(Conformed { handled, warnings })
    }
}

impl fmt::Debug for Conformance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Warns of a check for which the checks before it left no rows.
fn too_few(part: &str) -> String {
    format!("too few due rows were left for the {part}, which was not used: give the job more")
}

/// Asserts that the job's clock is not ahead: rows would be handled before they are due.
fn assert_not_ahead(bounds: &RunBounds, clock: &dyn Clock) {
    let RunBounds { now, cutoff, .. } = *bounds;
    let right = clock.now();
    assert!(
        now - right <= LEAD,
        "the job's clock says {now}, which is ahead: it is {right}. Read the database's clock. \
         In a test that sets the job's clock, give the same one to `Conformance::clock`"
    );
    assert!(
        cutoff <= now,
        "a run that begins at {now} has its cutoff after it, at {cutoff}"
    );
}

async fn assert_same_clock(
    job: &dyn Job,
    bounds: &RunBounds,
    began: Instant,
) -> Result<(), JobError> {
    let shown = job
        .preview(&Scope::All, &crate::job::Page::default())
        .await?;
    let apart = (shown.cutoff - bounds.cutoff).abs();
    // On a busy machine, the steps between the two readings take long.
    let elapsed = TimeDelta::from_std(began.elapsed()).unwrap_or(TimeDelta::MAX);
    assert!(
        apart <= LEAD.checked_add(&elapsed).unwrap_or(TimeDelta::MAX),
        "the cutoff of a preview is {}, that of a run {}",
        shown.cutoff,
        bounds.cutoff
    );
    Ok(())
}

/// Checks the forecast before a run. Returns warnings.
async fn assert_forecast(
    job: &dyn Job,
    bounds: &RunBounds,
    due: u64,
) -> Result<Vec<String>, JobError> {
    let forecast = job.forecast(&[]).await?;
    assert!(
        forecast.due.capped || forecast.due.count == due,
        "the forecast counts {} due rows, the preview lists {due}",
        forecast.due
    );
    let (overdue, wait) = (forecast.oldest_overdue, forecast.next_due);
    assert_eq!(
        overdue.is_some(),
        due > 0,
        "with {due} due rows, the oldest is overdue for {overdue:?}"
    );
    assert!(
        due == 0 || wait == Some(Duration::ZERO),
        "with {due} due rows, the next is due in {wait:?}"
    );
    let age = crate::time::since(bounds.now, bounds.cutoff);
    if age.is_zero() {
        return Ok(Vec::new());
    }
    match forecast.max_age {
        Some(max_age) => {
            assert!(
                max_age <= age + GRAIN,
                "max_age is {}, but rows fall due at an age of {}: new rows are handled late",
                span(max_age),
                span(age)
            );
            Ok(Vec::new())
        }
        None => Ok(vec![format!(
            "the forecast has no max_age, so a row created after a run waits for a tick; rows fall due at an age of {}",
            span(age)
        )]),
    }
}

/// Runs the job over all rows, and once more.
async fn assert_run(job: &dyn Job, limit: NonZeroU32) -> Result<Vec<String>, JobError> {
    let shown = ids(&preview(job, &Scope::All, limit).await?);
    let (handled, rejected) = run(job, &Scope::All, limit).await?;
    let done: BTreeSet<&String> = handled.iter().chain(&rejected).collect();
    assert_eq!(
        done,
        shown.iter().collect(),
        "a run (left) and the preview before it (right) differ"
    );
    assert_eq!(
        done.len(),
        handled.len() + rejected.len(),
        "a run handled a row twice: {handled:?} {rejected:?}"
    );

    let left: BTreeSet<String> = ids(&preview(job, &Scope::All, limit).await?)
        .into_iter()
        .collect();
    assert_eq!(
        left,
        rejected.iter().cloned().collect(),
        "a run left due rows (left) that it did not reject (right)"
    );
    let forecast = job.forecast(&rejected).await?;
    assert_eq!(forecast.due.count, 0, "rejected rows count as due");
    assert_ne!(
        forecast.next_due,
        Some(Duration::ZERO),
        "the next row is due at once, after a run"
    );
    let (again, _) = run(job, &Scope::All, limit).await?;
    assert_eq!(again, [""; 0], "a second run handled rows again");
    Ok(handled)
}

/// The maximum lead of a clock, and the maximum difference between two readings of it.
const LEAD: TimeDelta = TimeDelta::seconds(10);

/// The coarsest unit of instants in tables.
const GRAIN: Duration = Duration::from_secs(1);
