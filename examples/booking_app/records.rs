//! The application's access to its database.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ractor_housekeeper::HousekeeperArguments;
use ractor_housekeeper::actors::Destination;
use ractor_housekeeper::booking::BookingPolicy;
use uuid::Uuid;

use crate::Error;

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod sqlite;

#[async_trait]
pub(crate) trait Records: Send + Sync {
    /// The two jobs over these tables, with a history. Expired bookings go to the mailer.
    fn housekeeper(
        &self,
        policy: &BookingPolicy,
        mailer: Destination,
    ) -> Result<HousekeeperArguments, Error>;

    /// Opens a session and inserts the pictures and films sent in it.
    async fn open_session(&self, user: Uuid, media: Media) -> Result<Opened, Error>;

    /// Writes a message. Returns its time if the session exists in the same transaction.
    async fn write(&self, user: Uuid, session: &str) -> Result<Option<DateTime<Utc>>, Error>;

    /// Inserts a Pending booking. Returns its id.
    async fn book(&self, user: Uuid) -> Result<String, Error>;

    /// Keeps a Pending booking from expiring for a while. Returns whether it was still Pending.
    async fn hold(&self, booking: &str, hold: Duration) -> Result<bool, Error>;

    /// Confirms a Pending booking. Returns whether it was still Pending.
    async fn pay(&self, booking: &str) -> Result<bool, Error>;

    /// Reads the rows that the audit compares.
    async fn contents(&self) -> Result<Contents, Error>;
}

/// Records sent in a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Media {
    pub(crate) images: usize,
    pub(crate) videos: usize,
}

#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) at: DateTime<Utc>,
}

/// The rows of all tables.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) bookings: Vec<Booking>,
    pub(crate) sessions: Vec<String>,
    /// The session of each image record.
    pub(crate) images: Vec<String>,
    /// The session of each video record.
    pub(crate) videos: Vec<String>,
    pub(crate) deletions: Vec<Deletion>,
}

#[derive(Debug)]
pub(crate) struct Booking {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) held_until: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A deleted session, as the application's trigger recorded it.
#[derive(Debug)]
pub(crate) struct Deletion {
    pub(crate) session: String,
    pub(crate) at: DateTime<Utc>,
}

impl Contents {
    pub(crate) fn expired(&self) -> usize {
        let expired = |booking: &&Booking| booking.status == "Expired";
        self.bookings.iter().filter(expired).count()
    }

    pub(crate) fn pending(&self) -> usize {
        let pending = |booking: &&Booking| booking.status == "Pending";
        self.bookings.iter().filter(pending).count()
    }
}
