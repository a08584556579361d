//! The rows in memory, and which of them are due.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::records::{MemoryBooking, MemorySession};
use crate::job::{BoundedCount, Cursor, JobName, Page, PreviewRow, PreviewRows, ReplicaPause};
use crate::model::RunRecord;

#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) sessions: BTreeMap<String, MemorySession>,
    /// The time of each user's last message.
    pub(super) wrote: BTreeMap<Uuid, DateTime<Utc>>,
    pub(super) bookings: BTreeMap<String, MemoryBooking>,
    pub(super) runs: Vec<RunRecord>,
    pub(super) pauses: BTreeMap<JobName, ReplicaPause>,
    /// The time at which each instance was last noted.
    pub(super) instances: BTreeMap<String, DateTime<Utc>>,
    pub(super) throttle: Duration,
}

impl Rows {
    pub(super) fn last_activity(&self, session: &MemorySession) -> DateTime<Utc> {
        let wrote = self.wrote.get(&session.user).copied();
        wrote.map_or(session.created_at, |wrote| wrote.max(session.created_at))
    }

    /// Returns idle sessions in the order of a run, with their cursors.
    pub(super) fn idle(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
    ) -> Vec<(Cursor, &MemorySession)> {
        let idle = self
            .sessions
            .values()
            .filter(|session| user.is_none_or(|user| session.user == user))
            .map(|session| (place(self.last_activity(session), &session.id), session))
            .filter(|(place, _)| place.since < cutoff);
        in_order(idle)
    }

    /// Returns overdue bookings in the order of a run, with their cursors.
    pub(super) fn overdue(
        &self,
        now: DateTime<Utc>,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
    ) -> Vec<(Cursor, &MemoryBooking)> {
        let overdue = self
            .bookings
            .values()
            .filter(|booking| user.is_none_or(|user| booking.user == user))
            .filter(|booking| booking.status == "Pending")
            .filter(|booking| booking.created_at < cutoff)
            .filter(|booking| booking.held_until.is_none_or(|held| held <= now))
            .map(|booking| (place(booking.created_at, &booking.id), booking));
        in_order(overdue)
    }
}

fn place(since: DateTime<Utc>, id: &str) -> Cursor {
    Cursor {
        since,
        id: id.to_owned(),
    }
}

fn in_order<Row>(rows: impl Iterator<Item = (Cursor, Row)>) -> Vec<(Cursor, Row)> {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows
}

/// Returns the next `limit` rows after a cursor, and the next cursor if more may follow.
pub(super) fn next_rows<Row>(
    rows: Vec<(Cursor, Row)>,
    after: Option<&Cursor>,
    limit: u32,
) -> (Vec<(Cursor, Row)>, Option<Cursor>) {
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(place, _)| after.is_none_or(|after| place > after))
        .take(limit as usize)
        .collect();
    let next_cursor = rows.last().map(|(place, _)| place.clone());
    let full = rows.len() == limit as usize;
    (rows, next_cursor.filter(|_| full))
}

pub(super) fn page_of<Row>(
    cutoff: DateTime<Utc>,
    rows: Vec<(Cursor, Row)>,
    page: &Page,
    show: impl Fn(&Row, &Cursor) -> PreviewRow,
) -> PreviewRows {
    let last = rows.last().map(|(place, _)| place.clone());
    let due = BoundedCount::from_probe(rows.len() as u64);
    let size = page.size.get().min(Page::MAX_SIZE);
    let (rows, next_cursor) = next_rows(rows, page.after.as_ref(), size);
    PreviewRows {
        cutoff,
        rows: rows.iter().map(|(place, row)| show(row, place)).collect(),
        due,
        next: next_cursor.filter(|next| Some(next) != last.as_ref()),
    }
}

pub(super) fn counted_except<Row>(rows: &[(Cursor, Row)], rejected: &[String]) -> BoundedCount {
    let due = rows
        .iter()
        .filter(|(place, _)| !rejected.contains(&place.id));
    BoundedCount::from_probe(due.count() as u64)
}
