//! A batch of a rule.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::super::row_id_buffer::{self, Found};
use super::act::{Judged, act, check_lag, empty, is_over, judge, move_forward};
use super::host_text::HostText;
use super::one_by_one::one_by_one;
use super::plan::{Plan, Values};
use super::quoted::unquoted;
use super::{Known, place, refused, user};
use crate::job::{Batch, BatchRequest, Cursor, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

pub(super) fn batch(
    conn: &mut SqliteConnection,
    known: &Known,
    request: &BatchRequest,
) -> TxResult<Batch> {
    let plan = &*known.plan(conn)?;
    let after = place(request.after.as_ref(), plan)?;
    let values = Values {
        scope: user(&request.scope),
        after: &after,
        limit: i64::from(request.limit.get()),
        ..Values::at(request.now, request.cutoff)
    };
    if plan.without_rowid {
        return by_key(conn, known, plan, request, &values);
    }
    let mut window = known
        .windows
        .take(request, || look_up(conn, plan, request, &values))?;
    let rows = window.slice(request.limit);
    let mut batch = write(conn, known, plan, &values, &rows)?;
    batch.next_cursor = window.next_cursor();
    known.windows.put_back(window);
    Ok(batch)
}

/// The addresses of the rows a run will look at next, in the order in which they lie in the file.
fn look_up(
    conn: &mut SqliteConnection,
    plan: &Plan,
    request: &BatchRequest,
    values: &Values<'_>,
) -> QueryResult<Found> {
    let values = Values {
        limit: row_id_buffer::SIZE,
        ..values.clone()
    };
    conn.transaction(|conn| {
        let rows: Vec<i64> = plan
            .addresses
            .get(&values)
            .bind::<BigInt>(|name| plan.value(name, &values))
            .load(conn)?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|rows| rows == row_id_buffer::SIZE);
        let end: Option<HostText> = if is_full {
            plan.window_end
                .get(&values)
                .bind::<Text>(|name| plan.value(name, &values))
                .get_result(conn)
                .optional()?
        } else {
            None
        };
        let end = end.map(|place| cursor(plan, &place.0, request.cutoff));
        Ok(Found { rows, end })
    })
}

/// A place, with its instant if it reads as one.
pub(super) fn cursor(plan: &Plan, place: &str, or: DateTime<Utc>) -> Cursor {
    let parts: Option<Vec<String>> = serde_json::from_str(place).ok();
    let since = parts.and_then(|parts| instant(plan, parts.first()?));
    crate::store::rule::cursor(since.unwrap_or(or), place)
}

/// A quoted instant, if it reads as one.
pub(super) fn instant(plan: &Plan, quoted: &str) -> Option<DateTime<Utc>> {
    let micros = plan.form.micros(&unquoted(quoted))?;
    DateTime::from_timestamp_micros(micros)
}

fn write(
    conn: &mut SqliteConnection,
    known: &Known,
    plan: &Plan,
    values: &Values<'_>,
    rows: &[i64],
) -> TxResult<Batch> {
    if rows.is_empty() {
        return Ok(empty(plan));
    }
    let mut done = all(conn, plan, values, rows);
    let mut is_refused = refuses(conn, &done);
    if is_refused && known.suspect_keys() {
        let suspecting = known.plan(conn)?;
        if suspecting.keeper != plan.keeper {
            done = all(conn, &suspecting, values, rows);
            is_refused = refuses(conn, &done);
        }
    }
    if !is_refused {
        return done;
    }
    let plan = &*known.plan(conn)?;
    let addresses: Vec<String> = rows.iter().map(|row| json(&[*row])).collect();
    let each = addresses.iter().map(|rows| Values {
        rows,
        ..values.clone()
    });
    one_by_one(conn, plan, &each.collect::<Vec<_>>(), &known.done)
}

fn all(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
    rows: &[i64],
) -> TxResult<Batch> {
    conn.immediate_transaction(|conn| {
        together(conn, plan, values, rows).inspect_err(|_| {
            refused::begin_again(conn);
        })
    })
}

fn refuses(conn: &mut SqliteConnection, done: &TxResult<Batch>) -> bool {
    let error = done.as_ref().err();
    error.is_some_and(|error| refused::reason(conn, error).is_some())
}

fn together(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
    rows: &[i64],
) -> TxResult<Batch> {
    check_lag(conn, plan, values)?;
    let addresses = json(rows);
    let mut batch = empty(plan);
    let values = Values {
        rows: &addresses,
        ..values.clone()
    };
    if let Some(at_once) = &plan.at_once {
        let written: Vec<(HostText, i64)> = at_once
            .get(&values)
            .bind::<(Text, BigInt)>(|name| plan.value(name, &values))
            .load(conn)?;
        if written.iter().any(|(_, as_before)| *as_before > 0) {
            return Err(plan.as_before());
        }
        batch.ids = written.into_iter().map(|(id, _)| id.into()).collect();
        if batch.ids.len() < rows.len() {
            move_forward(conn, plan, &values)?;
        }
        if plan.has_triggers || batch.ids.len() < rows.len() {
            is_over(conn, plan, &values)?;
        }
        let count = batch.ids.len() as u64;
        batch.counts.add(plan.kinds[0].as_str(), count);
        return Ok(batch);
    }
    let judged = judge(conn, plan, &values)?;
    if judged.len() < rows.len() {
        move_forward(conn, plan, &values)?;
    }
    let (free, kept): (Vec<Judged>, Vec<Judged>) =
        judged.into_iter().partition(|row| row.2.is_none());
    for (_, id, keeper, _) in kept {
        let (id, error) = (id.into(), keeper.map(String::from).unwrap_or_default());
        batch.rejected.push(RejectedRow { id, error });
    }
    let addresses = json(&free.iter().map(|row| row.0).collect::<Vec<i64>>());
    let values = Values {
        rows: &addresses,
        ..values
    };
    act(conn, plan, &values, free, &mut batch)?;
    Ok(batch)
}

/// A batch of a table whose rows have no address: one by one, by their keys.
fn by_key(
    conn: &mut SqliteConnection,
    known: &Known,
    plan: &Plan,
    request: &BatchRequest,
    values: &Values<'_>,
) -> TxResult<Batch> {
    let places: Vec<HostText> = plan
        .places
        .get(values)
        .bind::<Text>(|name| plan.value(name, values))
        .load(conn)?;
    let parts: Result<Vec<Vec<String>>, _> = places
        .iter()
        .map(|place| serde_json::from_str(&place.0))
        .collect();
    let parts = parts.map_err(TxError::other)?;
    let rows: Vec<Values<'_>> = parts
        .iter()
        .map(|parts| Values {
            key: parts.get(1..).unwrap_or_default(),
            ..values.clone()
        })
        .collect();
    let mut batch = one_by_one(conn, plan, &rows, &known.done)?;
    let is_full = places.len() == request.limit.get() as usize;
    batch.next_cursor = places
        .last()
        .filter(|_| is_full)
        .map(|place| cursor(plan, &place.0, request.cutoff));
    Ok(batch)
}

fn json(rows: &[i64]) -> String {
    serde_json::Value::from(rows).to_string()
}
