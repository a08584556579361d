//! Supervised housekeeping for [ractor](https://crates.io/crates/ractor) applications.
//!
//! A [`Housekeeper`] is an actor that a host embeds. It owns a timer and one worker for each job;
//! the host sends it [`HousekeeperMsg`]s and gets [`Report`]s, [`Preview`](job::Preview)s and [`Status`] back.
//! Two jobs come with it: [`SessionCleaner`](booking::SessionCleaner) deletes chat sessions that have been idle for long,
//! with their image and video records, and [`BookingExpirer`](booking::BookingExpirer) turns bookings that were left unpaid
//! into expired ones. Any other job is an implementation of [`Job`].
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
//! | `cron` | ticks by [`Cron`](config::Cron) expression in an IANA time zone, such as `30 2 * * *` in `Europe/Berlin` |
//! | `metrics` | figures for a monitoring system: see the module `metrics` |
//! | `web` | module `web`: a live page and the same as JSON, a router for axum 0.8 |
//! | `testing` | a clock, a store in memory, faults and a private Postgres, for tests |
//!
//! # What it promises
//!
//! - **Effects.** Each row is handled exactly once, in one transaction with the rule checked in it, by however many replicas.
//! - **Answers.** Each question is answered exactly once: by a report of a run that began after it, or by a [`RequestError`]. Only a housekeeper that is
//!   itself killed or aborted answers nothing; ractor then closes the channel. (A plain `stop()` overtakes what is in the mailbox.) Ask with a limit
//!   (`call_t!`) all the same: a question that crosses a kill or a plain `stop()` in one instant can stay in the mailbox for as long as somebody
//!   holds a reference to the actor.
//! - **Events.** At most once and in order, within the process; a [`Subscriber`] that is too slow is told how many it missed.
//! - **Lateness.** At most the schedule's [`min_interval`](config::Schedule::min_interval), the time of the run, and any backoff.
//! - **Faults.** What can be expected of a database is [`Outcome::Failed`] and retried; a worker that dies is [`Outcome::Crashed`] and started again;
//!   what was committed stays and is counted, but for a batch that was in flight when its worker died.
//!
//! `docs/guarantees.md` in the repository lists the faults, each with its behaviour and the test that proves it.
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

// Each room uses only those above it.
mod fmt;
pub mod time;

pub mod job;

pub mod config;
pub mod model;

#[cfg(not(feature = "metrics"))]
mod metrics;
#[cfg(feature = "metrics")]
pub mod metrics;

mod policy;

pub mod actors;

pub mod store;

pub mod booking;

#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "web")]
pub mod web;

// Text only; a build without documentation has none of it.
#[cfg(any(doc, doctest))]
pub mod guide;

pub use actors::{Housekeeper, HousekeeperArguments, HousekeeperMsg, Subscriber, start};
pub use config::HousekeeperConfig;
pub use job::{Job, JobName, Scope};
pub use model::{Outcome, Report, RequestError, Status};
#[cfg(feature = "postgres")]
pub use store::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteStore;

/// The code in the README compiles.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
