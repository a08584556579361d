//! Looking at the rows of a rule without changing them.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::host_text::HostText;
use super::plan::{OLDEST, Plan, Values};
use super::quoted::unquoted;
use super::write::{cursor, instant};
use crate::job::{BoundedCount, Forecast, Page, PreviewRow, PreviewRows};
use crate::store::counted::{PROBE, capped};
use crate::store::rule::Template;
use crate::store::tx_error::TxResult;

/// A page of due rows.
pub(super) fn preview(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
    page: &Page,
) -> TxResult<PreviewRows> {
    conn.transaction(|conn| {
        let size = page.size.get().min(Page::MAX_SIZE);
        let values = Values {
            limit: i64::from(size) + 1,
            ..values.clone()
        };
        let mut found: Vec<(HostText, Option<HostText>, HostText, HostText, HostText)> = plan
            .preview
            .get(&values)
            .bind::<(Text, Nullable<Text>, Text, Text, Text)>(|name| plan.value(name, &values))
            .load(conn)?;
        let more = found.len() > size as usize;
        found.truncate(size as usize);
        let next = found.last().filter(|_| more);
        let next = next.map(|row| cursor(plan, &row.2.0, values.cutoff));
        let rows = found.into_iter().map(|(id, user, _, since, details)| {
            let details: Vec<Option<String>> = serde_json::from_str(&details.0).unwrap_or_default();
            PreviewRow {
                id: id.into(),
                user: user.map(String::from),
                since: instant(plan, &since.0).unwrap_or(values.cutoff),
                details: plan
                    .shown
                    .iter()
                    .zip(details)
                    .filter_map(|(name, value)| Some((name.clone(), value?)))
                    .collect(),
            }
        });
        Ok(PreviewRows {
            cutoff: values.cutoff,
            rows: rows.collect(),
            due: count(conn, plan, &values)?,
            next,
        })
    })
}

pub(super) fn count(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<BoundedCount> {
    let values = Values {
        limit: PROBE,
        after: &[],
        ..values.clone()
    };
    let counted: i64 = plan
        .count
        .get(&values)
        .bind::<BigInt>(|name| plan.value(name, &values))
        .get_result(conn)?;
    Ok(capped(counted))
}

/// Rows still due, and when the next one falls due.
pub(super) fn forecast(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> TxResult<Forecast> {
    conn.transaction(|conn| {
        let due = count(conn, plan, values)?;
        let now = values.now.timestamp_micros();
        let mut forecast = Forecast {
            due,
            max_age: plan.max_age,
            ..Forecast::default()
        };
        let after = micros(plan.after);
        if due.count > 0 {
            let oldest = instants(conn, plan, &plan.oldest, values)?;
            let oldest = oldest.into_iter().filter_map(|(at, held)| {
                let at = at?.saturating_add(after);
                Some(held.map_or(at, |held| at.max(held)))
            });
            // A row whose instant does not read counts as due.
            let since = oldest.min().unwrap_or(now);
            forecast.oldest_overdue = Some(distance(since, now));
            forecast.next_due = Some(Duration::ZERO);
            return Ok(forecast);
        }
        let later = after.saturating_add(micros(plan.unit));
        let free = instants(conn, plan, &plan.next, values)?;
        let mut next: Option<i64> = free
            .into_iter()
            .filter_map(|(at, _)| Some(at?.saturating_add(later)))
            .min();
        if let Some(template) = &plan.next_held {
            let held = instants(conn, plan, template, values)?;
            let is_full = held.len() == OLDEST as usize;
            let last = held.len().saturating_sub(1);
            for (number, (at, until)) in held.into_iter().enumerate() {
                let (Some(at), Some(until)) = (at, until) else {
                    continue;
                };
                // Behind the last one that was read there may be holds that end no earlier than its
                // own.
                let due = if is_full && number == last {
                    until
                } else {
                    until.max(at.saturating_add(later))
                };
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
        // The end of the calendar is never.
        forecast.next_due = next
            .filter(|next| *next < LAST)
            .map(|next| distance(now, next));
        Ok(forecast)
    })
}

/// Rows by their instant and the end of their hold, in microseconds since 1970; none for one that
/// does not read.
fn instants(
    conn: &mut SqliteConnection,
    plan: &Plan,
    template: &Template,
    values: &Values<'_>,
) -> QueryResult<Vec<(Option<i64>, Option<i64>)>> {
    let found: Vec<(HostText, HostText)> = template
        .bind::<(Text, Text)>(|name| plan.value(name, values))
        .load(conn)?;
    let read = found.into_iter().map(|(at, held)| {
        let held = plan
            .held
            .as_ref()
            .and_then(|form| form.micros(&unquoted(&held.0)));
        (plan.form.micros(&unquoted(&at.0)), held)
    });
    Ok(read.collect())
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn distance(from: i64, to: i64) -> Duration {
    Duration::from_micros(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

/// The end of the year 9999, in microseconds since 1970.
const LAST: i64 = 253_402_300_799_000_000;
