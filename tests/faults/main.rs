//! Bad days: crashes at every await of a run, and databases that fail, on real SQLite files and a real Postgres.
//!
//! Without the feature `postgres`, or where Postgres is not installed, the half on SQLite runs, and what was left out is said.

use std::error::Error;

mod crashes;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod disk;
mod ground;
mod host;
#[cfg(feature = "postgres")]
mod late;
mod outages;
mod polls;
mod steps;
mod traps;
mod tripwire;
#[cfg(feature = "postgres")]
mod wire;

/// What a test ends with.
type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[cfg(not(feature = "postgres"))]
#[test]
fn postgres_is_skipped_without_its_feature() {
    println!("left out: everything on Postgres, for want of the feature `postgres`");
}
