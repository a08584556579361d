//! The guests' own record of what they did. The audit compares the tables with it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::records::{Media, Opened};

/// Shared by all guests.
#[derive(Default)]
pub(crate) struct GuestLog(Mutex<Entries>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Entries {
    pub(crate) sessions: HashMap<String, SessionEntry>,
    pub(crate) booked: HashSet<String>,
    pub(crate) paid: HashSet<String>,
    pub(crate) messages: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct SessionEntry {
    pub(crate) media: Media,
    /// When the guest last opened the session, or wrote and found it alive.
    pub(crate) last_activity: DateTime<Utc>,
}

impl GuestLog {
    pub(crate) fn entries(&self) -> Entries {
        self.lock().clone()
    }

    pub(crate) fn opened(&self, session: &Opened, media: Media) {
        let entry = SessionEntry {
            media,
            last_activity: session.at,
        };
        self.lock().sessions.insert(session.id.clone(), entry);
    }

    pub(crate) fn wrote(&self, session: &str, at: DateTime<Utc>) {
        let mut entries = self.lock();
        entries.messages += 1;
        if let Some(entry) = entries.sessions.get_mut(session) {
            entry.last_activity = entry.last_activity.max(at);
        }
    }

    pub(crate) fn booked(&self, booking: &str) {
        self.lock().booked.insert(booking.to_owned());
    }

    pub(crate) fn paid(&self, booking: &str) {
        self.lock().paid.insert(booking.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
