//! A batch of a rule.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::super::row_id_buffer::{self, Found};
use super::plan::{Plan, Values};
use super::quoted::unquoted;
use super::{Known, place, user};
use crate::job::{Batch, BatchRequest, Cursor, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

/// Address, id, what keeps it, key.
type Judged = (i64, String, Option<String>, String);

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
        return by_key(conn, plan, request, &values);
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
        let end: Option<String> = if is_full {
            plan.window_end
                .get(&values)
                .bind::<Text>(|name| plan.value(name, &values))
                .get_result(conn)
                .optional()?
        } else {
            None
        };
        let end = end.map(|place| cursor(plan, &place, request.cutoff));
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
    let all = |conn: &mut SqliteConnection, plan: &Plan| {
        conn.immediate_transaction(|conn| together(conn, plan, values, rows))
    };
    let is_refused = |done: &TxResult<Batch>| done.as_ref().is_err_and(|e| e.refusal().is_some());
    let mut done = all(conn, plan);
    if is_refused(&done) && known.suspect_keys() {
        let suspecting = known.plan(conn)?;
        if suspecting.keeper != plan.keeper {
            done = all(conn, &suspecting);
        }
    }
    if !is_refused(&done) {
        return done;
    }
    // One row that cannot be written must not keep the others.
    let plan = &*known.plan(conn)?;
    conn.immediate_transaction(|conn| {
        check_lag(conn, plan, values)?;
        let mut batch = empty(plan);
        for row in rows {
            let addresses = json(&[*row]);
            let values = Values {
                rows: &addresses,
                ..values.clone()
            };
            alone(conn, plan, &values, &mut batch)?;
        }
        Ok(batch)
    })
}

/// Fails if activity may be noted so late that a row would look due and live.
fn check_lag(conn: &mut SqliteConnection, plan: &Plan, values: &Values<'_>) -> TxResult<()> {
    let Some(template) = &plan.lag else {
        return Ok(());
    };
    let lag: i64 = template
        .bind::<BigInt>(|name| plan.value(name, values))
        .get_result(conn)?;
    TxError::unless_throttle_fits(values.now, values.cutoff, lag)
}

/// Notes the activity of those rows at hand that looked due and live.
fn move_forward(conn: &mut SqliteConnection, plan: &Plan, values: &Values<'_>) -> QueryResult<()> {
    if let Some(moved) = &plan.moved {
        moved
            .get(values)
            .bind::<BigInt>(|name| plan.value(name, values))
            .execute(conn)?;
    }
    Ok(())
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
        batch.ids = at_once
            .get(&values)
            .bind::<Text>(|name| plan.value(name, &values))
            .load(conn)?;
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
        let error = keeper.unwrap_or_default();
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

/// Writes the one row that the values name, or has it rejected.
fn alone(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
    batch: &mut Batch,
) -> TxResult<()> {
    let Some(row) = judge(conn, plan, values)?.pop() else {
        return Ok(move_forward(conn, plan, values)?);
    };
    let id = row.1.clone();
    if let Some(error) = row.2 {
        batch.rejected.push(RejectedRow { id, error });
        return Ok(());
    }
    let mut done = Batch::default();
    match conn.transaction(|conn| act(conn, plan, values, vec![row], &mut done)) {
        Ok(()) => {
            batch.counts.merge(&done.counts);
            batch.ids.extend(done.ids);
        }
        Err(error) => match error.refusal() {
            Some(error) => batch.rejected.push(RejectedRow { id, error }),
            None => return Err(error),
        },
    }
    Ok(())
}

fn judge(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<Vec<Judged>> {
    plan.judge
        .get(values)
        .bind::<(BigInt, Text, Nullable<Text>, Text)>(|name| plan.value(name, values))
        .load(conn)
}

/// Applies the rule's action to the rows at hand. No other connection writes meanwhile.
fn act(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
    rows: Vec<Judged>,
    batch: &mut Batch,
) -> TxResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    for step in &plan.steps {
        let written = step
            .template
            .bind::<BigInt>(|name| plan.value(name, values))
            .execute(conn)?;
        if step.writes_all && written != rows.len() {
            return Err(TxError::SuppressedByTrigger);
        }
        if let Some(kind) = step.kind {
            batch.counts.add(plan.kinds[kind].as_str(), written as u64);
        }
    }
    if !plan.then.is_empty() {
        let keys: Vec<&str> = rows.iter().map(|row| row.3.as_str()).collect();
        let written = format!("[{}]", keys.join(","));
        let values = Values {
            written: &written,
            ..values.clone()
        };
        for template in &plan.then {
            template
                .bind::<BigInt>(|name| plan.value(name, &values))
                .execute(conn)?;
        }
    }
    if plan.has_triggers {
        is_over(conn, plan, values)?;
    }
    batch.ids.extend(rows.into_iter().map(|row| row.1));
    Ok(())
}

/// Fails if the rule matches a row at hand as before, which a trigger has kept or set back.
fn is_over(conn: &mut SqliteConnection, plan: &Plan, values: &Values<'_>) -> TxResult<()> {
    let still: i64 = plan
        .still
        .get(values)
        .bind::<BigInt>(|name| plan.value(name, values))
        .get_result(conn)?;
    if still > 0 {
        return Err(TxError::SuppressedByTrigger);
    }
    Ok(())
}

/// A batch of a table whose rows have no address: one by one, by their keys.
fn by_key(
    conn: &mut SqliteConnection,
    plan: &Plan,
    request: &BatchRequest,
    values: &Values<'_>,
) -> TxResult<Batch> {
    conn.immediate_transaction(|conn| {
        check_lag(conn, plan, values)?;
        let places: Vec<String> = plan
            .places
            .get(values)
            .bind::<Text>(|name| plan.value(name, values))
            .load(conn)?;
        let mut batch = empty(plan);
        for place in &places {
            let parts: Vec<String> = serde_json::from_str(place).map_err(TxError::other)?;
            let values = Values {
                key: parts.get(1..).unwrap_or_default(),
                ..values.clone()
            };
            alone(conn, plan, &values, &mut batch)?;
        }
        let is_full = places.len() == request.limit.get() as usize;
        batch.next_cursor = places
            .into_iter()
            .next_back()
            .filter(|_| is_full)
            .map(|place| cursor(plan, &place, request.cutoff));
        Ok(batch)
    })
}

/// A batch of no rows, whose kinds are known.
fn empty(plan: &Plan) -> Batch {
    let kinds = plan.kinds.iter();
    kinds.fold(Batch::default(), |batch, kind| {
        batch.with_count(kind.as_str(), 0)
    })
}

fn json(rows: &[i64]) -> String {
    serde_json::Value::from(rows).to_string()
}
