//! Looking at overdue bookings, on SQLite, without changing them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use uuid::Uuid;

use super::super::expressions::not_among;
use super::super::row_id_buffer;
use super::super::schema::bookings;
use super::super::time::Moment;
use super::{Pending, behind, free, overdue};
use crate::job::{BoundedCount, Cursor, Forecast, Page, PreviewRow, PreviewRows};
use crate::store::counted::{Counted, PROBE, capped};
use crate::store::due;

/// A page of overdue bookings.
pub(in super::super) fn preview(
    conn: &mut SqliteConnection,
    now: DateTime<Utc>,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    conn.transaction(|conn| {
        let size = page.size.get().min(Page::MAX_SIZE);
        let begin = page.after.clone().unwrap_or_else(row_id_buffer::start);
        let mut found: Vec<Found> = due(now, cutoff, user)
            .filter(behind(Moment(begin.since), begin.id))
            .order((bookings::created_at, bookings::booking_id))
            .limit(i64::from(size) + 1)
            .select(Found::as_select())
            .load(conn)?;
        let more = found.len() > size as usize;
        found.truncate(size as usize);
        let next = found.last().filter(|_| more).map(|row| Cursor {
            since: row.created_at.0,
            id: row.booking_id.clone(),
        });
        Ok(PreviewRows {
            cutoff,
            rows: found.into_iter().map(PreviewRow::from).collect(),
            due: count(conn, due(now, cutoff, user), &[])?,
            next,
        })
    })
}

/// Everything the rule matches, or one user's part of it.
fn due(now: DateTime<Utc>, cutoff: DateTime<Utc>, user: Option<Uuid>) -> Due {
    let all = bookings::table
        .filter(overdue(Moment(now), Moment(cutoff)))
        .into_boxed();
    match user {
        None => all,
        Some(user) => all.filter(bookings::user_id.eq(user.hyphenated().to_string())),
    }
}

type Due = bookings::BoxedQuery<'static, Sqlite>;

/// A row of a preview.
#[derive(Queryable, Selectable)]
#[diesel(table_name = bookings)]
struct Found {
    booking_id: String,
    user_id: String,
    property_id: Option<String>,
    booking_date: Option<String>,
    shift_type: Option<String>,
    total_cost: Option<String>,
    booking_source: Option<String>,
    created_at: Moment,
}

impl From<Found> for PreviewRow {
    fn from(row: Found) -> Self {
        let details = [
            ("property_id", row.property_id),
            ("booking_date", row.booking_date),
            ("shift_type", row.shift_type),
            ("total_cost", row.total_cost),
            ("booking_source", row.booking_source),
        ];
        Self {
            id: row.booking_id,
            user: Some(row.user_id),
            since: row.created_at.0,
            details: details
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

fn count(conn: &mut SqliteConnection, due: Due, rejected: &[String]) -> QueryResult<BoundedCount> {
    let due = due
        .filter(not_among(bookings::booking_id, rejected))
        .select(bookings::booking_id)
        .limit(PROBE);
    Counted(due).get_result(conn).map(capped)
}

/// What is still overdue, and when the next booking expires.
pub(in super::super) fn forecast(
    conn: &mut SqliteConnection,
    now: DateTime<Utc>,
    expire_after: Duration,
    rejected: &[String],
) -> QueryResult<Forecast> {
    let cutoff = crate::time::before(now, expire_after);
    let counts = || not_among(bookings::booking_id, rejected);
    conn.transaction(|conn| {
        let oldest: Vec<(Moment, Option<Moment>)> = due(now, cutoff, None)
            .filter(counts())
            .order((bookings::created_at, bookings::booking_id))
            .limit(due::OLDEST)
            .select((bookings::created_at, bookings::held_until))
            .load(conn)?;
        let next_free: Option<Moment> = bookings::table
            .filter(Pending)
            .filter(free(Moment(now)))
            .filter(counts())
            .order((bookings::created_at, bookings::booking_id))
            .select(bookings::created_at)
            .first(conn)
            .optional()?;
        let next_held: Vec<(Moment, Moment)> = bookings::table
            .filter(Pending)
            .filter(bookings::held_until.is_not_null())
            .filter(bookings::held_until.assume_not_null().gt(Moment(now)))
            .filter(counts())
            .order(bookings::held_until)
            .limit(due::OLDEST)
            .select((bookings::created_at, bookings::held_until.assume_not_null()))
            .load(conn)?;
        let oldest = oldest
            .into_iter()
            .map(|(created, held)| (created.0, held.map(|held| held.0)));
        let held = next_held
            .into_iter()
            .map(|(created, held)| (created.0, held.0));
        Ok(Forecast {
            due: count(conn, due(now, cutoff, None), rejected)?,
            oldest_overdue: due::oldest_overdue(now, expire_after, oldest),
            next_due: due::next_expiry(now, expire_after, next_free.map(|next| next.0), held),
            max_age: Some(expire_after),
        })
    })
}
