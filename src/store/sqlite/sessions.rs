//! The rule about idle sessions, on SQLite.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{self, exists, not, sql};
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

use super::schema::{
    Condition, among, coalesce, image_sent, later_of, messages, not_among, sessions, video_sent,
};
use super::time::Moment;
use crate::batch::{Batch, Cursor, Pass, SetAside};
use crate::outlook::Outlook;
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

/// A page of idle sessions.
pub(super) fn preview(
    conn: &mut SqliteConnection,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    conn.transaction(|conn| {
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
            .load(conn)?;
        let more = found.len() > size as usize;
        found.truncate(size as usize);
        let next = found.last().filter(|_| more).map(|row| Cursor {
            since: row.2.0,
            id: row.0.clone(),
        });
        Ok(PreviewRows {
            cutoff,
            rows: found.into_iter().map(preview_row).collect(),
            due: count(conn, cutoff, user, &[])?,
            next,
        })
    })
}

/// Id, user, stored instant, true last activity, images, videos.
type Found = (String, String, Moment, Moment, Option<i64>, Option<i64>);

fn preview_row((id, user, _, since, images, videos): Found) -> PreviewRow {
    let details = [("image_records", images), ("video_records", videos)];
    PreviewRow {
        id,
        user: Some(user),
        since: since.0,
        details: BTreeMap::from(
            details.map(|(name, count)| (name.to_owned(), count.unwrap_or(0).to_string())),
        ),
    }
}

fn count(
    conn: &mut SqliteConnection,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    set_aside: &[String],
) -> QueryResult<crate::outlook::Capped> {
    let due = sessions::table
        .filter(candidate(cutoff, user))
        .filter(idle(cutoff))
        .filter(not_among("sessions.id", set_aside))
        .select(sessions::id)
        .limit(PROBE);
    Counted(due).get_result(conn).map(capped)
}

/// What is still idle, and when the next session could become so.
pub(super) fn outlook(
    conn: &mut SqliteConnection,
    now: DateTime<Utc>,
    idle_after: Duration,
    set_aside: &[String],
) -> QueryResult<Outlook> {
    let cutoff = span::before(now, idle_after);
    conn.transaction(|conn| {
        let oldest: Vec<Moment> = sessions::table
            .filter(candidate(cutoff, None))
            .filter(idle(cutoff))
            .filter(not_among("sessions.id", set_aside))
            .order((lower_bound(), sessions::id))
            .limit(span::OLDEST)
            .select(true_activity())
            .load(conn)?;
        let next: Option<Moment> = sessions::table
            .filter(not_among("sessions.id", set_aside))
            .order((lower_bound(), sessions::id))
            .select(lower_bound())
            .first(conn)
            .optional()?;
        Ok(Outlook {
            due: count(conn, cutoff, None, set_aside)?,
            oldest_overdue: oldest
                .into_iter()
                .min()
                .map(|since| span::since(now, span::after(since.0, idle_after))),
            next_due: next.map(|since| span::until(now, span::strictly_after(since.0, idle_after))),
            age: Some(idle_after),
        })
    })
}
