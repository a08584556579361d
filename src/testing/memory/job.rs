//! The jobs of the two built-in rules, in plain Rust.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::rows::{counted_except, next_rows, page_of};
use super::{MemorySession, MemoryStore};
use crate::job::{
    Batch, BatchRequest, Forecast, Job, JobError, JobName, Page, PreviewRow, PreviewRows,
    RunBounds, Scope,
};
use crate::rule::{Rule, RuleError};
use crate::store::StoreError;

/// One of the two rules.
pub(super) struct MemoryJob {
    store: MemoryStore,
    name: JobName,
    age: Duration,
    of_sessions: bool,
}

impl MemoryJob {
    pub(super) fn new(store: MemoryStore, rule: &Rule) -> Result<Self, RuleError> {
        rule.validate()?;
        let of_sessions = match rule.table() {
            "sessions" => true,
            "bookings" => false,
            table => {
                return Err(RuleError {
                    rule: rule.name().to_owned(),
                    part: "table".to_owned(),
                    problem: format!(
                        "a store in memory has `sessions` and `bookings`, and no `{table}`"
                    ),
                });
            }
        };
        Ok(Self {
            store,
            name: JobName::from(rule.name().to_owned()),
            age: rule
                .due
                .as_ref()
                .and_then(|due| due.after)
                .unwrap_or_default(),
            of_sessions,
        })
    }

    fn delete_idle_sessions(&self, request: &BatchRequest) -> Result<Batch, uuid::Error> {
        let user = request.scope.user_id()?;
        let mut rows = self.store.rows();
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

    fn expire_bookings(&self, request: &BatchRequest) -> Result<Batch, uuid::Error> {
        let user = request.scope.user_id()?;
        let mut rows = self.store.rows();
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

    fn idle_sessions(&self, cutoff: DateTime<Utc>, user: Option<Uuid>, page: &Page) -> PreviewRows {
        let rows = self.store.rows();
        page_of(cutoff, rows.idle(cutoff, user), page, |session, place| {
            PreviewRow {
                id: session.id.clone(),
                user: Some(session.user.to_string()),
                since: place.since,
                details: BTreeMap::from([
                    ("image_records".to_owned(), session.images.to_string()),
                    ("video_records".to_owned(), session.videos.to_string()),
                ]),
            }
        })
    }

    fn overdue_bookings(&self, bounds: &RunBounds, user: Option<Uuid>, page: &Page) -> PreviewRows {
        let rows = self.store.rows();
        page_of(
            bounds.cutoff,
            rows.overdue(bounds.now, bounds.cutoff, user),
            page,
            |booking, place| PreviewRow {
                id: booking.id.clone(),
                user: Some(booking.user.to_string()),
                since: place.since,
                details: BTreeMap::new(),
            },
        )
    }

    fn session_forecast(&self, now: DateTime<Utc>, rejected: &[String]) -> Forecast {
        let rows = self.store.rows();
        let oldest = rows
            .sessions
            .values()
            .filter(|session| !rejected.contains(&session.id))
            .map(|session| rows.last_activity(session))
            .min();
        let idle = rows.idle(crate::time::before(now, self.age), None);
        let due = counted_except(&idle, rejected);
        Forecast {
            due,
            oldest_overdue: oldest
                .filter(|_| due.count > 0)
                .map(|oldest| crate::time::since(now, crate::time::after(oldest, self.age))),
            next_due: oldest.map(|oldest| {
                crate::time::until(now, crate::time::strictly_after(oldest, self.age))
            }),
            max_age: Some(self.age),
        }
    }

    fn booking_forecast(&self, now: DateTime<Utc>, rejected: &[String]) -> Forecast {
        let rows = self.store.rows();
        let overdue = rows.overdue(now, crate::time::before(now, self.age), None);
        let next = rows
            .bookings
            .values()
            .filter(|booking| booking.status == "Pending" && !rejected.contains(&booking.id))
            .map(|booking| {
                let aged = crate::time::strictly_after(booking.created_at, self.age);
                booking.held_until.map_or(aged, |held| aged.max(held))
            })
            .min();
        let due_since = overdue
            .iter()
            .filter(|(place, _)| !rejected.contains(&place.id))
            .map(|(_, booking)| {
                let aged = crate::time::after(booking.created_at, self.age);
                booking.held_until.map_or(aged, |held| aged.max(held))
            })
            .min();
        Forecast {
            due: counted_except(&overdue, rejected),
            oldest_overdue: due_since.map(|due| crate::time::since(now, due)),
            next_due: next.map(|due| crate::time::until(now, due)),
            max_age: Some(self.age),
        }
    }

    fn bounds(&self) -> RunBounds {
        let now = self.store.instant();
        let cutoff = crate::time::before(now, self.age);
        RunBounds::new(now, cutoff)
    }
}

#[async_trait]
impl Job for MemoryJob {
    fn name(&self) -> JobName {
        self.name.clone()
    }

    fn is_irreversible(&self) -> bool {
        self.of_sessions
    }

    async fn check(&self) -> Result<(), JobError> {
        let throttle = self.store.rows().throttle;
        match StoreError::throttle_problem(self.age, throttle).filter(|_| self.of_sessions) {
            Some(problem) => Err(StoreError::Schema(problem).into()),
            None => Ok(()),
        }
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let pause = self.store.rows().pauses.get(&self.name).cloned();
        Ok(self.bounds().with_pause(pause))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        Ok(if self.of_sessions {
            self.delete_idle_sessions(request)?
        } else {
            self.expire_bookings(request)?
        })
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let (bounds, user) = (self.bounds(), scope.user_id()?);
        Ok(if self.of_sessions {
            self.idle_sessions(bounds.cutoff, user, page)
        } else {
            self.overdue_bookings(&bounds, user, page)
        })
    }

    async fn forecast(&self, rejected: &[String]) -> Result<Forecast, JobError> {
        let now = self.store.instant();
        Ok(if self.of_sessions {
            self.session_forecast(now, rejected)
        } else {
            self.booking_forecast(now, rejected)
        })
    }
}
