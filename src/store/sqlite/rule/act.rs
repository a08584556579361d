//! The steps on the rows at hand, inside a transaction.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::host_text::HostText;
use super::plan::{Plan, Values};
use crate::job::Batch;
use crate::store::tx_error::{TxError, TxResult};

/// Address, id, what keeps it, key.
pub(super) type Judged = (i64, HostText, Option<HostText>, HostText);

/// Fails if activity may be noted so late that a row would look due and live.
pub(super) fn check_lag(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> TxResult<()> {
    let Some(template) = &plan.lag else {
        return Ok(());
    };
    let lag: i64 = template
        .bind::<BigInt>(|name| plan.value(name, values))
        .get_result(conn)?;
    TxError::unless_throttle_fits(values.now, values.cutoff, lag)
}

/// Notes the activity of those rows at hand that looked due and live.
pub(super) fn move_forward(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<()> {
    if let Some(moved) = &plan.moved {
        moved
            .get(values)
            .bind::<BigInt>(|name| plan.value(name, values))
            .execute(conn)?;
    }
    Ok(())
}

pub(super) fn judge(
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
pub(super) fn act(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
    rows: Vec<Judged>,
    batch: &mut Batch,
) -> TxResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut counts = vec![0; plan.kinds.len()];
    let mut handed = Vec::new();
    for step in &plan.steps {
        let count = step
            .template
            .bind::<BigInt>(|name| plan.value(name, values))
            .execute(conn)?;
        if let Some(kind) = step.kind {
            counts[kind] = count;
        }
        handed.extend(step.hands.map(|kind| (kind, count)));
    }
    if counts[0] != rows.len() || handed.iter().any(|(kind, count)| counts[*kind] != *count) {
        return Err(TxError::SuppressedByTrigger);
    }
    for (kind, count) in plan.kinds.iter().zip(counts) {
        batch.counts.add(kind.as_str(), count as u64);
    }
    let keys: Vec<&str> = rows.iter().map(|row| row.3.0.as_str()).collect();
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
    if plan.has_triggers || plan.sets {
        is_over(conn, plan, &values)?;
    }
    let ids = rows.into_iter().map(|row| String::from(row.1));
    batch.ids.extend(ids);
    Ok(())
}

/// Fails if the rule matches a row at hand as before: it was set in vain, or a trigger has kept it,
/// set it back or inserted it again.
pub(super) fn is_over(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> TxResult<()> {
    for count in [Some(&plan.still), plan.again.as_ref()]
        .into_iter()
        .flatten()
    {
        let still: i64 = count
            .get(values)
            .bind::<BigInt>(|name| plan.value(name, values))
            .get_result(conn)?;
        if still > 0 {
            return Err(plan.as_before());
        }
    }
    Ok(())
}

/// A batch of no rows, whose kinds are known.
pub(super) fn empty(plan: &Plan) -> Batch {
    let kinds = plan.kinds.iter();
    kinds.fold(Batch::default(), |batch, kind| {
        batch.with_count(kind.as_str(), 0)
    })
}
