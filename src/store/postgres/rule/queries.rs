//! Looking at the rows of a rule without changing them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::cursor::{cursor, instant, place};
use super::floor;
use super::plan::{Plan, Values, user};
use super::stamp::LAST;
use crate::job::{BoundedCount, Forecast, Page, PreviewRow, PreviewRows, Scope};
use crate::store::counted::{PROBE, capped};

type Shown = (Text, Nullable<Text>, BigInt, Text, Array<Nullable<Text>>);

/// Id, user, instant, place and details.
type Found = (String, Option<String>, i64, String, Vec<Option<String>>);

/// A page of due rows.
pub(super) async fn preview(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    (now, cutoff): (DateTime<Utc>, DateTime<Utc>),
    scope: &Scope,
    page: &Page,
) -> QueryResult<PreviewRows> {
    let after = place(page.after.as_ref(), plan.keys)
        .map_err(|error| diesel::result::Error::QueryBuilderError(error.into()))?;
    let size = page.size.get().min(Page::MAX_SIZE);
    let values = Values {
        scope: user(scope),
        after: &after,
        limit: i64::from(size) + 1,
        ..Values::at(now, cutoff)
    };
    let template = plan.preview.get(&values);
    let mut found: Vec<Found> = template
        .bind::<Shown>(|name| plan.value(name, &values))
        .load(conn)
        .await?;
    let more = found.len() > size as usize;
    found.truncate(size as usize);
    let next = found.last().filter(|_| more);
    let next = next.map(|(_, _, micros, place, _)| cursor(place, *micros));
    let rows = found
        .into_iter()
        .map(|(id, user, micros, _, details)| PreviewRow {
            id,
            user,
            since: instant(micros),
            details: plan
                .shown
                .iter()
                .zip(details)
                .filter_map(|(name, value)| Some((name.clone(), value?)))
                .collect(),
        });
    Ok(PreviewRows {
        cutoff,
        rows: rows.collect(),
        due: count(conn, plan, &values).await?,
        next,
    })
}

pub(super) async fn count(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<BoundedCount> {
    let values = Values {
        scope: values.scope,
        rejected: values.rejected,
        floor: values.floor,
        limit: PROBE,
        ..Values::at(values.now, values.cutoff)
    };
    let template = plan.count.get(&values);
    let counted: i64 = template
        .bind::<BigInt>(|name| plan.value(name, &values))
        .get_result(conn)
        .await?;
    Ok(capped(counted))
}

/// Rows still due, when the next one falls due, and where the next run may begin.
pub(super) async fn forecast(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<(Forecast, Option<String>)> {
    // Dead entries in front of it are walked once, and not by each statement.
    let begin = floor::first(conn, plan, values).await?;
    let old_floor = values.floor;
    let values = &Values {
        rejected: values.rejected,
        floor: begin.as_deref().or(old_floor),
        ..Values::at(values.now, values.cutoff)
    };
    let due = count(conn, plan, values).await?;
    let now = values.now.timestamp_micros();
    let mut forecast = Forecast {
        due,
        max_age: plan.max_age,
        ..Forecast::default()
    };
    if due.count > 0 {
        let oldest: Option<i64> = plan
            .oldest
            .bind::<Nullable<BigInt>>(|name| plan.value(name, values))
            .get_result(conn)
            .await?;
        forecast.oldest_overdue = oldest.map(|since| distance(since, now));
        forecast.next_due = Some(Duration::ZERO);
        return Ok((forecast, old_floor.map(str::to_owned)));
    }
    let mut next: Option<i64> = plan
        .next
        .bind::<BigInt>(|name| plan.value(name, values))
        .get_result(conn)
        .await
        .optional()?;
    if let Some(held) = &plan.next_held {
        let held: Option<i64> = held
            .bind::<Nullable<BigInt>>(|name| plan.value(name, values))
            .get_result(conn)
            .await?;
        next = next.into_iter().chain(held).min();
    }
    // A row due at the end of the calendar, or at infinity, is never due.
    forecast.next_due = next
        .filter(|next| *next < LAST)
        .map(|next| distance(now, next));
    let cutoff = plan.form.text(values.cutoff);
    Ok((forecast, Some(begin.unwrap_or(cutoff))))
}

fn distance(from: i64, to: i64) -> Duration {
    Duration::from_micros(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}
