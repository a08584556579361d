//! A snapshot that keeps deleted rows.

use std::time::Duration;

/// A snapshot of the database, which keeps rows that were deleted since it was taken: vacuum cannot
/// remove them, and every look walks past them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OldSnapshot {
    /// The holder, such as `backend 4711 (psql, idle in transaction)`.
    pub holder: String,
    /// How long it has been held.
    pub age: Duration,
}

impl OldSnapshot {
    /// Creates a snapshot.
    #[must_use]
    pub fn new(holder: impl Into<String>, age: Duration) -> Self {
        Self {
            holder: holder.into(),
            age,
        }
    }
}
