//! The traits of a store, over rows in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::rows::{counted_except, next_rows, page_of};
use super::{MemorySession, MemoryStore};
use crate::batch::{Batch, Pass};
use crate::history::RunRecord;
use crate::job::JobName;
use crate::outlook::Outlook;
use crate::preview::{Page, PreviewRow, PreviewRows};
use crate::store::{RunHistory, Store, StoreError, span, user_of};

#[async_trait]
impl Store for MemoryStore {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.instant())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn activity_throttle(&self) -> Result<Duration, StoreError> {
        Ok(self.rows().throttle)
    }

    async fn delete_idle_sessions(&self, pass: &Pass) -> Result<Batch, StoreError> {
        let user = user_of(&pass.scope)?;
        let mut rows = self.rows();
        let idle = rows.idle(pass.cutoff, user);
        let (idle, reached) = next_rows(idle, pass.after.as_ref(), pass.limit.get());
        let ids: Vec<String> = idle.into_iter().map(|(place, _)| place.id).collect();
        let gone: Vec<MemorySession> = ids
            .iter()
            .filter_map(|id| rows.sessions.remove(id))
            .collect();
        let batch = Batch {
            ids,
            reached,
            ..Batch::default()
        };
        Ok(batch
            .counted("sessions", gone.len() as u64)
            .counted("image_records", gone.iter().map(|gone| gone.images).sum())
            .counted("video_records", gone.iter().map(|gone| gone.videos).sum()))
    }

    async fn idle_sessions(
        &self,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError> {
        let rows = self.rows();
        Ok(page_of(
            cutoff,
            rows.idle(cutoff, user),
            page,
            |session, place| PreviewRow {
                id: session.id.clone(),
                user: Some(session.user.to_string()),
                since: place.since,
                details: BTreeMap::from([
                    ("image_records".to_owned(), session.images.to_string()),
                    ("video_records".to_owned(), session.videos.to_string()),
                ]),
            },
        ))
    }

    async fn session_outlook(
        &self,
        idle_after: Duration,
        set_aside: &[String],
    ) -> Result<Outlook, StoreError> {
        let now = self.instant();
        let rows = self.rows();
        let oldest = rows
            .sessions
            .values()
            .filter(|session| !set_aside.contains(&session.id))
            .map(|session| rows.last_activity(session))
            .min();
        let idle = rows.idle(span::before(now, idle_after), None);
        let due = counted_except(&idle, set_aside);
        Ok(Outlook {
            due,
            oldest_overdue: oldest
                .filter(|_| due.count > 0)
                .map(|oldest| span::since(now, span::after(oldest, idle_after))),
            next_due: oldest
                .map(|oldest| span::until(now, span::strictly_after(oldest, idle_after))),
            age: Some(idle_after),
        })
    }

    async fn expire_bookings(&self, pass: &Pass) -> Result<Batch, StoreError> {
        let user = user_of(&pass.scope)?;
        let mut rows = self.rows();
        let overdue = rows.overdue(pass.now, pass.cutoff, user);
        let (overdue, reached) = next_rows(overdue, pass.after.as_ref(), pass.limit.get());
        let ids: Vec<String> = overdue.into_iter().map(|(place, _)| place.id).collect();
        for id in &ids {
            if let Some(booking) = rows.bookings.get_mut(id) {
                "Expired".clone_into(&mut booking.status);
                booking.updated_at = pass.now;
            }
        }
        let count = ids.len() as u64;
        let batch = Batch {
            ids,
            reached,
            ..Batch::default()
        };
        Ok(batch.counted("bookings", count))
    }

    async fn overdue_bookings(
        &self,
        now: DateTime<Utc>,
        cutoff: DateTime<Utc>,
        user: Option<Uuid>,
        page: &Page,
    ) -> Result<PreviewRows, StoreError> {
        let rows = self.rows();
        Ok(page_of(
            cutoff,
            rows.overdue(now, cutoff, user),
            page,
            |booking, place| PreviewRow {
                id: booking.id.clone(),
                user: Some(booking.user.to_string()),
                since: place.since,
                details: BTreeMap::new(),
            },
        ))
    }

    async fn booking_outlook(
        &self,
        expire_after: Duration,
        set_aside: &[String],
    ) -> Result<Outlook, StoreError> {
        let now = self.instant();
        let rows = self.rows();
        let overdue = rows.overdue(now, span::before(now, expire_after), None);
        let next = rows
            .bookings
            .values()
            .filter(|booking| booking.status == "Pending" && !set_aside.contains(&booking.id))
            .map(|booking| {
                let aged = span::strictly_after(booking.created_at, expire_after);
                booking.held_until.map_or(aged, |held| aged.max(held))
            })
            .min();
        let due_since = overdue
            .iter()
            .filter(|(place, _)| !set_aside.contains(&place.id))
            .map(|(_, booking)| {
                let aged = span::after(booking.created_at, expire_after);
                booking.held_until.map_or(aged, |held| aged.max(held))
            })
            .min();
        Ok(Outlook {
            due: counted_except(&overdue, set_aside),
            oldest_overdue: due_since.map(|due| span::since(now, due)),
            next_due: next.map(|due| span::until(now, due)),
            age: Some(expire_after),
        })
    }
}

#[async_trait]
impl RunHistory for MemoryStore {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        let mut rows = self.rows();
        RunRecord::fold_into(&mut rows.runs, runs);
        rows.runs.sort_by(|one, other| {
            let newest_first = other.report.started_at.cmp(&one.report.started_at);
            newest_first.then_with(|| other.key.cmp(&one.key))
        });
        for run in runs {
            let mut kept = 0;
            rows.runs.retain(|earlier| {
                let of_job = earlier.report.job == run.report.job;
                kept += u32::from(of_job);
                !of_job || kept <= keep
            });
        }
        Ok(())
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let rows = self.rows();
        let of_job = rows.runs.iter().filter(|run| run.report.job == *job);
        Ok(of_job.take(limit as usize).cloned().collect())
    }
}
