//! `python-session-cleaner`: a session idle for too long goes, with its image and video records.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{self, exists, not};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use ractor_housekeeper::job::{
    Batch, BatchRequest, BoundedCount, Cursor, Forecast, JobError, Page, PreviewRow, PreviewRows,
    RunBounds,
};
use ractor_housekeeper::store::sqlite::Pool;
use ractor_housekeeper::{Job, JobName, Scope};
use uuid::Uuid;

use super::tables::{image_sent, messages, sessions, video_sent};
use super::{Condition, now, run};
use crate::walk::{capped, check_user, next_cursor, overdue_for, page_limit, paged, probe};

pub(crate) struct SessionCleaner {
    pool: Pool,
    idle_after: Duration,
}

impl SessionCleaner {
    pub(crate) fn new(pool: Pool, idle_after: Duration) -> Self {
        Self { pool, idle_after }
    }
}

#[async_trait]
impl Job for SessionCleaner {
    fn name(&self) -> JobName {
        JobName::new("python-session-cleaner")
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        check_user(scope)
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = now();
        Ok(RunBounds::new(now, now - self.idle_after))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let user = request.scope.user_id()?;
        let request = request.clone();
        run(&self.pool, move |conn| delete(conn, &request, user)).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let cutoff = now() - self.idle_after;
        let user = scope.user_id()?;
        let page = page.clone();
        run(&self.pool, move |conn| preview(conn, cutoff, user, &page)).await
    }

    async fn forecast(&self, _rejected: &[String]) -> Result<Forecast, JobError> {
        let idle_after = self.idle_after;
        run(&self.pool, move |conn| forecast(conn, idle_after)).await
    }
}

/// The rule. Whatever lists, counts or deletes sessions uses it.
///
/// Nothing in these tables tells when a session was last active, so each old session costs a look
/// at its user's messages. That suits some ten thousand sessions; beyond, keep the instant in the
/// session, as the crate's own schema does.
fn idle(cutoff: NaiveDateTime, user: Option<Uuid>) -> Condition<sessions::table> {
    let written_since = messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(messages::sender.eq("user"))
        .filter(messages::timestamp.ge(cutoff));
    let idle = sessions::created_at
        .lt(cutoff)
        .and(not(exists(written_since)));
    match user {
        None => Box::new(idle),
        Some(user) => Box::new(idle.and(sessions::user_id.eq(user.to_string()))),
    }
}

/// What lies behind a place in the order of creation and id.
fn behind(after: Option<&Cursor>) -> Condition<sessions::table> {
    match after {
        None => Box::new(true.into_sql::<Bool>()),
        Some(after) => {
            let since = after.since.naive_utc();
            let same = sessions::created_at.eq(since);
            let later_id = sessions::id.gt(after.id.clone());
            Box::new(sessions::created_at.gt(since).or(same.and(later_id)))
        }
    }
}

fn delete(
    conn: &mut SqliteConnection,
    request: &BatchRequest,
    user: Option<Uuid>,
) -> QueryResult<Batch> {
    let cutoff = request.cutoff.naive_utc();
    // Immediate: no guest writes a message between the look and the deletion.
    conn.immediate_transaction(|conn| {
        let picked: Vec<(String, NaiveDateTime)> = sessions::table
            .filter(idle(cutoff, user))
            .filter(behind(request.after.as_ref()))
            .order((sessions::created_at, sessions::id))
            .limit(request.limit.get().into())
            .select((sessions::id, sessions::created_at))
            .load(conn)?;
        let next_cursor = next_cursor(&picked, request);
        let ids: Vec<String> = picked.into_iter().map(|(id, _)| id).collect();
        let images = diesel::delete(image_sent::table)
            .filter(image_sent::session_id.eq_any(&ids))
            .execute(conn)?;
        let videos = diesel::delete(video_sent::table)
            .filter(video_sent::session_id.eq_any(&ids))
            .execute(conn)?;
        let gone = diesel::delete(sessions::table)
            .filter(sessions::id.eq_any(&ids))
            .filter(idle(cutoff, user))
            .execute(conn)?;
        let batch = Batch::new(ids, next_cursor);
        Ok(batch
            .with_count("sessions", gone as u64)
            .with_count("image_records", images as u64)
            .with_count("video_records", videos as u64))
    })
}

fn preview(
    conn: &mut SqliteConnection,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    let found = list(conn, cutoff.naive_utc(), user, page)?;
    let (rows, next) = paged(found, page);
    Ok(PreviewRows::new(
        cutoff,
        rows,
        count(conn, cutoff.naive_utc(), user)?,
        next,
    ))
}

fn list(
    conn: &mut SqliteConnection,
    cutoff: NaiveDateTime,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<Vec<(Cursor, PreviewRow)>> {
    let images = image_sent::table
        .filter(image_sent::session_id.eq(sessions::id))
        .count();
    let videos = video_sent::table
        .filter(video_sent::session_id.eq(sessions::id))
        .count();
    let found: Vec<Found> = sessions::table
        .filter(idle(cutoff, user))
        .filter(behind(page.after.as_ref()))
        .order((sessions::created_at, sessions::id))
        .limit(page_limit(page))
        .select((
            sessions::id,
            sessions::user_id,
            sessions::created_at,
            newest_message().single_value(),
            images.single_value(),
            videos.single_value(),
        ))
        .load(conn)?;
    Ok(found.into_iter().map(preview_row).collect())
}

#[dsl::auto_type]
fn newest_message() -> _ {
    messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(messages::sender.eq("user"))
        .order(messages::timestamp.desc())
        .select(messages::timestamp)
}

/// Id, user, creation, newest message, images, videos.
type Found = (
    String,
    String,
    NaiveDateTime,
    Option<NaiveDateTime>,
    Option<i64>,
    Option<i64>,
);

fn preview_row(found: Found) -> (Cursor, PreviewRow) {
    let (id, user, created_at, newest_message, images, videos) = found;
    let cursor = Cursor {
        since: created_at.and_utc(),
        id: id.clone(),
    };
    let counts = [("image_records", images), ("video_records", videos)];
    let row = PreviewRow {
        id,
        user: Some(user),
        since: last_activity(created_at, newest_message).and_utc(),
        details: counts
            .map(|(name, count)| (name.to_owned(), count.unwrap_or(0).to_string()))
            .into(),
    };
    (cursor, row)
}

/// The later of the session's creation and its user's newest message.
fn last_activity(
    created_at: NaiveDateTime,
    newest_message: Option<NaiveDateTime>,
) -> NaiveDateTime {
    newest_message.map_or(created_at, |newest| newest.max(created_at))
}

fn count(
    conn: &mut SqliteConnection,
    cutoff: NaiveDateTime,
    user: Option<Uuid>,
) -> QueryResult<BoundedCount> {
    let ids: Vec<String> = sessions::table
        .filter(idle(cutoff, user))
        .select(sessions::id)
        .limit(probe())
        .load(conn)?;
    Ok(capped(&ids))
}

fn forecast(conn: &mut SqliteConnection, idle_after: Duration) -> QueryResult<Forecast> {
    let now = now();
    let cutoff = (now - idle_after).naive_utc();
    let due: Vec<(NaiveDateTime, Option<NaiveDateTime>)> = sessions::table
        .filter(idle(cutoff, None))
        .order((sessions::created_at, sessions::id))
        .limit(OLDEST)
        .select((sessions::created_at, newest_message().single_value()))
        .load(conn)?;
    let oldest = due
        .into_iter()
        .map(|(created_at, newest)| last_activity(created_at, newest))
        .min();
    let due = count(conn, cutoff, None)?;
    let overdue = oldest.map(|oldest| overdue_for(now, oldest, idle_after));
    // To know the next, every session would have to be looked at after every run. The tick is
    // soon enough.
    let next_due = oldest.map(|_| Duration::ZERO);
    Ok(Forecast::default()
        .with_due(due, overdue)
        .with_next_due(next_due)
        .with_max_age(Some(idle_after)))
}

/// The due sessions among which the one that has waited longest is looked for; they are known only
/// in nearly that order.
const OLDEST: i64 = 100;
