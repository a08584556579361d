//! Tables that others designed, each cleaned by a declared rule of at most twelve lines, under one
//! suite.
//!
//! `postgres.sql` and `sqlite.sql` hold the facts of the public schemas: names, types, keys and
//! indexes as their projects have them.

#![cfg(feature = "testing")]

mod activity;
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
mod trouble;
mod units;
