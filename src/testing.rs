//! Helpers for tests, a host's own included (feature `testing`).
//!
//! A clock to set, a store in memory that obeys the same two rules, faults on demand, a way to wait for news, and, with the feature
//! `postgres`, a private Postgres server.

mod clock;
mod faults;
mod memory;
#[cfg(all(feature = "postgres", unix))]
mod postgres;
mod waiting;

pub use clock::ManualClock;
pub use faults::{Fault, Faults, FaultyJob, Gate, Step};
pub use memory::{MemoryBooking, MemorySession, MemoryStore};
#[cfg(all(feature = "postgres", unix))]
pub use postgres::PrivatePostgres;
pub use waiting::{next_event, next_report};
