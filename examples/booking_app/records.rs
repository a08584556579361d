//! The application's access to its database.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use ractor_housekeeper::HousekeeperArguments;
use ractor_housekeeper::booking::BookingPolicy;
use uuid::Uuid;

use crate::Error;

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod sqlite;

#[async_trait]
pub(crate) trait Records: Send + Sync {
    /// The two built-in jobs over these tables, and where their runs are kept.
    fn housekeeper(&self, ages: &BookingPolicy) -> Result<HousekeeperArguments, Error>;

    /// Opens a session and notes the pictures and films that were sent in it.
    async fn open_session(&self, user: Uuid, media: Media) -> Result<Opened, Error>;

    /// Writes a message and tells its time if, in the same transaction, the session is there.
    async fn write(&self, user: Uuid, session: &str) -> Result<Option<DateTime<Utc>>, Error>;

    /// Makes a Pending booking and tells its id.
    async fn book(&self, user: Uuid) -> Result<String, Error>;

    /// Keeps a Pending booking from expiring for a while. Returns whether it was still Pending.
    async fn hold(&self, booking: &str, hold: Duration) -> Result<bool, Error>;

    /// Confirms a Pending booking. Returns whether it was still Pending.
    async fn pay(&self, booking: &str) -> Result<bool, Error>;

    /// Reads everything the balance needs.
    async fn stock(&self) -> Result<Stock, Error>;
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

/// What is in the tables.
#[derive(Debug)]
pub(crate) struct Stock {
    pub(crate) bookings: Vec<Booking>,
    pub(crate) sessions: Vec<String>,
    /// The session of each image record.
    pub(crate) images: Vec<String>,
    /// The session of each video record.
    pub(crate) videos: Vec<String>,
    pub(crate) departures: Vec<Departure>,
}

#[derive(Debug)]
pub(crate) struct Booking {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) held_until: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
}

/// A session that was deleted, as noted by a trigger of the application's.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(crate) session: String,
    pub(crate) at: DateTime<Utc>,
}

impl Stock {
    pub(crate) fn pending(&self) -> usize {
        let pending = |booking: &&Booking| booking.status == "Pending";
        self.bookings.iter().filter(pending).count()
    }
}
