//! The rule about unpaid bookings, on Postgres.

use chrono::{DateTime, Utc};
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
use super::schema::{Behind, Condition, IsPending, Place, bookings};
use super::sweep::{ClaimAndWrite, ClaimResult, addresses};
use crate::job::{Batch, BatchRequest, Cursor, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

mod view;

pub(super) use view::{forecast, preview};

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
    pass: &BatchRequest,
    user: Option<Uuid>,
    manner: Manner,
) -> TxResult<Batch> {
    let limit = i64::from(pass.limit.get());
    let claimed = claim(
        overdue(pass.now, pass.cutoff, user),
        behind(pass.after.as_ref()),
        limit,
    );
    match manner {
        Manner::Together => {
            let sweep = ClaimAndWrite {
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
            let swept: ClaimResult = sweep.get_result(conn).await?;
            swept.is_whole()?;
            let batch = swept.into_batch();
            let count = batch.ids.len() as u64;
            Ok(batch.with_count("bookings", count))
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
    pass: &BatchRequest,
    user: Option<Uuid>,
) -> TxResult<Batch> {
    let last = picked.get(pass.limit.get() as usize - 1);
    let mut batch = Batch {
        next_cursor: last.map(|(_, id, since)| Cursor {
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
        // Its lock is ours, so it is overdue still.
        let done = match done {
            Ok(written) if written.is_empty() => Err(TxError::SuppressedByTrigger),
            done => done.map_err(TxError::from),
        };
        match done {
            Ok(written) => {
                AnsiTransactionManager::commit_transaction(conn).await?;
                batch.ids.extend(written);
            }
            Err(error) => match error.refusal() {
                Some(error) => {
                    AnsiTransactionManager::rollback_transaction(conn).await?;
                    batch.rejected.push(RejectedRow { id, error });
                }
                None => return Err(error),
            },
        }
    }
    let count = batch.ids.len() as u64;
    Ok(batch.with_count("bookings", count))
}
