//! `python-booking-expirer`: a booking left Pending for too long becomes Expired.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::min;
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

use super::tables::bookings;
use super::{Condition, LIMITS, now};
use crate::status::BookingStatus;
use crate::walk::{capped, check_user, due_in, next_cursor, overdue_for, page_limit, paged, probe};

pub(crate) struct BookingExpirer {
    pool: Pool,
    expire_after: Duration,
}

impl BookingExpirer {
    pub(crate) fn new(pool: Pool, expire_after: Duration) -> Self {
        Self { pool, expire_after }
    }
}

#[async_trait]
impl Job for BookingExpirer {
    fn name(&self) -> JobName {
        JobName::new("python-booking-expirer")
    }

    fn check_scope(&self, scope: &Scope) -> Result<(), String> {
        check_user(scope)
    }

    async fn begin_run(&self) -> Result<RunBounds, JobError> {
        let now = now(&mut *self.pool.get().await?).await?;
        Ok(RunBounds::new(now, now - self.expire_after))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let user = request.scope.user_id()?;
        Ok(expire(&mut *self.pool.get().await?, request, user).await?)
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let mut conn = self.pool.get().await?;
        let cutoff = now(&mut conn).await? - self.expire_after;
        let user = scope.user_id()?;
        Ok(preview(&mut conn, cutoff, user, page).await?)
    }

    async fn forecast(&self, _rejected: &[String]) -> Result<Forecast, JobError> {
        let mut conn = self.pool.get().await?;
        Ok(forecast(&mut conn, self.expire_after).await?)
    }
}

/// The rule. Whatever lists, counts or changes bookings uses it.
fn overdue(cutoff: NaiveDateTime, user: Option<Uuid>) -> Condition<bookings::table> {
    let overdue = bookings::status
        .eq(BookingStatus::Pending)
        .and(bookings::created_at.lt(cutoff));
    match user {
        None => Box::new(overdue),
        Some(user) => Box::new(overdue.and(bookings::user_id.eq(user))),
    }
}

/// What lies behind a place in the order of creation and id.
fn behind(after: Option<&Cursor>) -> Condition<bookings::table> {
    match after {
        None => Box::new(true.into_sql::<Bool>()),
        Some(after) => {
            let since = after.since.naive_utc();
            let same = bookings::created_at.eq(since);
            let later_id = bookings::booking_id.gt(after.id.clone());
            Box::new(bookings::created_at.gt(since).or(same.and(later_id)))
        }
    }
}

async fn expire(
    conn: &mut AsyncPgConnection,
    request: &BatchRequest,
    user: Option<Uuid>,
) -> QueryResult<Batch> {
    conn.build_transaction()
        .read_committed()
        .run(async |conn| {
            conn.batch_execute(LIMITS).await?;
            expire_picked(conn, request, user).await
        })
        .await
}

async fn expire_picked(
    conn: &mut AsyncPgConnection,
    request: &BatchRequest,
    user: Option<Uuid>,
) -> QueryResult<Batch> {
    let cutoff = request.cutoff.naive_utc();
    // A booking that is being paid for, or that another replica works on, is locked; it is none of
    // ours.
    let picked: Vec<(String, NaiveDateTime)> = bookings::table
        .filter(overdue(cutoff, user))
        .filter(behind(request.after.as_ref()))
        .order((bookings::created_at, bookings::booking_id))
        .limit(request.limit.get().into())
        .select((bookings::booking_id, bookings::created_at))
        .for_update()
        .skip_locked()
        .load(conn)
        .await?;
    let next_cursor = next_cursor(&picked, request);
    let picked: Vec<String> = picked.into_iter().map(|(id, _)| id).collect();
    let ids: Vec<String> = diesel::update(bookings::table)
        .filter(bookings::booking_id.eq_any(picked))
        .filter(overdue(cutoff, user))
        .set((
            bookings::status.eq(BookingStatus::Expired),
            bookings::updated_at.eq(request.now.naive_utc()),
        ))
        .returning(bookings::booking_id)
        .get_results(conn)
        .await?;
    let count = ids.len() as u64;
    let batch = Batch::new(ids, next_cursor);
    Ok(batch.with_count("bookings", count))
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
    let found: Vec<Found> = bookings::table
        .filter(overdue(cutoff, user))
        .filter(behind(page.after.as_ref()))
        .order((bookings::created_at, bookings::booking_id))
        .limit(page_limit(page))
        .select((
            bookings::booking_id,
            bookings::user_id,
            bookings::created_at,
            bookings::shift_type,
        ))
        .load(conn)
        .await?;
    Ok(found.into_iter().map(preview_row).collect())
}

/// Id, user, creation, shift.
type Found = (String, Uuid, NaiveDateTime, Option<String>);

fn preview_row((id, user, created_at, shift): Found) -> (Cursor, PreviewRow) {
    let since = created_at.and_utc();
    let cursor = Cursor {
        since,
        id: id.clone(),
    };
    let row = PreviewRow {
        id,
        user: Some(user.to_string()),
        since,
        details: shift
            .map(|shift| ("shift_type".to_owned(), shift))
            .into_iter()
            .collect(),
    };
    (cursor, row)
}

async fn count(
    conn: &mut AsyncPgConnection,
    cutoff: NaiveDateTime,
    user: Option<Uuid>,
) -> QueryResult<BoundedCount> {
    let ids: Vec<String> = bookings::table
        .filter(overdue(cutoff, user))
        .select(bookings::booking_id)
        .limit(probe())
        .load(conn)
        .await?;
    Ok(capped(&ids))
}

async fn forecast(conn: &mut AsyncPgConnection, expire_after: Duration) -> QueryResult<Forecast> {
    let now = now(conn).await?;
    let cutoff = (now - expire_after).naive_utc();
    let oldest: Option<NaiveDateTime> = bookings::table
        .filter(bookings::status.eq(BookingStatus::Pending))
        .select(min(bookings::created_at))
        .first(conn)
        .await?;
    let due = count(conn, cutoff, None).await?;
    let overdue = oldest
        .filter(|oldest| *oldest < cutoff)
        .map(|oldest| overdue_for(now, oldest, expire_after));
    let next_due = oldest.map(|oldest| due_in(now, oldest, expire_after));
    Ok(Forecast::default()
        .with_due(due, overdue)
        .with_next_due(next_due)
        .with_max_age(Some(expire_after)))
}
