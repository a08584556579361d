//! The traits of a store, over rows in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::rows::{counted_except, next_rows, page_of};
use super::{MemorySession, MemoryStore};
use crate::job::{Batch, BatchRequest, Forecast, JobName, Page, PreviewRow, PreviewRows};
use crate::model::{RunHistory, RunRecord};
use crate::store::{Store, StoreError, user_of};

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

    async fn delete_idle_sessions(&self, request: &BatchRequest) -> Result<Batch, StoreError> {
        let user = user_of(&request.scope)?;
        let mut rows = self.rows();
        let idle = rows.idle(request.cutoff, user);
        let (idle, next_cursor) = next_rows(idle, request.after.as_ref(), request.limit.get());
        let ids: Vec<String> = idle.into_iter().map(|(place, _)| place.id).collect();
        let gone: Vec<MemorySession> = ids
            .iter()
            .filter_map(|id| rows.sessions.remove(id))
            .collect();
        let batch = Batch {
            ids,
            next_cursor,
            ..Batch::default()
        };
        Ok(batch
            .with_count("sessions", gone.len() as u64)
            .with_count("image_records", gone.iter().map(|gone| gone.images).sum())
            .with_count("video_records", gone.iter().map(|gone| gone.videos).sum()))
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

    async fn session_forecast(
        &self,
        idle_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let now = self.instant();
        let rows = self.rows();
        let oldest = rows
            .sessions
            .values()
            .filter(|session| !rejected.contains(&session.id))
            .map(|session| rows.last_activity(session))
            .min();
        let idle = rows.idle(crate::time::before(now, idle_after), None);
        let due = counted_except(&idle, rejected);
        Ok(Forecast {
            due,
            oldest_overdue: oldest
                .filter(|_| due.count > 0)
                .map(|oldest| crate::time::since(now, crate::time::after(oldest, idle_after))),
            next_due: oldest.map(|oldest| {
                crate::time::until(now, crate::time::strictly_after(oldest, idle_after))
            }),
            max_age: Some(idle_after),
        })
    }

    async fn expire_bookings(&self, request: &BatchRequest) -> Result<Batch, StoreError> {
        let user = user_of(&request.scope)?;
        let mut rows = self.rows();
        let overdue = rows.overdue(request.now, request.cutoff, user);
        let (overdue, next_cursor) =
            next_rows(overdue, request.after.as_ref(), request.limit.get());
        let ids: Vec<String> = overdue.into_iter().map(|(place, _)| place.id).collect();
        for id in &ids {
            if let Some(booking) = rows.bookings.get_mut(id) {
                "Expired".clone_into(&mut booking.status);
                booking.updated_at = request.now;
            }
        }
        let count = ids.len() as u64;
        let batch = Batch {
            ids,
            next_cursor,
            ..Batch::default()
        };
        Ok(batch.with_count("bookings", count))
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

    async fn booking_forecast(
        &self,
        expire_after: Duration,
        rejected: &[String],
    ) -> Result<Forecast, StoreError> {
        let now = self.instant();
        let rows = self.rows();
        let overdue = rows.overdue(now, crate::time::before(now, expire_after), None);
        let next = rows
            .bookings
            .values()
            .filter(|booking| booking.status == "Pending" && !rejected.contains(&booking.id))
            .map(|booking| {
                let aged = crate::time::strictly_after(booking.created_at, expire_after);
                booking.held_until.map_or(aged, |held| aged.max(held))
            })
            .min();
        let due_since = overdue
            .iter()
            .filter(|(place, _)| !rejected.contains(&place.id))
            .map(|(_, booking)| {
                let aged = crate::time::after(booking.created_at, expire_after);
                booking.held_until.map_or(aged, |held| aged.max(held))
            })
            .min();
        Ok(Forecast {
            due: counted_except(&overdue, rejected),
            oldest_overdue: due_since.map(|due| crate::time::since(now, due)),
            next_due: next.map(|due| crate::time::until(now, due)),
            max_age: Some(expire_after),
        })
    }
}

#[async_trait]
impl RunHistory for MemoryStore {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let saved = rows.runs.len();
        RunRecord::fold_into(&mut rows.runs, runs);
        let mut new = rows.runs.split_off(saved);
        new.sort_by(|one, other| {
            let newest_first = other.report.started_at.cmp(&one.report.started_at);
            newest_first.then_with(|| other.key.cmp(&one.key))
        });
        rows.runs.splice(0..0, new);
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
