//! Looking at idle sessions, on Postgres, without changing them.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::super::schema::{image_sent, sessions, video_sent};
use super::{behind, candidate, idle, lower_bound, true_activity};
use crate::job::{BoundedCount, Cursor, Forecast, Page, PreviewRow, PreviewRows};
use crate::store::counted::{Counted, PROBE, capped};
use crate::store::due;

/// A page of idle sessions.
pub(in super::super) async fn preview(
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
    rejected: &[String],
) -> QueryResult<BoundedCount> {
    let counted = {
        let due = sessions::table
            .filter(candidate(cutoff, user))
            .filter(idle(cutoff))
            .filter(sessions::id.ne_all(rejected.to_vec()))
            // For the sake of its index, as with bookings.
            .order((lower_bound(), sessions::id))
            .select(sessions::id)
            .limit(PROBE);
        Counted(due).get_result(conn)
    };
    counted.await.map(capped)
}

/// What is still idle, and when the next session could become so.
pub(in super::super) async fn forecast(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    idle_after: Duration,
    rejected: &[String],
) -> QueryResult<Forecast> {
    let cutoff = crate::time::before(now, idle_after);
    let oldest: Vec<DateTime<Utc>> = sessions::table
        .filter(candidate(cutoff, None))
        .filter(idle(cutoff))
        .filter(sessions::id.ne_all(rejected.to_vec()))
        .order((lower_bound(), sessions::id))
        .limit(due::OLDEST)
        .select(true_activity())
        .load(conn)
        .await?;
    let next: Option<DateTime<Utc>> = sessions::table
        .filter(sessions::id.ne_all(rejected.to_vec()))
        .order((lower_bound(), sessions::id))
        .select(lower_bound())
        .first(conn)
        .await
        .optional()?;
    Ok(Forecast {
        due: count(conn, cutoff, None, rejected).await?,
        oldest_overdue: oldest
            .into_iter()
            .min()
            .map(|since| crate::time::since(now, crate::time::after(since, idle_after))),
        next_due: next
            .map(|since| crate::time::until(now, crate::time::strictly_after(since, idle_after))),
        max_age: Some(idle_after),
    })
}
