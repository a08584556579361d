//! The store in memory: the two rules in plain Rust, for tests that need no SQL, and as the model the databases are compared with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::batch::{Batch, Cursor, Pass};
use crate::clock::{Clock, SystemClock};
use crate::history::RunRecord;
use crate::job::JobName;
use crate::outlook::{Capped, Outlook};
use crate::preview::{Page, PreviewRow, PreviewRows};
use crate::store::{RunHistory, Store, StoreError, span, user_of};

/// A chat session of a [`MemoryStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemorySession {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: Uuid,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// Images sent in it.
    pub images: u64,
    /// Videos sent in it.
    pub videos: u64,
}

/// A booking of a [`MemoryStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBooking {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: Uuid,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Its status, such as `Pending`.
    pub status: String,
    /// Until when a payment in flight keeps it from expiring.
    pub held_until: Option<DateTime<Utc>>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl MemoryBooking {
    /// A Pending booking that is not held.
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

/// The booking schema in memory. Clones share their rows.
///
/// It obeys the rules of [`Store`] to the microsecond and keeps a history, but nothing in it is ever locked or refused.
///
/// # Examples
///
/// ```
/// use ractor_housekeeper::testing::{MemoryBooking, MemoryStore};
///
/// let store = MemoryStore::new();
/// store.add_booking(MemoryBooking::pending("b1", uuid::Uuid::nil(), chrono::Utc::now()));
///
/// assert_eq!(store.bookings()[0].status, "Pending");
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Rows {
    sessions: BTreeMap<String, MemorySession>,
    /// User, sender, instant.
    messages: Vec<(Uuid, String, DateTime<Utc>)>,
    bookings: BTreeMap<String, MemoryBooking>,
    runs: Vec<RunRecord>,
    throttle: Duration,
}

impl MemoryStore {
    /// An empty store on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the time from another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a session, or replaces the one of this id.
    pub fn add_session(&self, id: impl Into<String>, user: Uuid, created_at: DateTime<Utc>) {
        let id = id.into();
        let session = MemorySession {
            id: id.clone(),
            user,
            created_at: created_at.trunc_subsecs(6),
            images: 0,
            videos: 0,
        };
        self.rows().sessions.insert(id, session);
    }

    /// Adds a message. Only one whose sender is `user` is activity.
    pub fn add_message(&self, user: Uuid, sender: impl Into<String>, at: DateTime<Utc>) {
        let message = (user, sender.into(), at.trunc_subsecs(6));
        self.rows().messages.push(message);
    }

    /// Adds the record of an image sent. A session that is not there gets none.
    pub fn add_image(&self, session: &str) {
        if let Some(session) = self.rows().sessions.get_mut(session) {
            session.images += 1;
        }
    }

    /// Adds the record of a video sent. A session that is not there gets none.
    pub fn add_video(&self, session: &str) {
        if let Some(session) = self.rows().sessions.get_mut(session) {
            session.videos += 1;
        }
    }

    /// Adds a booking, or replaces the one of this id.
    pub fn add_booking(&self, booking: MemoryBooking) {
        let booking = MemoryBooking {
            created_at: booking.created_at.trunc_subsecs(6),
            held_until: booking.held_until.map(|held| held.trunc_subsecs(6)),
            ..booking
        };
        self.rows().bookings.insert(booking.id.clone(), booking);
    }

    /// The sessions, by id.
    #[must_use]
    pub fn sessions(&self) -> Vec<MemorySession> {
        self.rows().sessions.values().cloned().collect()
    }

    /// The bookings, by id.
    #[must_use]
    pub fn bookings(&self) -> Vec<MemoryBooking> {
        self.rows().bookings.values().cloned().collect()
    }

    /// Sets what [`Store::activity_throttle`] answers. Rows here are never behind.
    pub fn set_activity_throttle(&self, throttle: Duration) {
        self.rows().throttle = throttle;
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn instant(&self) -> DateTime<Utc> {
        self.clock.now().trunc_subsecs(6)
    }
}

impl Rows {
    fn last_activity(&self, session: &MemorySession) -> DateTime<Utc> {
        self.messages
            .iter()
            .filter(|(user, sender, _)| *user == session.user && sender == "user")
            .map(|(_, _, at)| *at)
            .fold(session.created_at, DateTime::max)
    }

    /// Idle sessions in the order they are handled, each with its place.
    fn idle(&self, cutoff: DateTime<Utc>, user: Option<Uuid>) -> Vec<(Cursor, &MemorySession)> {
        let idle = self
            .sessions
            .values()
            .filter(|session| user.is_none_or(|user| session.user == user))
            .map(|session| (place(self.last_activity(session), &session.id), session))
            .filter(|(place, _)| place.since < cutoff);
        in_order(idle)
    }

    /// Overdue bookings in the order they are handled, each with its place.
    fn overdue(
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

/// The next `limit` rows behind `after`, and where they end if more may follow.
fn next_rows<Row>(
    rows: Vec<(Cursor, Row)>,
    after: Option<&Cursor>,
    limit: u32,
) -> (Vec<(Cursor, Row)>, Option<Cursor>) {
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(place, _)| after.is_none_or(|after| place > after))
        .take(limit as usize)
        .collect();
    let reached = rows.last().map(|(place, _)| place.clone());
    let full = rows.len() == limit as usize;
    (rows, reached.filter(|_| full))
}

fn page_of<Row>(
    cutoff: DateTime<Utc>,
    rows: Vec<(Cursor, Row)>,
    page: &Page,
    show: impl Fn(&Row, &Cursor) -> PreviewRow,
) -> PreviewRows {
    let last = rows.last().map(|(place, _)| place.clone());
    let due = Capped::from_probe(rows.len() as u64);
    let size = page.size.get().min(Page::MAX_SIZE);
    let (rows, reached) = next_rows(rows, page.after.as_ref(), size);
    PreviewRows {
        cutoff,
        rows: rows.iter().map(|(place, row)| show(row, place)).collect(),
        due,
        next: reached.filter(|reached| Some(reached) != last.as_ref()),
    }
}

fn counted_except<Row>(rows: &[(Cursor, Row)], set_aside: &[String]) -> Capped {
    let due = rows
        .iter()
        .filter(|(place, _)| !set_aside.contains(&place.id));
    Capped::from_probe(due.count() as u64)
}

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
        for run in runs {
            let same = rows.runs.iter().position(|earlier| earlier.key == run.key);
            let folded = match same {
                Some(place) => rows.runs.swap_remove(place).fold(run.clone()),
                None => run.clone(),
            };
            rows.runs.push(folded);
        }
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

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            rows: Arc::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}
