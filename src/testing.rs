//! Helpers for tests, a host's own included (feature `testing`).
//!
//! A clock to set, a store in memory that obeys the same two rules, and, with the feature `postgres`, a private Postgres server.

mod clock;
mod memory;
#[cfg(all(feature = "postgres", unix))]
mod postgres;

pub use clock::ManualClock;
pub use memory::{MemoryBooking, MemorySession, MemoryStore};
#[cfg(all(feature = "postgres", unix))]
pub use postgres::PrivatePostgres;
