//! Tables that others designed, each cleaned by a declared rule of at most twelve lines, under one
//! suite.
//!
//! `postgres.sql` and `sqlite.sql` hold the facts of the public schemas: names, types, keys and
//! indexes as their projects have them.

#![cfg(feature = "testing")]

use ractor_housekeeper::Scope;
use ractor_housekeeper::job::{BatchRequest, RunBounds};

mod activity;
mod advice;
#[cfg(all(feature = "postgres", unix))]
mod contention;
#[cfg(feature = "postgres")]
mod cost;
#[cfg(feature = "postgres")]
mod demands;
mod endings;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod failing_rows;
mod findings;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod handed_on;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod handed_whole;
#[cfg(feature = "sqlite")]
mod housekeeper;
mod indexes;
mod model;
mod odd;
mod own_tables;
#[cfg(feature = "postgres")]
mod parts;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod queues;
mod rules;

#[cfg(all(feature = "postgres", unix))]
mod servers;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "postgres")]
mod strange;
#[cfg(feature = "sqlite")]
mod strange_sqlite;
#[cfg(feature = "postgres")]
mod trouble;
mod units;

/// The first batch of a run over all rows.
pub(crate) fn first_batch(bounds: &RunBounds, limit: u32) -> BatchRequest {
    BatchRequest {
        scope: Scope::All,
        now: bounds.now,
        cutoff: bounds.cutoff,
        limit: limit.try_into().expect("is not zero"),
        after: None,
    }
}
