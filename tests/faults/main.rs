//! Bad days: crashes at every await of a run, and databases that fail, on real SQLite files and a
//! real Postgres.
//!
//! Without the feature `postgres`, or where Postgres is not installed, the half on SQLite runs, and
//! what was left out is said.

use std::error::Error;

mod crashes;
mod database;
mod deliveries;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod disk;
mod dropped_futures;
#[cfg(feature = "postgres")]
mod from_first_batch;
mod host;
#[cfg(feature = "postgres")]
mod in_doubt;
mod operations;
mod outages;
#[cfg(feature = "postgres")]
mod proxy;
mod statement_fault;
mod step_faults;

/// The result of a test.
type TestResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[cfg(not(feature = "postgres"))]
#[test]
fn postgres_is_skipped_without_its_feature() {
    println!("left out: everything on Postgres, for want of the feature `postgres`");
}
