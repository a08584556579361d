//! The rows of a store in memory.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A chat session of a [`MemoryStore`](super::MemoryStore).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemorySession {
    /// The id.
    pub id: String,
    /// The user that it belongs to.
    pub user: Uuid,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Number of images sent.
    pub images: u64,
    /// Number of videos sent.
    pub videos: u64,
}

/// A booking of a [`MemoryStore`](super::MemoryStore).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBooking {
    /// The id.
    pub id: String,
    /// The user that it belongs to.
    pub user: Uuid,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// The status, such as `Pending`.
    pub status: String,
    /// The end of the hold of a payment in flight.
    pub held_until: Option<DateTime<Utc>>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl MemoryBooking {
    /// Creates a `Pending` booking without a hold.
    #[must_use]
    pub fn pending(id: impl Into<String>, user: Uuid, created_at: DateTime<Utc>) -> Self {
        Self {
            id: id.into(),
            user,
            created_at,
            status: "Pending".to_owned(),
            held_until: None,
            updated_at: created_at,
        }
    }
}
