//! The rule about unpaid bookings, on SQLite.

use diesel::dsl;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use uuid::Uuid;

use super::expressions::{Unindexed, among, verbatim};
use super::row_id_buffer::{self, Found, Windows};
use super::schema::{bookings, coalesce};
use super::time::Moment;
use crate::job::{Batch, BatchRequest, Cursor, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

mod view;

pub(super) use view::{forecast, preview};

verbatim!(
    /// Neither paid nor given up yet.
    Pending, "`bookings`.`status` = 'Pending'"
);

/// Not held at `now`.
#[dsl::auto_type]
fn free(now: Moment) -> _ {
    bookings::held_until
        .is_null()
        .or(bookings::held_until.assume_not_null().le(now))
}

/// The rule itself.
#[dsl::auto_type]
fn overdue(now: Moment, cutoff: Moment) -> _ {
    let free: free = free(now);
    Pending.and(bookings::created_at.lt(cutoff)).and(free)
}

/// What lies behind a place in the order of creation and id.
#[dsl::auto_type]
fn behind(since: Moment, id: String) -> _ {
    bookings::created_at.ge(since).and(
        bookings::created_at
            .gt(since)
            .or(bookings::booking_id.gt(id)),
    )
}

/// What lies before a place in that order, or on it.
#[dsl::auto_type]
fn up_to(since: Moment, id: String) -> _ {
    bookings::created_at.le(since).and(
        bookings::created_at
            .lt(since)
            .or(bookings::booking_id.le(id)),
    )
}

/// Whether a booking is this user's; without a user, all are.
#[dsl::auto_type]
fn is_of(user: Option<String>) -> _ {
    coalesce(user, bookings::user_id).eq(bookings::user_id)
}

/// Expires a batch of overdue bookings.
pub(super) fn expire(
    conn: &mut SqliteConnection,
    pass: &BatchRequest,
    user: Option<Uuid>,
    windows: &Windows,
) -> TxResult<Batch> {
    let user = user.map(|user| user.hyphenated().to_string());
    let mut window = windows.take(pass, || look_up(conn, pass, user.as_deref()))?;
    let slice = Slice {
        rows: window.slice(pass.limit),
        now: Moment(pass.now),
        cutoff: Moment(pass.cutoff),
        user,
    };
    let mut batch = slice.expire(conn)?;
    batch.next_cursor = window.next_cursor();
    windows.put_back(window);
    Ok(batch)
}

/// The addresses of the rows a run will look at next.
fn look_up(
    conn: &mut SqliteConnection,
    pass: &BatchRequest,
    user: Option<&str>,
) -> QueryResult<Found> {
    let begin = pass.after.clone().unwrap_or_else(row_id_buffer::start);
    let candidates = || {
        let all = bookings::table
            .filter(overdue(Moment(pass.now), Moment(pass.cutoff)))
            .filter(behind(Moment(begin.since), begin.id.clone()))
            .into_boxed::<Sqlite>();
        match user {
            None => all,
            Some(user) => all.filter(bookings::user_id.eq(user)),
        }
    };
    conn.transaction(|conn| {
        let end: Option<(Moment, String)> = candidates()
            .order((bookings::created_at, bookings::booking_id))
            .select((bookings::created_at, bookings::booking_id))
            .offset(row_id_buffer::SIZE - 1)
            .first(conn)
            .optional()?;
        let (since, id) = end.clone().unwrap_or((Moment(pass.cutoff), String::new()));
        let rows = candidates()
            .filter(up_to(since, id))
            .order(Unindexed(bookings::rowid))
            .select(bookings::rowid)
            .load(conn)?;
        let end = end.map(|(since, id)| Cursor { since: since.0, id });
        Ok(Found { rows, end })
    })
}

/// The rows of one batch, and what decides whether they are due.
struct Slice {
    rows: Vec<i64>,
    now: Moment,
    cutoff: Moment,
    user: Option<String>,
}

impl Slice {
    fn expire(&self, conn: &mut SqliteConnection) -> TxResult<Batch> {
        if self.rows.is_empty() {
            return Ok(Batch::default().with_count("bookings", 0));
        }
        match conn.immediate_transaction(|conn| self.expire_together(conn)) {
            // One row that cannot change must not keep the others.
            Err(error) if error.refusal().is_some() => {
                conn.immediate_transaction(|conn| self.expire_each(conn))
            }
            done => done,
        }
    }

    fn expire_together(&self, conn: &mut SqliteConnection) -> TxResult<Batch> {
        let ids: Vec<String> = diesel::update(bookings::table)
            .filter(among(bookings::rowid, &self.rows))
            .filter(overdue(self.now, self.cutoff))
            .filter(is_of(self.user.clone()))
            .set((
                bookings::status.eq("Expired"),
                bookings::updated_at.eq(self.now),
            ))
            .returning(bookings::booking_id)
            .get_results(conn)?;
        if ids.len() < self.rows.len() && self.still_overdue(conn)? {
            return Err(TxError::SuppressedByTrigger);
        }
        Ok(batch(ids))
    }

    /// Whether a row is left that the write should have changed.
    fn still_overdue(&self, conn: &mut SqliteConnection) -> QueryResult<bool> {
        let left = bookings::table
            .filter(among(bookings::rowid, &self.rows))
            .filter(overdue(self.now, self.cutoff))
            .filter(is_of(self.user.clone()));
        diesel::select(dsl::exists(left)).get_result(conn)
    }

    fn expire_each(&self, conn: &mut SqliteConnection) -> TxResult<Batch> {
        let ids: Vec<String> = bookings::table
            .filter(among(bookings::rowid, &self.rows))
            .filter(overdue(self.now, self.cutoff))
            .filter(is_of(self.user.clone()))
            .select(bookings::booking_id)
            .load(conn)?;
        let (mut expired, mut rejected) = (Vec::new(), Vec::new());
        for id in ids {
            match conn.transaction(|conn| self.expire_one(conn, &id)) {
                Ok(()) => expired.push(id),
                Err(error) => match error.refusal() {
                    Some(error) => rejected.push(RejectedRow { id, error }),
                    None => return Err(error),
                },
            }
        }
        Ok(Batch {
            rejected,
            ..batch(expired)
        })
    }

    /// Nobody else writes during an immediate transaction, so what was found a moment ago is still
    /// overdue.
    fn expire_one(&self, conn: &mut SqliteConnection, id: &str) -> TxResult<()> {
        let changed = diesel::update(bookings::table.find(id))
            .set((
                bookings::status.eq("Expired"),
                bookings::updated_at.eq(self.now),
            ))
            .execute(conn)?;
        match changed {
            0 => Err(TxError::SuppressedByTrigger),
            _ => Ok(()),
        }
    }
}

fn batch(ids: Vec<String>) -> Batch {
    let mut batch = Batch::default().with_count("bookings", ids.len() as u64);
    batch.ids = ids;
    batch
}
