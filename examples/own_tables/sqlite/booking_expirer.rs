//! `python-booking-expirer`: a booking left Pending for too long becomes Expired.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use diesel::dsl::min;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use ractor_housekeeper::job::{
    Batch, BatchRequest, BoundedCount, Cursor, Forecast, JobError, Page, PreviewRow, PreviewRows,
    RunBounds,
};
use ractor_housekeeper::store::sqlite::Pool;
use ractor_housekeeper::{Job, JobName, Scope};
use uuid::Uuid;

use super::tables::bookings;
use super::{Condition, now, run};
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
        let now = now();
        Ok(RunBounds::new(now, now - self.expire_after))
    }

    async fn batch(&self, request: &BatchRequest) -> Result<Batch, JobError> {
        let user = request.scope.user_id()?;
        let request = request.clone();
        run(&self.pool, move |conn| expire(conn, &request, user)).await
    }

    async fn preview(&self, scope: &Scope, page: &Page) -> Result<PreviewRows, JobError> {
        let cutoff = now() - self.expire_after;
        let user = scope.user_id()?;
        let page = page.clone();
        run(&self.pool, move |conn| preview(conn, cutoff, user, &page)).await
    }

    async fn forecast(&self, _rejected: &[String]) -> Result<Forecast, JobError> {
        let expire_after = self.expire_after;
        run(&self.pool, move |conn| forecast(conn, expire_after)).await
    }
}

/// The rule. Whatever lists, counts or changes bookings uses it.
fn overdue(cutoff: NaiveDateTime, user: Option<Uuid>) -> Condition<bookings::table> {
    let overdue = bookings::status
        .eq(BookingStatus::Pending)
        .and(bookings::created_at.lt(cutoff));
    match user {
        None => Box::new(overdue),
        Some(user) => Box::new(overdue.and(bookings::user_id.eq(user.to_string()))),
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

fn expire(
    conn: &mut SqliteConnection,
    request: &BatchRequest,
    user: Option<Uuid>,
) -> QueryResult<Batch> {
    let cutoff = request.cutoff.naive_utc();
    // Immediate: nobody else writes between the look and the change.
    conn.immediate_transaction(|conn| {
        let picked: Vec<(String, NaiveDateTime)> = bookings::table
            .filter(overdue(cutoff, user))
            .filter(behind(request.after.as_ref()))
            .order((bookings::created_at, bookings::booking_id))
            .limit(request.limit.get().into())
            .select((bookings::booking_id, bookings::created_at))
            .load(conn)?;
        let next_cursor = next_cursor(&picked, request);
        let ids: Vec<String> = picked.into_iter().map(|(id, _)| id).collect();
        let count = diesel::update(bookings::table)
            .filter(bookings::booking_id.eq_any(&ids))
            .filter(overdue(cutoff, user))
            .set((
                bookings::status.eq(BookingStatus::Expired),
                bookings::updated_at.eq(request.now.naive_utc()),
            ))
            .execute(conn)?;
        let batch = Batch::new(ids, next_cursor);
        Ok(batch.with_count("bookings", count as u64))
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
        .load(conn)?;
    Ok(found.into_iter().map(preview_row).collect())
}

/// Id, user, creation, shift.
type Found = (String, String, NaiveDateTime, Option<String>);

fn preview_row((id, user, created_at, shift): Found) -> (Cursor, PreviewRow) {
    let since = created_at.and_utc();
    let cursor = Cursor {
        since,
        id: id.clone(),
    };
    let row = PreviewRow {
        id,
        user: Some(user),
        since,
        details: shift
            .map(|shift| ("shift_type".to_owned(), shift))
            .into_iter()
            .collect(),
    };
    (cursor, row)
}

fn count(
    conn: &mut SqliteConnection,
    cutoff: NaiveDateTime,
    user: Option<Uuid>,
) -> QueryResult<BoundedCount> {
    let ids: Vec<String> = bookings::table
        .filter(overdue(cutoff, user))
        .select(bookings::booking_id)
        .limit(probe())
        .load(conn)?;
    Ok(capped(&ids))
}

fn forecast(conn: &mut SqliteConnection, expire_after: Duration) -> QueryResult<Forecast> {
    let now = now();
    let cutoff = (now - expire_after).naive_utc();
    let oldest: Option<NaiveDateTime> = bookings::table
        .filter(bookings::status.eq(BookingStatus::Pending))
        .select(min(bookings::created_at))
        .first(conn)?;
    let due = count(conn, cutoff, None)?;
    let overdue = oldest
        .filter(|oldest| *oldest < cutoff)
        .map(|oldest| overdue_for(now, oldest, expire_after));
    let next_due = oldest.map(|oldest| due_in(now, oldest, expire_after));
    Ok(Forecast::default()
        .with_due(due, overdue)
        .with_next_due(next_due)
        .with_max_age(Some(expire_after)))
}
