//! The rule about unpaid bookings, on SQLite.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

use super::schema::{Condition, among, bookings, not_among};
use super::time::Moment;
use crate::batch::{Batch, Cursor, Pass, SetAside};
use crate::outlook::{Capped, Outlook};
use crate::preview::{Page, PreviewRow, PreviewRows};
use crate::store::counted::{Counted, PROBE, capped};
use crate::store::span;
use crate::store::trouble::Tried;

type Bookings = bookings::table;

/// As text and not as a value, or SQLite could not use the partial indexes.
fn pending() -> diesel::expression::SqlLiteral<Bool> {
    sql("bookings.status = 'Pending'")
}

/// Not held at `now`.
fn free(now: DateTime<Utc>) -> Condition<Bookings> {
    Box::new(
        bookings::held_until
            .is_null()
            .or(bookings::held_until.assume_not_null().le(Moment(now))),
    )
}

/// The rule itself.
fn overdue(now: DateTime<Utc>, cutoff: DateTime<Utc>, user: Option<Uuid>) -> Condition<Bookings> {
    let overdue = pending()
        .and(bookings::created_at.lt(Moment(cutoff)))
        .and(free(now));
    match user {
        None => Box::new(overdue),
        Some(user) => Box::new(overdue.and(bookings::user_id.eq(user.hyphenated().to_string()))),
    }
}

/// What lies behind a place in the order of creation and id.
fn behind(after: Option<&Cursor>) -> Condition<Bookings> {
    match after {
        None => Box::new(true.into_sql::<Bool>()),
        Some(Cursor { since, id }) => Box::new(
            bookings::created_at.ge(Moment(*since)).and(
                bookings::created_at
                    .gt(Moment(*since))
                    .or(bookings::booking_id.gt(id.clone())),
            ),
        ),
    }
}

/// Expires a batch of overdue bookings.
pub(super) fn expire(conn: &mut SqliteConnection, pass: &Pass, user: Option<Uuid>) -> Tried<Batch> {
    let together =
        conn.immediate_transaction(|conn| expire_picked(conn, pass, user, expire_together));
    match together {
        // One row that cannot change must not keep the others.
        Err(error) if error.refusal().is_some() => {
            conn.immediate_transaction(|conn| expire_picked(conn, pass, user, expire_each))
        }
        done => done,
    }
}

type ExpireOverdue = fn(&mut SqliteConnection, Vec<String>, DateTime<Utc>, Batch) -> Tried<Batch>;

fn expire_picked(
    conn: &mut SqliteConnection,
    pass: &Pass,
    user: Option<Uuid>,
    expire_overdue: ExpireOverdue,
) -> Tried<Batch> {
    let picked: Vec<(String, Moment)> = bookings::table
        .filter(overdue(pass.now, pass.cutoff, user))
        .filter(behind(pass.after.as_ref()))
        .order((bookings::created_at, bookings::booking_id))
        .limit(pass.limit.get().into())
        .select((bookings::booking_id, bookings::created_at))
        .load(conn)?;
    let reached = if picked.len() == pass.limit.get() as usize {
        picked.last().map(|(id, since)| Cursor {
            since: since.0,
            id: id.clone(),
        })
    } else {
        None
    };
    let ids = picked.into_iter().map(|(id, _)| id).collect();
    let batch = Batch {
        reached,
        ..Batch::default()
    };
    expire_overdue(conn, ids, pass.now, batch.counted("bookings", 0))
}

/// Nobody else writes during an immediate transaction, so what was picked is still overdue.
fn expire_together(
    conn: &mut SqliteConnection,
    ids: Vec<String>,
    now: DateTime<Utc>,
    batch: Batch,
) -> Tried<Batch> {
    if ids.is_empty() {
        return Ok(batch);
    }
    let count = diesel::update(bookings::table)
        .filter(among("bookings.booking_id", &ids))
        .filter(pending())
        .set((
            bookings::status.eq("Expired"),
            bookings::updated_at.eq(Moment(now)),
        ))
        .execute(conn)?;
    let mut batch = batch.counted("bookings", count as u64);
    batch.ids.extend(ids);
    Ok(batch)
}

fn expire_each(
    conn: &mut SqliteConnection,
    ids: Vec<String>,
    now: DateTime<Utc>,
    mut batch: Batch,
) -> Tried<Batch> {
    for id in ids {
        let so_far = batch.clone();
        let one = vec![id.clone()];
        match conn.transaction(|conn| expire_together(conn, one, now, so_far)) {
            Ok(more) => batch = more,
            Err(error) => match error.refusal() {
                Some(error) => batch.set_aside.push(SetAside { id, error }),
                None => return Err(error),
            },
        }
    }
    Ok(batch)
}

/// A page of overdue bookings.
pub(super) fn preview(
    conn: &mut SqliteConnection,
    now: DateTime<Utc>,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    conn.transaction(|conn| {
        let size = page.size.get().min(Page::MAX_SIZE);
        let mut found: Vec<Found> = bookings::table
            .filter(overdue(now, cutoff, user))
            .filter(behind(page.after.as_ref()))
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
            due: count(conn, overdue(now, cutoff, user), &[])?,
            next,
        })
    })
}

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

fn count(
    conn: &mut SqliteConnection,
    rule: Condition<Bookings>,
    set_aside: &[String],
) -> QueryResult<Capped> {
    let due = bookings::table
        .filter(rule)
        .filter(not_among("bookings.booking_id", set_aside))
        .select(bookings::booking_id)
        .limit(PROBE);
    Counted(due).get_result(conn).map(capped)
}

/// What is still overdue, and when the next booking expires.
pub(super) fn outlook(
    conn: &mut SqliteConnection,
    now: DateTime<Utc>,
    expire_after: Duration,
    set_aside: &[String],
) -> QueryResult<Outlook> {
    let cutoff = span::before(now, expire_after);
    let counts = || not_among("bookings.booking_id", set_aside);
    conn.transaction(|conn| {
        let oldest: Vec<(Moment, Option<Moment>)> = bookings::table
            .filter(overdue(now, cutoff, None))
            .filter(counts())
            .order((bookings::created_at, bookings::booking_id))
            .limit(span::OLDEST)
            .select((bookings::created_at, bookings::held_until))
            .load(conn)?;
        let next_free: Option<Moment> = bookings::table
            .filter(pending())
            .filter(free(now))
            .filter(counts())
            .order((bookings::created_at, bookings::booking_id))
            .select(bookings::created_at)
            .first(conn)
            .optional()?;
        let next_held: Vec<(Moment, Moment)> = bookings::table
            .filter(pending())
            .filter(bookings::held_until.is_not_null())
            .filter(bookings::held_until.assume_not_null().gt(Moment(now)))
            .filter(counts())
            .order(bookings::held_until)
            .limit(span::OLDEST)
            .select((bookings::created_at, bookings::held_until.assume_not_null()))
            .load(conn)?;
        let oldest = oldest
            .into_iter()
            .map(|(created, held)| (created.0, held.map(|held| held.0)));
        let held = next_held
            .into_iter()
            .map(|(created, held)| (created.0, held.0));
        Ok(Outlook {
            due: count(conn, overdue(now, cutoff, None), set_aside)?,
            oldest_overdue: span::oldest_overdue(now, expire_after, oldest),
            next_due: span::next_expiry(now, expire_after, next_free.map(|next| next.0), held),
            age: Some(expire_after),
        })
    })
}
