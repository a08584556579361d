//! Looking at overdue bookings, on Postgres, without changing them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::super::schema::{Condition, IsPending, bookings, text};
use super::{Bookings, behind, free, overdue};
use crate::job::{BoundedCount, Cursor, Forecast, Page, PreviewRow, PreviewRows};
use crate::store::counted::{Counted, PROBE, capped};
use crate::store::due;

/// A page of overdue bookings.
pub(in super::super) async fn preview(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    let size = page.size.get().min(Page::MAX_SIZE);
    let mut found: Vec<Found> = bookings::table
        .filter(overdue(now, cutoff, user))
        .filter(behind(page.after.as_ref()))
        .order((bookings::created_at, bookings::booking_id))
        .limit(i64::from(size) + 1)
        .select(Found::as_select())
        .load(conn)
        .await?;
    let more = found.len() > size as usize;
    found.truncate(size as usize);
    let next = found.last().filter(|_| more).map(|row| Cursor {
        since: row.created_at,
        id: row.booking_id.clone(),
    });
    Ok(PreviewRows {
        cutoff,
        rows: found.into_iter().map(PreviewRow::from).collect(),
        due: count(conn, overdue(now, cutoff, user), &[]).await?,
        next,
    })
}

/// A row of a preview.
#[derive(Queryable, Selectable)]
#[diesel(table_name = bookings)]
struct Found {
    booking_id: String,
    user_id: Uuid,
    property_id: Option<Uuid>,
    booking_date: Option<NaiveDate>,
    shift_type: Option<String>,
    #[diesel(select_expression = text(bookings::total_cost))]
    total_cost: Option<String>,
    booking_source: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Found> for PreviewRow {
    fn from(row: Found) -> Self {
        let details = [
            ("property_id", row.property_id.map(|id| id.to_string())),
            (
                "booking_date",
                row.booking_date.map(|date| date.to_string()),
            ),
            ("shift_type", row.shift_type),
            ("total_cost", row.total_cost),
            ("booking_source", row.booking_source),
        ];
        Self {
            id: row.booking_id,
            user: Some(row.user_id.to_string()),
            since: row.created_at,
            details: details
                .into_iter()
                .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

fn count(
    conn: &mut AsyncPgConnection,
    rule: Condition<Bookings>,
    rejected: &[String],
) -> impl Future<Output = QueryResult<BoundedCount>> + Send {
    let due = bookings::table
        .filter(rule)
        .filter(bookings::booking_id.ne_all(rejected.to_vec()))
        // Counting needs no order, but the order has an index: Postgres may expect to meet many in
        // any place, and read the whole table.
        .order((bookings::created_at, bookings::booking_id))
        .select(bookings::booking_id)
        .limit(PROBE);
    let counted = Counted(due).get_result(conn);
    async move { counted.await.map(capped) }
}

/// What is still overdue, and when the next booking expires.
pub(in super::super) async fn forecast(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    expire_after: Duration,
    rejected: &[String],
) -> QueryResult<Forecast> {
    let cutoff = crate::time::before(now, expire_after);
    let oldest: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = bookings::table
        .filter(overdue(now, cutoff, None))
        .filter(bookings::booking_id.ne_all(rejected.to_vec()))
        .order((bookings::created_at, bookings::booking_id))
        .limit(due::OLDEST)
        .select((bookings::created_at, bookings::held_until))
        .load(conn)
        .await?;
    let next_free: Option<DateTime<Utc>> = bookings::table
        .filter(IsPending::new(bookings::status))
        .filter(free(now))
        .filter(bookings::booking_id.ne_all(rejected.to_vec()))
        .order((bookings::created_at, bookings::booking_id))
        .select(bookings::created_at)
        .first(conn)
        .await
        .optional()?;
    let next_held: Vec<(DateTime<Utc>, DateTime<Utc>)> = bookings::table
        .filter(IsPending::new(bookings::status))
        .filter(bookings::held_until.is_not_null())
        .filter(bookings::held_until.assume_not_null().gt(now))
        .filter(bookings::booking_id.ne_all(rejected.to_vec()))
        .order(bookings::held_until)
        .limit(due::OLDEST)
        .select((bookings::created_at, bookings::held_until.assume_not_null()))
        .load(conn)
        .await?;
    Ok(Forecast {
        due: count(conn, overdue(now, cutoff, None), rejected).await?,
        oldest_overdue: due::oldest_overdue(now, expire_after, oldest.into_iter()),
        next_due: due::next_expiry(now, expire_after, next_free, next_held.into_iter()),
        max_age: Some(expire_after),
    })
}
