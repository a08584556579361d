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
//! | `metrics` | figures for a monitoring system: see the module `metrics` |
//! | `web` | module `web`: a live page and the same as JSON, a router for axum 0.8 |
//! | `testing` | a clock, a store in memory, faults and a private Postgres, for tests |
//!
//! # What it promises
//!
//! - **Effects.** Each row is handled exactly once, in one transaction with the rule checked in it, by however many replicas.
//! - **Answers.** Each question is answered exactly once: by a report of a run that began after it, or by a [`Refusal`]. Only a housekeeper that is
//!   itself killed or aborted answers nothing; ractor then closes the channel. (A plain `stop()` overtakes what is in the mailbox.) Ask with a limit
//!   (`call_t!`) all the same: a question that crosses a kill or a plain `stop()` in one instant can stay in the mailbox for as long as somebody
//!   holds a reference to the actor.
//! - **Events.** At most once and in order, within the process; a [`Subscriber`] that is too slow is told how many it missed.
//! - **Lateness.** At most the schedule's [`resolution`](Schedule::resolution), the time of the run, and any backoff.
//! - **Faults.** What can be expected of a database is [`Outcome::Failed`] and retried; a worker that dies is [`Outcome::Crashed`] and started again;
//!   what was committed stays and is counted, but for a batch that was in flight when its worker died.
//!
//! The README says what happens in each fault, and names the test that proves it.
//!
//! # The page
//!
//! With feature `web` a host nests a page in its axum application, to watch the housekeeper by and, if the host says so, to steer it. The module
//! `web` has the paths, the same as JSON, and what to know before it is put on a network.
//!
//! # Guides
//!
//! The module `guide` has one for each question that comes up after the first hour: embedding under a supervisor of your own, tables of your
//! own, Postgres and replicas, the pace, operating, testing your host, upgrading.
//!
//! # Traces
//!
//! For figures see the feature `metrics`.
//!
//! | span or field | what |
//! |---|---|
//! | `housekeeper.run` | a span for each run, with `job.name`, `run.id`, `run.trigger`, `run.scope` |
//! | `housekeeper.batch` | a span for each batch, with `batch.number`, `batch.limit` (rows) |
//! | `run.rows`, `run.batches`, `elapsed_ms` | on the event that ends a run: `info` if it changed rows, `debug` if not, `warn` if it failed |
//! | `restart.at`, `degraded.until` | on the event of a worker's death |
//! | `health.state` | on the event of a change of health: `warn` if it is worse, else `info` |

// Set by docs.rs, whose compiler is a nightly one.
#![cfg_attr(docsrs, feature(doc_cfg))]

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
#[cfg_attr(not(feature = "metrics"), path = "meter/off.rs")]
mod meter;
#[cfg(feature = "metrics")]
pub mod metrics;
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
#[cfg(feature = "web")]
pub mod web;

// Text only; a build without documentation has none of it.
#[cfg(any(doc, doctest))]
pub mod guide;

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
