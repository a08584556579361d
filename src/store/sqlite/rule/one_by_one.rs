//! A batch whose rows go one by one: those that the database refuses keep no others.

use diesel::prelude::*;

use super::act::{act, check_lag, empty, judge, move_forward};
use super::done::Done;
use super::host_text::HostText;
use super::plan::{Plan, Values};
use super::refused;
use crate::job::{Batch, RejectedRow};
use crate::store::tx_error::{TxError, TxResult};

/// Writes rows so that one that cannot be written keeps no other: each in a savepoint of one
/// transaction, or in a transaction of its own, if a trigger ends the one that all share. If that
/// fails later, the rows before it are kept in `unreported`.
pub(super) fn one_by_one(
    conn: &mut SqliteConnection,
    plan: &Plan,
    rows: &[Values<'_>],
    unreported: &Done,
) -> TxResult<Batch> {
    let mut batch = empty(plan);
    let Some(first) = rows.first() else {
        return Ok(batch);
    };
    let together = conn.immediate_transaction(|conn| {
        check_lag(conn, plan, first)?;
        for values in rows {
            match alone(conn, plan, values, &mut batch)? {
                Alone::Done => {}
                Alone::EndedAll => return Ok(false),
            }
        }
        Ok::<_, TxError>(true)
    });
    match together {
        Ok(true) => return Ok(batch),
        Ok(false) => {}
        // A key that is checked at the commit.
        Err(error) if refused::reason(conn, &error).is_some() => {}
        Err(error) => return Err(error),
    }
    let mut batch = empty(plan);
    for values in rows {
        let mut done = empty(plan);
        let written = conn.immediate_transaction(|conn| {
            check_lag(conn, plan, values)?;
            alone(conn, plan, values, &mut done).map(drop)
        });
        let written =
            written.or_else(
                |error| match (refused::reason(conn, &error), done.ids.pop()) {
                    (Some(error), Some(id)) => {
                        done = empty(plan);
                        done.rejected.push(RejectedRow { id, error });
                        Ok(())
                    }
                    _ => Err(error),
                },
            );
        batch.counts.merge(&done.counts);
        batch.ids.append(&mut done.ids);
        batch.rejected.append(&mut done.rejected);
        if let Err(error) = written {
            // Those that were rejected are met again.
            batch.rejected.clear();
            unreported.note(batch);
            return Err(error);
        }
    }
    Ok(batch)
}

/// Whether the transaction in which a row was written goes on.
enum Alone {
    Done,
    /// A trigger rolled it back, with the rows before.
    EndedAll,
}

/// Writes the one row that the values name, or has it rejected.
fn alone(
    conn: &mut SqliteConnection,
    plan: &Plan,
    values: &Values<'_>,
    batch: &mut Batch,
) -> TxResult<Alone> {
    let Some(row) = judge(conn, plan, values)?.pop() else {
        move_forward(conn, plan, values)?;
        return Ok(Alone::Done);
    };
    let id = row.1.0.clone();
    if let Some(HostText(error)) = row.2 {
        batch.rejected.push(RejectedRow { id, error });
        return Ok(Alone::Done);
    }
    let (mut done, mut alone) = (Batch::default(), Alone::Done);
    let written = conn.transaction(|conn| {
        act(conn, plan, values, vec![row], &mut done).inspect_err(|_| {
            if refused::begin_savepoint_again(conn) {
                alone = Alone::EndedAll;
            }
        })
    });
    match written {
        Ok(()) => {
            batch.counts.merge(&done.counts);
            batch.ids.extend(done.ids);
        }
        Err(error) => match refused::reason(conn, &error) {
            Some(error) => batch.rejected.push(RejectedRow { id, error }),
            None => return Err(error),
        },
    }
    Ok(alone)
}
