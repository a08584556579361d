//! Looking at idle sessions, on SQLite, without changing them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use uuid::Uuid;

use super::super::expressions::not_among;
use super::super::row_id_buffer;
use super::super::schema::{image_sent, sessions, video_sent};
use super::super::time::Moment;
use super::{behind, candidate, idle, lower_bound, true_activity};
use crate::job::{BoundedCount, Cursor, Forecast, Page, PreviewRow, PreviewRows};
use crate::store::counted::{Counted, PROBE, capped};
use crate::store::due;

/// A page of idle sessions.
pub(in super::super) fn preview(
    conn: &mut SqliteConnection,
    cutoff: DateTime<Utc>,
    user: Option<Uuid>,
    page: &Page,
) -> QueryResult<PreviewRows> {
    conn.transaction(|conn| {
        let size = page.size.get().min(Page::MAX_SIZE);
        let begin = page.after.clone().unwrap_or_else(row_id_buffer::start);
        let mut found: Vec<Found> = due(cutoff, user)
            .filter(behind(Moment(begin.since), begin.id))
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

/// Everything the rule matches, or one user's part of it.
fn due(cutoff: DateTime<Utc>, user: Option<Uuid>) -> sessions::BoxedQuery<'static, Sqlite> {
    let all = sessions::table
        .filter(candidate(Moment(cutoff)))
        .filter(idle(Moment(cutoff)))
        .into_boxed();
    match user {
        None => all,
        Some(user) => all.filter(sessions::user_id.eq(user.hyphenated().to_string())),
    }
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
    rejected: &[String],
) -> QueryResult<BoundedCount> {
    let due = due(cutoff, user)
        .filter(not_among(sessions::id, rejected))
        .select(sessions::id)
        .limit(PROBE);
    Counted(due).get_result(conn).map(capped)
}

/// What is still idle, and when the next session could become so.
pub(in super::super) fn forecast(
    conn: &mut SqliteConnection,
    now: DateTime<Utc>,
    idle_after: Duration,
    rejected: &[String],
) -> QueryResult<Forecast> {
    let cutoff = crate::time::before(now, idle_after);
    conn.transaction(|conn| {
        let oldest: Vec<Moment> = due(cutoff, None)
            .filter(not_among(sessions::id, rejected))
            .order((lower_bound(), sessions::id))
            .limit(due::OLDEST)
            .select(true_activity())
            .load(conn)?;
        let next: Option<Moment> = sessions::table
            .filter(not_among(sessions::id, rejected))
            .order((lower_bound(), sessions::id))
            .select(lower_bound())
            .first(conn)
            .optional()?;
        Ok(Forecast {
            due: count(conn, cutoff, None, rejected)?,
            oldest_overdue: oldest
                .into_iter()
                .min()
                .map(|since| crate::time::since(now, crate::time::after(since.0, idle_after))),
            next_due: next.map(|since| {
                crate::time::until(now, crate::time::strictly_after(since.0, idle_after))
            }),
            max_age: Some(idle_after),
        })
    })
}
