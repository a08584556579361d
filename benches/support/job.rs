//! The two jobs that benches measure.

use std::sync::Arc;
use std::time::Duration;

use ractor_housekeeper::booking::{BookingExpirer, SessionCleaner};
use ractor_housekeeper::config::Pace;
use ractor_housekeeper::store::Store;
use ractor_housekeeper::{HousekeeperArguments, HousekeeperConfig, HousekeeperRef, JobName, start};

use super::Result;
use super::database::{Database, Kind};

/// One of the two jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    Bookings,
    Sessions,
}

impl Job {
    pub(crate) const ALL: [Self; 2] = [Self::Bookings, Self::Sessions];

    /// The kind of its rows in reports.
    pub(crate) fn rows(self) -> &'static str {
        match self {
            Self::Bookings => "bookings",
            Self::Sessions => "sessions",
        }
    }

    pub(crate) fn name(self) -> JobName {
        match self {
            Self::Bookings => BookingExpirer::NAME,
            Self::Sessions => SessionCleaner::NAME,
        }
    }

    pub(crate) fn over(self, store: Arc<dyn Store>) -> Result<Arc<dyn ractor_housekeeper::Job>> {
        Ok(match self {
            Self::Bookings => Arc::new(BookingExpirer::new(store, Some(AGE))?),
            Self::Sessions => Arc::new(SessionCleaner::new(store, Some(AGE))?),
        })
    }

    /// All due rows in one statement.
    pub(crate) fn one_statement(self, database: &Database) -> String {
        let (now, old) = clock(database);
        match self {
            Self::Bookings => format!(
                "update bookings set status = 'Expired', updated_at = {now} where status = 'Pending' and created_at < {old} \
                 and (held_until is null or held_until <= {now})"
            ),
            Self::Sessions => {
                format!("delete from sessions where coalesce(last_activity_at, created_at) < {old}")
            }
        }
    }
}

/// The database's expressions of now and of [`AGE`] ago.
pub(crate) fn clock(database: &Database) -> (&'static str, &'static str) {
    match database.kind {
        Kind::Postgres { .. } => ("now()", "now() - interval '1 day'"),
        Kind::Sqlite { .. } => (
            "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')",
            "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 day')",
        ),
    }
}

/// Starts a housekeeper whose one job runs by messages only.
pub(crate) async fn start_manual(
    job: Arc<dyn ractor_housekeeper::Job>,
    pace: Pace,
) -> Result<HousekeeperRef> {
    let mut config = HousekeeperConfig::default();
    config.job.schedule.at_start = false;
    config.job.schedule.at_deadline = false;
    config.job.schedule.every = None;
    config.job.pace = pace;
    let arguments = HousekeeperArguments::new(vec![job]).with_config(config);
    let housekeeper = start(None, arguments).await?.housekeeper;
    // A backlog takes longer than the default timeout of a call.
    Ok(housekeeper.with_timeout(Duration::from_secs(60 * 60)))
}

/// Age at which a row of either job is due.
pub(crate) const AGE: Duration = Duration::from_secs(24 * 60 * 60);
