//! Supervised housekeeping for [ractor](https://crates.io/crates/ractor) applications.
//!
//! A [`Housekeeper`] is an actor that a host embeds. It owns a timer and one worker for each job; the host sends it [`HousekeeperMsg`]s and gets
//! [`Report`]s, [`Preview`]s and [`Status`] back. Two jobs come with it: [`SessionCleaner`] deletes chat sessions that have been idle for long, with
//! their image and video records, and [`BookingExpirer`] turns bookings that were left unpaid into expired ones. Any other job is an
//! implementation of [`Job`].
//!
//! ```no_run
#![doc = include_str!("../examples/quick_start.rs")]
//! ```
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `sqlite` (default) | `SqliteStore`; SQLite itself is built in |
//! | `postgres` | `PostgresStore`; needs no libpq |
//! | `cron` | ticks by [`Cron`] expression in an IANA time zone, such as `30 2 * * *` in `Europe/Berlin` |
//! | `testing` | a clock, a store in memory, faults and a private Postgres, for tests |
//!
//! # What it promises
//!
//! - **Effects.** Each row is handled exactly once, in one transaction with the rule checked in it, by however many replicas.
//! - **Answers.** Each question is answered exactly once: by a report of a run that began after it, or by a [`Refusal`]. Only a housekeeper that is
//!   itself killed or aborted answers nothing; ractor then closes the channel. (A plain `stop()` overtakes what is in the mailbox.)
//! - **Events.** At most once and in order, within the process; a [`Subscriber`] that is too slow is told how many it missed.
//! - **Lateness.** At most the schedule's [`resolution`](Schedule::resolution), the time of the run, and any backoff.
//! - **Faults.** What can be expected of a database is [`Outcome::Failed`] and retried; a worker that dies is [`Outcome::Crashed`] and started again;
//!   what was committed stays and is counted, but for a batch that was in flight when its worker died.
//!
//! The README says what happens in each fault, and names the test that proves it.
//!
//! # Traces
//!
//! | span or field | what |
//! |---|---|
//! | `housekeeper.run` | a span for each run, with `job.name`, `run.id`, `run.trigger`, `run.scope` |
//! | `housekeeper.batch` | a span for each batch, with `batch.number`, `batch.limit` (rows) |
//! | `run.rows`, `run.batches`, `elapsed_ms` | on the event that ends a run: `info` if it changed rows, `debug` if not, `warn` if it failed |
//! | `restart.at`, `degraded.until` | on the event of a worker's death |

// Reading order: what a job is, what it says, when it runs, who runs it, where the rows are.
mod batch;
mod job;
mod outlook;
mod preview;
mod report;

mod config;
mod cron;
mod event;
mod health;
mod history;
mod refusal;
mod status;

mod clock;
mod guard;
mod pace;
mod queue;
mod restart;
mod run;
mod schedule;

mod start;
mod step;
mod supervisor;
mod text;
mod timer;
mod worker;

mod jobs;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, Counts, Cursor, Pass, Scope, SetAside, Window};
pub use clock::{Clock, SystemClock};
pub use config::{
    Ages, BackoffConfig, Beyond, ConfigError, HousekeeperConfig, JobConfig, KeptConfig,
    RestartConfig, Schedule,
};
pub use cron::Cron;
pub use event::{Event, News, Subscriber};
pub use health::Health;
pub use history::{History, HistorySource, RunRecord};
pub use job::{Job, JobError, JobName};
pub use jobs::{BookingExpirer, SessionCleaner, built_in};
pub use outlook::{Capped, Outlook};
pub use pace::Pace;
pub use preview::{Page, Preview, PreviewRow, PreviewRows};
pub use refusal::Refusal;
pub use report::{Outcome, Report, RunId, Trigger};
pub use start::{NotRunning, StartError, Started, start, status, stop, unanswered};
pub use status::{CurrentRun, JobStatus, Life, NextRun, Status, WorkerStatus};
#[cfg(feature = "postgres")]
pub use store::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteStore;
pub use store::{RunHistory, Store, StoreError};
pub use supervisor::{Housekeeper, HousekeeperArguments, HousekeeperMsg};

/// The code in the README compiles.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
