//! The rule about idle sessions, on Postgres.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

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

use super::schema::{Condition, coalesce, image_sent, later_of, messages, sessions, video_sent};
use crate::batch::{Batch, Cursor, Pass, SetAside};
use crate::outlook::{Capped, Outlook};
use crate::preview::{Page, PreviewRow, PreviewRows};
use crate::store::counted::{Counted, PROBE, capped};
use crate::store::span;
use crate::store::trouble::{Tried, Trouble};

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

/// How the idle ones of a batch are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// All at once.
    Together,
    /// One by one, setting aside those that cannot go.
    Each,
}

/// Deletes a batch of idle sessions.
pub(super) async fn delete(
    conn: &mut AsyncPgConnection,
    pass: &Pass,
    user: Option<Uuid>,
    manner: Manner,
) -> Tried<Batch> {
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

/// A page of idle sessions.
pub(super) async fn preview(
    conn: &mut AsyncPgConnection,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    let size = page.size.get().min(Page::MAX_SIZE);
    let mut found: Vec<Found> = sessions::table
        .filter(candidate(cutoff, user))
        .filter(behind(page.after.as_ref()))
        .filter(idle(cutoff))
        .order((lower_bound(), sessions::id))
        .limit(i64::from(size) + 1)
        .select((
            sessions::id,
            sessions::user_id,
            lower_bound(),
            true_activity(),
            image_sent::table
                .filter(image_sent::session_id.eq(sessions::id))
                .count()
                .single_value(),
            video_sent::table
                .filter(video_sent::session_id.eq(sessions::id))
                .count()
                .single_value(),
        ))
        .load(conn)
        .await?;
    let more = found.len() > size as usize;
    found.truncate(size as usize);
    let next = found.last().filter(|_| more).map(|row| Cursor {
        since: row.2,
        id: row.0.clone(),
    });
    Ok(PreviewRows {
        cutoff,
        rows: found.into_iter().map(preview_row).collect(),
        due: count(conn, cutoff, user, &[]).await?,
        next,
    })
}

/// Id, user, stored instant, true last activity, images, videos.
type Found = (
    String,
    Uuid,
    DateTime<Utc>,
    DateTime<Utc>,
    Option<i64>,
    Option<i64>,
);

fn preview_row((id, user, _, since, images, videos): Found) -> PreviewRow {
    let details = [("image_records", images), ("video_records", videos)];
    PreviewRow {
        id,
        user: Some(user.to_string()),
        since,
        details: BTreeMap::from(
            details.map(|(name, count)| (name.to_owned(), count.unwrap_or(0).to_string())),
        ),
    }
}

async fn count(
    conn: &mut AsyncPgConnection,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    set_aside: &[String],
) -> QueryResult<Capped> {
    let counted = {
        let due = sessions::table
            .filter(candidate(cutoff, user))
            .filter(idle(cutoff))
            .filter(sessions::id.ne_all(set_aside.to_vec()))
            .select(sessions::id)
            .limit(PROBE);
        Counted(due).get_result(conn)
    };
    counted.await.map(capped)
}

/// What is still idle, and when the next session could become so.
pub(super) async fn outlook(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    idle_after: Duration,
    set_aside: &[String],
) -> QueryResult<Outlook> {
    let cutoff = span::before(now, idle_after);
    let oldest: Vec<DateTime<Utc>> = sessions::table
        .filter(candidate(cutoff, None))
        .filter(idle(cutoff))
        .filter(sessions::id.ne_all(set_aside.to_vec()))
        .order((lower_bound(), sessions::id))
        .limit(span::OLDEST)
        .select(true_activity())
        .load(conn)
        .await?;
    let next: Option<DateTime<Utc>> = sessions::table
        .filter(sessions::id.ne_all(set_aside.to_vec()))
        .order((lower_bound(), sessions::id))
        .select(lower_bound())
        .first(conn)
        .await
        .optional()?;
    Ok(Outlook {
        due: count(conn, cutoff, None, set_aside).await?,
        oldest_overdue: oldest
            .into_iter()
            .min()
            .map(|since| span::since(now, span::after(since, idle_after))),
        next_due: next.map(|since| span::until(now, span::strictly_after(since, idle_after))),
        age: Some(idle_after),
    })
}
