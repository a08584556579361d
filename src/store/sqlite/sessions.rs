//! The rule about idle sessions, on SQLite.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists, not, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

use super::schema::{
    Condition, among, coalesce, image_sent, later_of, messages, sessions, video_sent,
};
use super::tables;
use super::time::Moment;
use crate::batch::{Batch, Cursor, Pass, SetAside};
use crate::store::trouble::{Tried, Trouble};

mod view;

pub(super) use view::{outlook, preview};

type Sessions = sessions::table;

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
    let from_guest: SqlLiteral<Bool> = from_guest();
    messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(from_guest)
        .order(messages::timestamp.desc())
        .select(messages::timestamp)
}

/// As text and not as a value, or SQLite could not use the partial index.
fn from_guest() -> SqlLiteral<Bool> {
    sql("messages.sender = 'user'")
}

/// Sessions worth a look: cheap to find, and all idle ones are among them.
fn candidate(cutoff: DateTime<Utc>, user: Option<Uuid>) -> Condition<Sessions> {
    let old: Condition<Sessions> = Box::new(lower_bound().lt(Moment(cutoff)));
    match user {
        None => old,
        Some(user) => Box::new(old.and(sessions::user_id.eq(user.hyphenated().to_string()))),
    }
}

/// The rule itself, on a candidate.
fn idle(cutoff: DateTime<Utc>) -> Condition<Sessions> {
    let written_since = messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(from_guest())
        .filter(messages::timestamp.ge(Moment(cutoff)));
    Box::new(
        sessions::created_at
            .lt(Moment(cutoff))
            .and(not(exists(written_since))),
    )
}

/// What lies behind a place in the order of `lower_bound` and id.
fn behind(after: Option<&Cursor>) -> Condition<Sessions> {
    match after {
        None => Box::new(true.into_sql::<Bool>()),
        Some(Cursor { since, id }) => Box::new(
            lower_bound().ge(Moment(*since)).and(
                lower_bound()
                    .gt(Moment(*since))
                    .or(sessions::id.gt(id.clone())),
            ),
        ),
    }
}

/// Deletes a batch of idle sessions.
pub(super) fn delete(conn: &mut SqliteConnection, pass: &Pass, user: Option<Uuid>) -> Tried<Batch> {
    let together =
        conn.immediate_transaction(|conn| delete_picked(conn, pass, user, delete_together));
    match together {
        // One row that cannot go must not keep the others.
        Err(error) if error.refusal().is_some() => {
            conn.immediate_transaction(|conn| delete_picked(conn, pass, user, delete_each))
        }
        done => done,
    }
}

type DeleteIdle = fn(&mut SqliteConnection, Vec<String>, DateTime<Utc>, Batch) -> Tried<Batch>;

fn delete_picked(
    conn: &mut SqliteConnection,
    pass: &Pass,
    user: Option<Uuid>,
    delete_idle: DeleteIdle,
) -> Tried<Batch> {
    Trouble::unless_throttle_fits(pass, tables::throttle(conn)?)?;
    let picked: Vec<(String, Moment)> = sessions::table
        .filter(candidate(pass.cutoff, user))
        .filter(behind(pass.after.as_ref()))
        .order((lower_bound(), sessions::id))
        .limit(pass.limit.get().into())
        .select((sessions::id, lower_bound()))
        .load(conn)?;
    let reached = if picked.len() == pass.limit.get() as usize {
        picked.last().map(|(id, since)| Cursor {
            since: since.0,
            id: id.clone(),
        })
    } else {
        None
    };
    let picked: Vec<String> = picked.into_iter().map(|(id, _)| id).collect();
    let idle_ids: Vec<String> = sessions::table
        .filter(among("sessions.id", &picked))
        .filter(idle(pass.cutoff))
        .order((lower_bound(), sessions::id))
        .select(sessions::id)
        .load(conn)?;
    move_forward(conn, &picked, &idle_ids)?;
    let batch = Batch {
        reached,
        ..Batch::default()
    }
    .counted("sessions", 0)
    .counted("image_records", 0)
    .counted("video_records", 0);
    delete_idle(conn, idle_ids, pass.cutoff, batch)
}

/// Brings the stored instant of candidates that live up to date, so that the next run does not look at them again.
fn move_forward(
    conn: &mut SqliteConnection,
    picked: &[String],
    idle_ids: &[String],
) -> QueryResult<()> {
    let idle_ids: HashSet<&String> = idle_ids.iter().collect();
    let live: Vec<String> = picked
        .iter()
        .filter(|id| !idle_ids.contains(id))
        .cloned()
        .collect();
    if !live.is_empty() {
        diesel::update(sessions::table)
            .filter(among("sessions.id", &live))
            .set(sessions::last_activity_at.eq(true_activity().nullable()))
            .execute(conn)?;
    }
    Ok(())
}

fn delete_together(
    conn: &mut SqliteConnection,
    ids: Vec<String>,
    cutoff: DateTime<Utc>,
    batch: Batch,
) -> Tried<Batch> {
    if ids.is_empty() {
        return Ok(batch);
    }
    let images = diesel::delete(image_sent::table)
        .filter(among("image_sent.session_id", &ids))
        .execute(conn)?;
    let videos = diesel::delete(video_sent::table)
        .filter(among("video_sent.session_id", &ids))
        .execute(conn)?;
    let gone = diesel::delete(sessions::table)
        .filter(among("sessions.id", &ids))
        .filter(idle(cutoff))
        .execute(conn)?;
    if gone != ids.len() {
        return Err(Trouble::other(
            "a session came to life while its records were deleted",
        ));
    }
    let mut batch = batch
        .counted("sessions", gone as u64)
        .counted("image_records", images as u64)
        .counted("video_records", videos as u64);
    batch.ids.extend(ids);
    Ok(batch)
}

fn delete_each(
    conn: &mut SqliteConnection,
    ids: Vec<String>,
    cutoff: DateTime<Utc>,
    mut batch: Batch,
) -> Tried<Batch> {
    for id in ids {
        let so_far = batch.clone();
        let one = vec![id.clone()];
        match conn.transaction(|conn| delete_together(conn, one, cutoff, so_far)) {
            Ok(more) => batch = more,
            Err(error) => match error.refusal() {
                Some(error) => batch.set_aside.push(SetAside { id, error }),
                None => return Err(error),
            },
        }
    }
    Ok(batch)
}
