//! `python-session-cleaner`: a session idle for too long goes, with its image and video records.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::{self, exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use ractor_housekeeper::job::{
    Batch, BatchRequest, BoundedCount, Cursor, Forecast, JobError, Page, PreviewRow, PreviewRows,
    RunBounds,
};
use ractor_housekeeper::store::postgres::Pool;
use ractor_housekeeper::{Job, JobName, Scope};
use uuid::Uuid;

use super::tables::{image_sent, messages, sessions, users, video_sent};
use super::{Condition, LIMITS, now};
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

    async fn check(&self) -> Result<(), JobError> {
        if refer_to_users(&mut *self.pool.get().await?).await? {
            Ok(())
        } else {
            Err("messages.user_id does not refer to users, and that is what keeps a session whose user is writing".into())
        }
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = now(&mut *self.pool.get().await?).await?;
        Ok(RunBounds::new(now, now - self.idle_after))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let user = request.scope.user_id()?;
        Ok(delete(&mut *self.pool.get().await?, request, user).await?)
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let mut conn = self.pool.get().await?;
        let cutoff = now(&mut conn).await? - self.idle_after;
        let user = scope.user_id()?;
        Ok(preview(&mut conn, cutoff, user, page).await?)
    }

    async fn forecast(&self, _rejected: &[String]) -> Result<Forecast, JobError> {
        let mut conn = self.pool.get().await?;
        Ok(forecast(&mut conn, self.idle_after).await?)
    }
}

/// Whether a message locks its user's row, which [`lock_users`] depends on.
async fn refer_to_users(conn: &mut AsyncPgConnection) -> QueryResult<bool> {
    diesel::select(sql::<Bool>(
        "exists (select from pg_constraint where contype = 'f' \
         and conrelid = to_regclass('messages') and confrelid = to_regclass('users'))",
    ))
    .get_result(conn)
    .await
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
        Some(user) => Box::new(idle.and(sessions::user_id.eq(user))),
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

async fn delete(
    conn: &mut AsyncPgConnection,
    request: &BatchRequest,
    user: Option<Uuid>,
) -> QueryResult<Batch> {
    conn.build_transaction()
        .read_committed()
        .run(async |conn| {
            conn.batch_execute(LIMITS).await?;
            let picked = pick(conn, request, user).await?;
            let next_cursor = next_cursor(&picked, request);
            let ids = lock_users(conn, picked).await?;
            let mut batch = delete_picked(conn, ids, request.cutoff.naive_utc(), user).await?;
            batch.next_cursor = next_cursor;
            Ok(batch)
        })
        .await
}

async fn pick(
    conn: &mut AsyncPgConnection,
    request: &BatchRequest,
    user: Option<Uuid>,
) -> QueryResult<Vec<(String, NaiveDateTime)>> {
    sessions::table
        .filter(idle(request.cutoff.naive_utc(), user))
        .filter(behind(request.after.as_ref()))
        .order((sessions::created_at, sessions::id))
        .limit(request.limit.get().into())
        .select((sessions::id, sessions::created_at))
        .for_update()
        .skip_locked()
        .load(conn)
        .await
}

/// Keeps the users of these sessions from writing until we commit, and returns the sessions for
/// which that worked.
///
/// A new message does not touch the session, so the session's own lock does not hold it back. But
/// it refers to its user, whose row Postgres therefore locks for it: `for key share`, with which
/// our `for update` does not agree. A user who is writing right now is skipped, and has just shown
/// to be no idle one. It never waits, so there is no deadlock. The price is that the user's new
/// messages and bookings wait until we commit, some milliseconds.
async fn lock_users(
    conn: &mut AsyncPgConnection,
    picked: Vec<(String, NaiveDateTime)>,
) -> QueryResult<Vec<String>> {
    let picked: Vec<String> = picked.into_iter().map(|(id, _)| id).collect();
    let of_picked = sessions::table
        .filter(sessions::id.eq_any(picked.clone()))
        .select(sessions::user_id);
    let locked: Vec<Uuid> = users::table
        .filter(users::id.eq_any(of_picked))
        .select(users::id)
        .for_update()
        .skip_locked()
        .load(conn)
        .await?;
    sessions::table
        .filter(sessions::id.eq_any(picked))
        .filter(sessions::user_id.eq_any(locked))
        .select(sessions::id)
        .load(conn)
        .await
}

/// The rule is looked at again, in statements that begin after the locks and so see every message
/// committed by now.
async fn delete_picked(
    conn: &mut AsyncPgConnection,
    picked: Vec<String>,
    cutoff: NaiveDateTime,
    user: Option<Uuid>,
) -> QueryResult<Batch> {
    let ids: Vec<String> = sessions::table
        .filter(sessions::id.eq_any(picked))
        .filter(idle(cutoff, user))
        .select(sessions::id)
        .load(conn)
        .await?;
    let images = diesel::delete(image_sent::table)
        .filter(image_sent::session_id.eq_any(&ids))
        .execute(conn)
        .await?;
    let videos = diesel::delete(video_sent::table)
        .filter(video_sent::session_id.eq_any(&ids))
        .execute(conn)
        .await?;
    let gone = diesel::delete(sessions::table)
        .filter(sessions::id.eq_any(&ids))
        .filter(idle(cutoff, user))
        .execute(conn)
        .await?;
    if gone != ids.len() {
        // The locks exclude it. Should somebody drop the foreign key they depend on, all of this is
        // rolled back.
        return Err(diesel::result::Error::RollbackTransaction);
    }
    let batch = Batch::new(ids, None);
    Ok(batch
        .with_count("sessions", gone as u64)
        .with_count("image_records", images as u64)
        .with_count("video_records", videos as u64))
}

async fn preview(
    conn: &mut AsyncPgConnection,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    let found = list(conn, cutoff.naive_utc(), user, page).await?;
    let (rows, next) = paged(found, page);
    Ok(PreviewRows::new(
        cutoff,
        rows,
        count(conn, cutoff.naive_utc(), user).await?,
        next,
    ))
}

async fn list(
    conn: &mut AsyncPgConnection,
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
        .load(conn)
        .await?;
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
    Uuid,
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
        user: Some(user.to_string()),
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

async fn count(
    conn: &mut AsyncPgConnection,
    cutoff: NaiveDateTime,
    user: Option<Uuid>,
) -> QueryResult<BoundedCount> {
    let ids: Vec<String> = sessions::table
        .filter(idle(cutoff, user))
        .select(sessions::id)
        .limit(probe())
        .load(conn)
        .await?;
    Ok(capped(&ids))
}

async fn forecast(conn: &mut AsyncPgConnection, idle_after: Duration) -> QueryResult<Forecast> {
    let now = now(conn).await?;
    let cutoff = (now - idle_after).naive_utc();
    let due: Vec<(NaiveDateTime, Option<NaiveDateTime>)> = sessions::table
        .filter(idle(cutoff, None))
        .order((sessions::created_at, sessions::id))
        .limit(OLDEST)
        .select((sessions::created_at, newest_message().single_value()))
        .load(conn)
        .await?;
    let oldest = due
        .into_iter()
        .map(|(created_at, newest)| last_activity(created_at, newest))
        .min();
    let due = count(conn, cutoff, None).await?;
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
