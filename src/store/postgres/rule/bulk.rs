//! A batch of a rule, all rows together.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::cursor::cursor;
use super::plan::{Plan, Values};
use crate::job::{Batch, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

/// The columns of a statement that writes.
type WrittenRow = (
    Array<Text>,
    BigInt,
    Array<Text>,
    Array<Text>,
    Nullable<Text>,
    Nullable<BigInt>,
    BigInt,
    Array<BigInt>,
    Nullable<Array<BigInt>>,
    Nullable<BigInt>,
);

/// The effect of a statement that writes.
#[derive(Queryable)]
struct Written {
    ids: Vec<String>,
    /// Rows that the rule matches as before.
    still: i64,
    kept: Vec<String>,
    keepers: Vec<String>,
    place: Option<String>,
    micros: Option<i64>,
    to_write: i64,
    counts: Vec<i64>,
    /// Counters of the server's statistics before it.
    tally: Option<Vec<i64>>,
    lag: Option<i64>,
}

/// The rows that were locked.
#[derive(Queryable)]
pub(super) struct Locked {
    pub(super) oids: Vec<String>,
    pub(super) tids: Vec<String>,
    pub(super) ids: Vec<String>,
    pub(super) places: Vec<String>,
    pub(super) micros: Vec<i64>,
}

type LockedRow = (
    Array<Text>,
    Array<Text>,
    Array<Text>,
    Array<Text>,
    Array<BigInt>,
);

/// The addresses of the rows that were locked, and the place of the last one if there may be more.
#[derive(Queryable)]
struct LockedTogether {
    /// Empty unless the table is partitioned.
    oids: Vec<String>,
    tids: Vec<String>,
    place: Option<String>,
    micros: Option<i64>,
}

type LockedTogetherRow = (Array<Text>, Array<Text>, Nullable<Text>, Nullable<BigInt>);

/// Picks, locks and writes in one statement.
pub(super) async fn sweep(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> TxResult<Batch> {
    let template = plan.sweep.get(values);
    let written: Written = template
        .bind::<WrittenRow>(|name| plan.value(name, values))
        .get_result(conn)
        .await?;
    let mut batch = written.into_batch(conn, plan, values).await?;
    // Each row goes once, so this place differs from others of the same instant.
    if let (Some(cursor), Some(last)) = (&mut batch.next_cursor, batch.ids.last()) {
        cursor.id.extend([" ", last]);
    }
    Ok(batch)
}

/// Locks rows first, and decides in a second statement, which sees what was committed until then.
///
/// In one statement, a payment that is committed while the rows are picked is not seen, and its
/// order expires.
pub(super) async fn lock_then_write(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> TxResult<Batch> {
    let template = plan.lock_together.get(values);
    let locked: LockedTogether = template
        .bind::<LockedTogetherRow>(|name| plan.value(name, values))
        .get_result(conn)
        .await?;
    if locked.tids.is_empty() {
        return Ok(empty(plan));
    }
    let values = Values {
        scope: values.scope,
        after: values.after,
        rejected: values.rejected,
        floor: values.floor,
        limit: values.limit,
        oids: &locked.oids,
        tids: &locked.tids,
        ids: &[],
        ..Values::at(values.now, values.cutoff)
    };
    let written: Written = plan
        .write
        .bind::<WrittenRow>(|name| plan.value(name, &values))
        .get_result(conn)
        .await?;
    let mut batch = written.into_batch(conn, plan, &values).await?;
    batch.next_cursor = locked
        .place
        .zip(locked.micros)
        .map(|(place, micros)| cursor(&place, micros));
    Ok(batch)
}

/// Picks and locks rows, to write them one by one.
pub(super) async fn lock(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> QueryResult<Locked> {
    let template = plan.lock.get(values);
    template
        .bind::<LockedRow>(|name| plan.value(name, values))
        .get_result(conn)
        .await
}

/// A batch of no rows, whose kinds are known.
pub(super) fn empty(plan: &Plan) -> Batch {
    let kinds = plan.kinds.iter();
    kinds.fold(Batch::default(), |batch, kind| {
        batch.with_count(kind.as_str(), 0)
    })
}

impl Written {
    /// Adds the children that went by their foreign keys.
    async fn count_children(
        &mut self,
        conn: &mut AsyncPgConnection,
        plan: &Plan,
        values: &Values<'_>,
        before: &[i64],
    ) -> TxResult<()> {
        let Some(tally) = &plan.tally else {
            return Ok(());
        };
        let after: Option<Vec<i64>> = tally
            .bind::<Nullable<Array<BigInt>>>(|name| plan.value(name, values))
            .get_result(conn)
            .await?;
        let after = after.ok_or_else(|| TxError::other("the server stopped counting"))?;
        for ((number, before), after) in plan.tallied.iter().zip(before).zip(after) {
            if let Some(count) = self.counts.get_mut(*number) {
                *count = after - before;
            }
        }
        Ok(())
    }

    async fn into_batch(
        mut self,
        conn: &mut AsyncPgConnection,
        plan: &Plan,
        values: &Values<'_>,
    ) -> TxResult<Batch> {
        if let Some(lag) = self.lag {
            TxError::unless_throttle_fits(values.now, values.cutoff, lag)?;
        }
        let written = i64::try_from(self.ids.len()).unwrap_or(i64::MAX);
        // A row that was picked and not written was changed after the statement began, or a trigger
        // holds it back. Row by row it will show.
        if self.still > 0 || self.to_write > written {
            return Err(TxError::SuppressedByTrigger);
        }
        if !self.ids.is_empty() {
            if let Some(before) = self.tally.take() {
                self.count_children(conn, plan, values, &before).await?;
            }
            then(conn, plan, values, &self.ids).await?;
        }
        let mut batch = empty(plan);
        batch
            .counts
            .add(plan.kinds[0].as_str(), self.ids.len() as u64);
        for (kind, count) in plan.kinds[1..].iter().zip(self.counts) {
            batch.counts.add(kind.as_str(), count.unsigned_abs());
        }
        let kept = self.kept.into_iter().zip(self.keepers);
        batch.rejected = kept.map(|(id, error)| RejectedRow { id, error }).collect();
        batch.next_cursor = self
            .place
            .zip(self.micros)
            .map(|(place, micros)| cursor(&place, micros));
        batch.ids = self.ids;
        Ok(batch)
    }
}

/// Fails if the rule matches a row just written as before, which a trigger has set back or inserted
/// again.
pub(super) async fn check_over(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
    ids: &[String],
) -> TxResult<()> {
    let Some(template) = plan.set_back.as_ref().filter(|_| !ids.is_empty()) else {
        return Ok(());
    };
    // A trigger that waits for the commit fires now.
    conn.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
    let values = Values {
        ids,
        ..Values::at(values.now, values.cutoff)
    };
    let still: i64 = template
        .bind::<BigInt>(|name| plan.value(name, &values))
        .get_result(conn)
        .await?;
    if still > 0 {
        return Err(TxError::SuppressedByTrigger);
    }
    Ok(())
}

/// Fails if activity may be noted so late that a row would look due and live.
pub(super) async fn check_lag(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
) -> TxResult<()> {
    let Some(template) = &plan.lag else {
        return Ok(());
    };
    let lag: i64 = template
        .bind::<BigInt>(|name| plan.value(name, values))
        .get_result(conn)
        .await?;
    TxError::unless_throttle_fits(values.now, values.cutoff, lag)
}

/// Runs the host's statements over the rows just written.
async fn then(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
    ids: &[String],
) -> QueryResult<()> {
    for template in &plan.then {
        let values = Values {
            ids,
            ..Values::at(values.now, values.cutoff)
        };
        template
            .bind::<BigInt>(|name| plan.value(name, &values))
            .execute(conn)
            .await?;
    }
    Ok(())
}
