//! Deadline-driven database maintenance for [ractor](https://crates.io/crates/ractor): expire,
//! delete and archive rows on time, in small safe batches, supervised.
//!
//! A [`Housekeeper`] is an actor that a host embeds. It supervises a timer and one worker per job.
//! The host sends [`HousekeeperMsg`]s and receives [`Report`]s, [`Preview`](job::Preview)s and
//! [`Status`]. Implement [`Job`] for your own tables. The module [`booking`] has two built-in jobs:
//! [`SessionCleaner`](booking::SessionCleaner) deletes idle chat sessions with their image and
//! video records, and [`BookingExpirer`](booking::BookingExpirer) expires unpaid bookings.
//!
//! ```no_run
#![doc = include_str!("../examples/quick_start.rs")]
//! ```
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `sqlite` (default) | `SqliteStore`; SQLite is built in |
//! | `postgres` | `PostgresStore`, without libpq |
//! | `cron` | ticks by [`Cron`](config::Cron) expression in an IANA time zone, such as `30 2 * * *` in `Europe/Berlin` |
//! | `metrics` | counters, gauges and histograms: see the module `metrics` |
//! | `web` | a live page and the same answers as JSON, a router for axum 0.8: see the module `web` |
//! | `testing` | a clock, a store in memory, faults and a private Postgres, for tests |
//!
//! # Guarantees
//!
//! - **Effects.** Each row is handled exactly once, by any number of replicas, in one transaction
//!   that checks the rule.
//! - **Answers.** Each request is answered exactly once: by the report of a run that began after
//!   it, or by a [`RequestError`]. Only a housekeeper that is itself killed or aborted does not
//!   answer; ractor then closes the channel. (A plain `stop()` overtakes requests in the mailbox.)
//!   Use a timeout (`call_t!`): a request that crosses a kill or a plain `stop()` in the same
//!   instant can stay in the mailbox until the last reference to the actor is dropped.
//! - **Events.** At most once and in order, within the process. A [`Subscriber`] that is too slow
//!   receives the number of events it missed.
//! - **Lateness.** At most the schedule's [`min_interval`](config::Schedule::min_interval), the
//!   duration of the run, and any backoff.
//! - **Faults.** An expected database error is [`Outcome::Failed`] and retried. A worker's crash is
//!   [`Outcome::Crashed`], and the worker restarts. Committed work stays and is counted, but a
//!   batch in flight during a crash may commit unreported.
//!
//! `docs/guarantees.md` in the repository lists the faults, each with its behaviour and the test
//! that proves it.
//!
//! # The page
//!
//! With feature `web` a host nests a page in its axum application, to watch the housekeeper and, if
//! the host enables actions, to control it. The module `web` documents its paths, the JSON answers,
//! and the precautions before it is exposed on a network.
//!
//! # Guides
//!
//! The module `guide` covers embedding under your own supervisor, your own tables, deliveries,
//! Postgres and replicas, the pace, operating, testing your host, and upgrading.
//!
//! # Traces
//!
//! | span or field | content |
//! |---|---|
//! | `housekeeper.run` | a span for each run, with `job.name`, `run.id`, `run.trigger`, `run.scope` |
//! | `housekeeper.batch` | a span for each batch, with `batch.number`, `batch.limit` (rows) |
//! | `run.rows`, `run.batches`, `elapsed_ms` | on the event that ends a run: `info` if it changed rows, `debug` if not, `warn` if it failed |
//! | `restart.at`, `degraded.until` | on the event of a worker's crash |
//! | `health.state` | on the event of a change of health: `warn` if it is worse, else `info` |

// docs.rs sets this cfg and builds with a nightly compiler.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Each room uses only those above it.
mod fmt;
pub mod time;

pub mod job;
pub mod rule;

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

pub use actors::{
    Housekeeper, HousekeeperArguments, HousekeeperMsg, HousekeeperRef, Subscriber, start,
};
pub use config::HousekeeperConfig;
pub use job::{Job, JobName, Scope};
pub use model::{Outcome, Report, RequestError, Requester, Status};
#[cfg(feature = "postgres")]
pub use store::postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use store::sqlite::SqliteStore;

/// The code in the README compiles.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
struct Readme;
