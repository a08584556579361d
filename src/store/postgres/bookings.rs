//! The rule about unpaid bookings, on Postgres.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text, Timestamptz};
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};
use uuid::Uuid;

use super::address::Address;
use super::manner::Manner;
use super::schema::{Behind, Condition, IsPending, Place, bookings, text};
use super::sweep::{Sweep, Swept, addresses};
use crate::batch::{Batch, Cursor, Pass, SetAside};
use crate::outlook::{Capped, Outlook};
use crate::preview::{Page, PreviewRow, PreviewRows};
use crate::store::counted::{Counted, PROBE, capped};
use crate::store::span;
use crate::store::trouble::{Tried, Trouble};

type Bookings = bookings::table;

/// Not held at `now`.
fn free(now: DateTime<Utc>) -> Condition<Bookings> {
    Box::new(
        bookings::held_until
            .is_null()
            .or(bookings::held_until.assume_not_null().le(now)),
    )
}

/// The rule itself.
fn overdue(now: DateTime<Utc>, cutoff: DateTime<Utc>, user: Option<Uuid>) -> Condition<Bookings> {
    let overdue = IsPending::new(bookings::status)
        .and(bookings::created_at.lt(cutoff))
        .and(free(now));
    match user {
        None => Box::new(overdue),
        Some(user) => Box::new(overdue.and(bookings::user_id.eq(user))),
    }
}

/// What lies behind a place in the order of creation and id.
fn behind(after: Option<&Cursor>) -> Condition<Bookings> {
    match after {
        None => Box::new(true.into_sql::<Bool>()),
        Some(Cursor { since, id }) => {
            let place = (
                (*since).into_sql::<Timestamptz>(),
                id.clone().into_sql::<Text>(),
            );
            Box::new(Behind::new(
                (bookings::created_at, bookings::booking_id).into_sql::<Place>(),
                place.into_sql::<Place>(),
            ))
        }
    }
}

/// Overdue bookings in order, locked; those that somebody else has locked are passed over.
#[dsl::auto_type]
fn claim(overdue: Condition<Bookings>, behind: Condition<Bookings>, limit: i64) -> _ {
    bookings::table
        .filter(overdue)
        .filter(behind)
        .order((bookings::created_at, bookings::booking_id))
        .limit(limit)
        .for_update()
        .skip_locked()
}

/// Expires a batch of overdue bookings.
pub(super) async fn expire(
    conn: &mut AsyncPgConnection,
    pass: &Pass,
    user: Option<Uuid>,
    manner: Manner,
) -> Tried<Batch> {
    let limit = i64::from(pass.limit.get());
    let claimed = claim(
        overdue(pass.now, pass.cutoff, user),
        behind(pass.after.as_ref()),
        limit,
    );
    match manner {
        Manner::Together => {
            let sweep = Sweep {
                pick: claimed.select((
                    bookings::ctid,
                    bookings::booking_id,
                    bookings::created_at,
                    true.into_sql::<Bool>(),
                    None::<String>.into_sql::<Nullable<Text>>(),
                )),
                write: diesel::update(bookings::table)
                    .filter(bookings::ctid.eq_any(addresses()))
                    .filter(overdue(pass.now, pass.cutoff, user))
                    .set(expired(pass.now))
                    .returning(bookings::booking_id),
                limit,
            };
            let swept: Swept = sweep.get_result(conn).await?;
            let batch = swept.into_batch();
            let count = batch.ids.len() as u64;
            Ok(batch.counted("bookings", count))
        }
        Manner::Each => {
            let picked = claimed
                .select((bookings::ctid, bookings::booking_id, bookings::created_at))
                .load(conn)
                .await?;
            expire_each(conn, picked, pass, user).await
        }
    }
}

#[dsl::auto_type]
fn expired(now: DateTime<Utc>) -> _ {
    (bookings::status.eq("Expired"), bookings::updated_at.eq(now))
}

async fn expire_each(
    conn: &mut AsyncPgConnection,
    picked: Vec<(Address, String, DateTime<Utc>)>,
    pass: &Pass,
    user: Option<Uuid>,
) -> Tried<Batch> {
    let last = picked.get(pass.limit.get() as usize - 1);
    let mut batch = Batch {
        reached: last.map(|(_, id, since)| Cursor {
            since: *since,
            id: id.clone(),
        }),
        ..Batch::default()
    };
    // A constraint that is only checked at the commit would refuse all rows for one.
    conn.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
    for (address, id, _) in picked {
        AnsiTransactionManager::begin_transaction(conn).await?;
        let done: QueryResult<Vec<String>> = diesel::update(bookings::table)
            .filter(bookings::ctid.eq(address))
            .filter(overdue(pass.now, pass.cutoff, user))
            .set(expired(pass.now))
            .returning(bookings::booking_id)
            .get_results(conn)
            .await;
        match done.map_err(Trouble::from) {
            Ok(written) => {
                AnsiTransactionManager::commit_transaction(conn).await?;
                batch.ids.extend(written);
            }
            Err(error) => match error.refusal() {
                Some(error) => {
                    AnsiTransactionManager::rollback_transaction(conn).await?;
                    batch.set_aside.push(SetAside { id, error });
                }
                None => return Err(error),
            },
        }
    }
    let count = batch.ids.len() as u64;
    Ok(batch.counted("bookings", count))
}

/// A page of overdue bookings.
pub(super) async fn preview(
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
    set_aside: &[String],
) -> impl Future<Output = QueryResult<Capped>> + Send {
    let due = bookings::table
        .filter(rule)
        .filter(bookings::booking_id.ne_all(set_aside.to_vec()))
        .select(bookings::booking_id)
        .limit(PROBE);
    let counted = Counted(due).get_result(conn);
    async move { counted.await.map(capped) }
}

/// What is still overdue, and when the next booking expires.
pub(super) async fn outlook(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    expire_after: Duration,
    set_aside: &[String],
) -> QueryResult<Outlook> {
    let cutoff = span::before(now, expire_after);
    let oldest: Vec<(DateTime<Utc>, Option<DateTime<Utc>>)> = bookings::table
        .filter(overdue(now, cutoff, None))
        .filter(bookings::booking_id.ne_all(set_aside.to_vec()))
        .order((bookings::created_at, bookings::booking_id))
        .limit(span::OLDEST)
        .select((bookings::created_at, bookings::held_until))
        .load(conn)
        .await?;
    let next_free: Option<DateTime<Utc>> = bookings::table
        .filter(IsPending::new(bookings::status))
        .filter(free(now))
        .filter(bookings::booking_id.ne_all(set_aside.to_vec()))
        .order((bookings::created_at, bookings::booking_id))
        .select(bookings::created_at)
        .first(conn)
        .await
        .optional()?;
    let next_held: Vec<(DateTime<Utc>, DateTime<Utc>)> = bookings::table
        .filter(IsPending::new(bookings::status))
        .filter(bookings::held_until.is_not_null())
        .filter(bookings::held_until.assume_not_null().gt(now))
        .filter(bookings::booking_id.ne_all(set_aside.to_vec()))
        .order(bookings::held_until)
        .limit(span::OLDEST)
        .select((bookings::created_at, bookings::held_until.assume_not_null()))
        .load(conn)
        .await?;
    Ok(Outlook {
        due: count(conn, overdue(now, cutoff, None), set_aside).await?,
        oldest_overdue: span::oldest_overdue(now, expire_after, oldest.into_iter()),
        next_due: span::next_expiry(now, expire_after, next_free, next_held.into_iter()),
        age: Some(expire_after),
    })
}
