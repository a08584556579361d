//! The rule about idle sessions, on Postgres.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists, not, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};
use uuid::Uuid;

use super::manner::Manner;
use super::schema::{Condition, coalesce, image_sent, later_of, messages, sessions, video_sent};
use super::tables;
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
    later_of(sessions::created_at, newest_message().single_value())
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

/// As text and not as a value, so that every plan can use the partial index.
fn from_guest() -> SqlLiteral<Bool> {
    sql("messages.sender = 'user'")
}

/// Sessions worth a look: cheap to find, and all idle ones are among them.
fn candidate(cutoff: DateTime<Utc>, user: Option<Uuid>) -> Condition<Sessions> {
    let old: Condition<Sessions> = Box::new(lower_bound().lt(cutoff));
    match user {
        None => old,
        Some(user) => Box::new(old.and(sessions::user_id.eq(user))),
    }
}

/// The rule itself, on a candidate.
fn idle(cutoff: DateTime<Utc>) -> Condition<Sessions> {
    let written_since = messages::table
        .filter(messages::user_id.eq(sessions::user_id))
        .filter(from_guest())
        .filter(messages::timestamp.ge(cutoff));
    Box::new(
        sessions::created_at
            .lt(cutoff)
            .and(not(exists(written_since))),
    )
}

/// What lies behind a place in the order of `lower_bound` and id.
fn behind(after: Option<&Cursor>) -> Condition<Sessions> {
    match after {
        None => Box::new(true.into_sql::<Bool>()),
        Some(Cursor { since, id }) => Box::new(
            lower_bound()
                .ge(*since)
                .and(lower_bound().gt(*since).or(sessions::id.gt(id.clone()))),
        ),
    }
}

/// Deletes a batch of idle sessions.
pub(super) async fn delete(
    conn: &mut AsyncPgConnection,
    pass: &Pass,
    user: Option<Uuid>,
    manner: Manner,
) -> Tried<Batch> {
    Trouble::unless_throttle_fits(pass, tables::throttle(conn).await?)?;
    let picked: Vec<(String, DateTime<Utc>)> = sessions::table
        .filter(candidate(pass.cutoff, user))
        .filter(behind(pass.after.as_ref()))
        .order((lower_bound(), sessions::id))
        .limit(pass.limit.get().into())
        .select((sessions::id, lower_bound()))
        .for_update()
        .skip_locked()
        .load(conn)
        .await?;
    let reached = if picked.len() == pass.limit.get() as usize {
        picked.last().map(|(id, since)| Cursor {
            since: *since,
            id: id.clone(),
        })
    } else {
        None
    };
    let batch = Batch {
        reached,
        ..Batch::default()
    }
    .counted("sessions", 0)
    .counted("image_records", 0)
    .counted("video_records", 0);
    if picked.is_empty() {
        return Ok(batch);
    }
    let picked: Vec<String> = picked.into_iter().map(|(id, _)| id).collect();
    // A statement of its own, after the locks: it sees every message committed by now, and a later one waits for the lock.
    let idle_ids: Vec<String> = sessions::table
        .filter(sessions::id.eq_any(picked.clone()))
        .filter(idle(pass.cutoff))
        .order((lower_bound(), sessions::id))
        .select(sessions::id)
        .load(conn)
        .await?;
    move_forward(conn, picked, &idle_ids).await?;
    match manner {
        Manner::Together => delete_together(conn, idle_ids, pass.cutoff, batch).await,
        Manner::Each => delete_each(conn, idle_ids, pass.cutoff, batch).await,
    }
}

/// Brings the stored instant of candidates that live up to date, so that the next run does not look at them again.
async fn move_forward(
    conn: &mut AsyncPgConnection,
    picked: Vec<String>,
    idle_ids: &[String],
) -> QueryResult<()> {
    let idle_ids: HashSet<&String> = idle_ids.iter().collect();
    let live: Vec<String> = picked
        .into_iter()
        .filter(|id| !idle_ids.contains(id))
        .collect();
    if !live.is_empty() {
        diesel::update(sessions::table)
            .filter(sessions::id.eq_any(live))
            .set(sessions::last_activity_at.eq(true_activity().nullable()))
            .execute(conn)
            .await?;
    }
    Ok(())
}

async fn delete_together(
    conn: &mut AsyncPgConnection,
    ids: Vec<String>,
    cutoff: DateTime<Utc>,
    batch: Batch,
) -> Tried<Batch> {
    if ids.is_empty() {
        return Ok(batch);
    }
    let images = diesel::delete(image_sent::table)
        .filter(image_sent::session_id.eq_any(&ids))
        .execute(conn)
        .await?;
    let videos = diesel::delete(video_sent::table)
        .filter(video_sent::session_id.eq_any(&ids))
        .execute(conn)
        .await?;
    let gone: Vec<String> = diesel::delete(sessions::table)
        .filter(sessions::id.eq_any(ids.clone()))
        .filter(idle(cutoff))
        .returning(sessions::id)
        .get_results(conn)
        .await?;
    if gone.len() != ids.len() {
        return Err(Trouble::other(
            "a session came to life while its records were deleted",
        ));
    }
    let mut batch = batch
        .counted("sessions", gone.len() as u64)
        .counted("image_records", images as u64)
        .counted("video_records", videos as u64);
    batch.ids.extend(gone);
    Ok(batch)
}

async fn delete_each(
    conn: &mut AsyncPgConnection,
    ids: Vec<String>,
    cutoff: DateTime<Utc>,
    mut batch: Batch,
) -> Tried<Batch> {
    // A constraint that is only checked at the commit would refuse all rows for one.
    conn.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
    for id in ids {
        AnsiTransactionManager::begin_transaction(conn).await?;
        match delete_together(conn, vec![id.clone()], cutoff, batch.clone()).await {
            Ok(more) => {
                AnsiTransactionManager::commit_transaction(conn).await?;
                batch = more;
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
    Ok(batch)
}
