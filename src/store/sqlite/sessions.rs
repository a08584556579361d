//! The rule about idle sessions, on SQLite.

use diesel::dsl::{self, exists, not};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use uuid::Uuid;

use super::expressions::{Unindexed, among, verbatim};
use super::keys::Keys;
use super::row_id_buffer::{self, Found, Windows};
use super::schema::{coalesce, image_sent, later_of, messages, sessions, video_sent};
use super::tables;
use super::time::Moment;
use crate::job::{Batch, BatchRequest, Cursor, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

mod view;

pub(super) use view::{forecast, preview};

verbatim!(
    /// A message that counts as activity.
    FromGuest, "`messages`.`sender` = 'user'"
);

/// The stored instant: never later than the true last activity.
#[dsl::auto_type]
fn lower_bound() -> _ {
    coalesce(sessions::last_activity_at, sessions::created_at)
}

/// The later of a session's creation and its user's newest message.
#[dsl::auto_type]
fn true_activity() -> _ {
    later_of(
        sessions::created_at,
        coalesce(newest_message().single_value(), sessions::created_at),
    )
}

#[dsl::auto_type]
fn newest_message() -> _ {
    messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(FromGuest)
        .order(messages::timestamp.desc())
        .select(messages::timestamp)
}

/// Sessions worth a look: cheap to find, and all idle ones are among them.
#[dsl::auto_type]
fn candidate(cutoff: Moment) -> _ {
    lower_bound().lt(cutoff)
}

/// The rule itself, on a candidate.
#[dsl::auto_type]
fn idle(cutoff: Moment) -> _ {
    let written_since = messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(FromGuest)
        .filter(messages::timestamp.ge(cutoff));
    sessions::created_at
        .lt(cutoff)
        .and(not(exists(written_since)))
}

/// What lies behind a place in the order of `lower_bound` and id.
#[dsl::auto_type]
fn behind(since: Moment, id: String) -> _ {
    lower_bound()
        .ge(since)
        .and(lower_bound().gt(since).or(sessions::id.gt(id)))
}

/// What lies before a place in that order, or on it.
#[dsl::auto_type]
fn up_to(since: Moment, id: String) -> _ {
    lower_bound()
        .le(since)
        .and(lower_bound().lt(since).or(sessions::id.le(id)))
}

/// Whether a session is this user's; without a user, all are.
#[dsl::auto_type]
fn is_of(user: Option<String>) -> _ {
    coalesce(user, sessions::user_id).eq(sessions::user_id)
}

/// Deletes a batch of idle sessions.
pub(super) fn delete(
    conn: &mut SqliteConnection,
    pass: &BatchRequest,
    user: Option<Uuid>,
    windows: &Windows,
    keys: &Keys,
) -> TxResult<Batch> {
    let user = user.map(|user| user.hyphenated().to_string());
    let mut window = windows.take(pass, || look_up(conn, pass, user.as_deref()))?;
    let slice = Slice {
        rows: window.slice(pass.limit),
        cutoff: Moment(pass.cutoff),
        user,
    };
    let mut batch = slice.delete(conn, pass, keys)?;
    batch.next_cursor = window.next_cursor();
    windows.put_back(window);
    Ok(batch)
}

/// The addresses of the rows a run will look at next, in the order of their ids, because that is
/// the order of most that is deleted: the keys of the sessions, and the records by session.
fn look_up(
    conn: &mut SqliteConnection,
    pass: &BatchRequest,
    user: Option<&str>,
) -> QueryResult<Found> {
    let begin = pass.after.clone().unwrap_or_else(row_id_buffer::start);
    let candidates = || {
        let all = sessions::table
            .filter(candidate(Moment(pass.cutoff)))
            .filter(behind(Moment(begin.since), begin.id.clone()))
            .into_boxed::<Sqlite>();
        match user {
            None => all,
            Some(user) => all.filter(sessions::user_id.eq(user)),
        }
    };
    conn.transaction(|conn| {
        let end: Option<(Moment, String)> = candidates()
            .order((lower_bound(), sessions::id))
            .select((lower_bound(), sessions::id))
            .offset(row_id_buffer::SIZE - 1)
            .first(conn)
            .optional()?;
        let (since, id) = end.clone().unwrap_or((Moment(pass.cutoff), String::new()));
        let rows = candidates()
            .filter(up_to(since, id))
            .order(Unindexed(sessions::id))
            .select(sessions::rowid)
            .load(conn)?;
        let end = end.map(|(since, id)| Cursor { since: since.0, id });
        Ok(Found { rows, end })
    })
}

/// The rows of one batch, and what decides whether they are idle.
struct Slice {
    rows: Vec<i64>,
    cutoff: Moment,
    user: Option<String>,
}

type DeleteIdle = fn(&Slice, &mut SqliteConnection, Vec<Session>) -> TxResult<Batch>;

/// Address and id.
pub(super) type Session = (i64, String);

impl Slice {
    fn delete(
        &self,
        conn: &mut SqliteConnection,
        pass: &BatchRequest,
        keys: &Keys,
    ) -> TxResult<Batch> {
        if self.rows.is_empty() {
            return Ok(counted(0, 0, 0));
        }
        let together = |conn: &mut SqliteConnection| {
            conn.immediate_transaction(|conn| {
                self.delete_idle(conn, pass, keys, Self::delete_together)
            })
        };
        let mut done = together(conn);
        if done.as_ref().is_err_and(|error| error.refusal().is_some()) && keys.refuse() {
            done = together(conn);
        }
        match done {
            // One row that cannot go must not keep the others.
            Err(error) if error.refusal().is_some() => conn.immediate_transaction(|conn| {
                self.delete_idle(conn, pass, keys, Self::delete_each)
            }),
            done => done,
        }
    }

    fn delete_idle(
        &self,
        conn: &mut SqliteConnection,
        pass: &BatchRequest,
        keys: &Keys,
        delete: DeleteIdle,
    ) -> TxResult<Batch> {
        TxError::unless_throttle_fits(pass, tables::throttle(conn)?)?;
        let found: Vec<Session> = sessions::table
            .filter(among(sessions::rowid, &self.rows))
            .filter(idle(self.cutoff))
            .filter(is_of(self.user.clone()))
            .select((sessions::rowid, sessions::id))
            .load(conn)?;
        if found.len() < self.rows.len() {
            self.move_forward(conn)?;
        }
        // In one go with rows that must stay, the whole statement would be refused.
        let kept = keys.kept(conn, &found)?;
        let free = found.into_iter().filter(|(_, id)| !kept.contains_key(id));
        let mut batch = delete(self, conn, free.collect())?;
        batch.rejected.extend(kept.into_values());
        Ok(batch)
    }

    /// Brings the stored instant of candidates that live up to date, so that the next run does not
    /// look at them again.
    fn move_forward(&self, conn: &mut SqliteConnection) -> QueryResult<()> {
        diesel::update(sessions::table)
            .filter(among(sessions::rowid, &self.rows))
            .filter(candidate(self.cutoff))
            .filter(not(idle(self.cutoff)))
            .filter(is_of(self.user.clone()))
            .set(sessions::last_activity_at.eq(true_activity().nullable()))
            .execute(conn)
            .map(drop)
    }

    /// The records first, and not by their foreign keys, so that each kind is counted.
    fn delete_together(&self, conn: &mut SqliteConnection, found: Vec<Session>) -> TxResult<Batch> {
        let (rows, ids): (Vec<i64>, Vec<String>) = found.into_iter().unzip();
        let images = diesel::delete(image_sent::table)
            .filter(among(image_sent::session_id, &ids))
            .execute(conn)?;
        let videos = diesel::delete(video_sent::table)
            .filter(among(video_sent::session_id, &ids))
            .execute(conn)?;
        let gone = diesel::delete(sessions::table)
            .filter(among(sessions::rowid, &rows))
            .filter(idle(self.cutoff))
            .execute(conn)?;
        if gone != ids.len() {
            // Nobody else writes during an immediate transaction, so all are idle still.
            return Err(TxError::SuppressedByTrigger);
        }
        let mut batch = counted(gone, images, videos);
        batch.ids = ids;
        Ok(batch)
    }

    fn delete_each(&self, conn: &mut SqliteConnection, found: Vec<Session>) -> TxResult<Batch> {
        let mut batch = counted(0, 0, 0);
        for session in found {
            let id = session.1.clone();
            match conn.transaction(|conn| self.delete_together(conn, vec![session])) {
                Ok(one) => {
                    batch.counts.merge(&one.counts);
                    batch.ids.extend(one.ids);
                }
                Err(error) => match error.refusal() {
                    Some(error) => batch.rejected.push(RejectedRow { id, error }),
                    None => return Err(error),
                },
            }
        }
        Ok(batch)
    }
}

fn counted(sessions: usize, images: usize, videos: usize) -> Batch {
    Batch::default()
        .with_count("sessions", sessions as u64)
        .with_count("image_records", images as u64)
        .with_count("video_records", videos as u64)
}
