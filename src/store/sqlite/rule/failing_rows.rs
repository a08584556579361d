//! The search for rows that fail the host's SQL, address by address of their table.

use std::sync::{Arc, PoisonError};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::Known;
use super::plan::{Plan, Values};
use super::probe::{FailingRow, Probe};
use crate::store::rule::REASON;
use crate::store::tx_error::{TxError, TxResult};

impl Known {
    /// Runs work that a row may fail. If one does, looks for all that do, and runs it once more
    /// with plans that leave the host's SQL out for them.
    pub(super) fn carefully<R>(
        &self,
        conn: &mut SqliteConnection,
        work: impl Fn(&mut SqliteConnection) -> TxResult<R>,
    ) -> TxResult<R> {
        let done = work(conn);
        let is_of_row = |error: &TxError| error.refusal().is_some();
        if !self.rule.decides_by_sql() || !done.as_ref().err().is_some_and(is_of_row) {
            return done;
        }
        match self.search(conn, &[(i64::MIN, i64::MAX)])? {
            None => return done,
            found => self.set_failing(found),
        }
        work(conn)
    }

    /// Judges the rows that failed in an earlier run again: they may have been mended.
    pub(super) fn judge_again(&self, conn: &mut SqliteConnection) -> TxResult<()> {
        let Some(before) = self.failing() else {
            return Ok(());
        };
        let addresses: Vec<(i64, i64)> = before.iter().map(|row| (row.0, row.0)).collect();
        let found = self.search(conn, &addresses)?;
        self.set_failing(found.filter(|rows| !rows.is_empty()));
        Ok(())
    }

    /// Returns the rows between these addresses that fail the host's SQL; nothing if rows have no
    /// address.
    fn search(
        &self,
        conn: &mut SqliteConnection,
        ranges: &[(i64, i64)],
    ) -> TxResult<Option<Vec<FailingRow>>> {
        self.set_failing(Some(Vec::new()));
        let plan = self.plan(conn)?;
        let Some(probe) = &plan.probe else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for range in ranges {
            find(conn, &plan, probe, *range, &mut found)?;
        }
        Ok(Some(found))
    }

    fn set_failing(&self, rows: Option<Vec<FailingRow>>) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        *failing = rows.map(Arc::new);
    }
}

/// Judges many rows together, fewer where some fail, and one by one beside those.
fn find(
    conn: &mut SqliteConnection,
    plan: &Plan,
    probe: &Probe,
    (mut address, end): (i64, i64),
    found: &mut Vec<FailingRow>,
) -> TxResult<()> {
    let mut limit = ROWS;
    loop {
        let values = Values {
            addresses: (address, end),
            limit,
            ..Values::at(chrono::DateTime::UNIX_EPOCH, chrono::DateTime::UNIX_EPOCH)
        };
        let judged: QueryResult<(Option<i64>, i64)> = probe
            .judged
            .bind::<(Nullable<BigInt>, BigInt)>(|name| plan.value(name, &values))
            .get_result(conn);
        let last = match judged.map_err(TxError::from) {
            Ok((last, _)) => {
                limit = (limit * 2).min(ROWS);
                last
            }
            Err(error) => {
                let Some(reason) = error.refusal() else {
                    return Err(error);
                };
                if limit > 1 {
                    limit /= 2;
                    continue;
                }
                let first: Option<i64> = probe
                    .first
                    .bind::<Nullable<BigInt>>(|name| plan.value(name, &values))
                    .get_result(conn)?;
                if found.len() == MAX {
                    let text = format!("more than {MAX} rows: {REASON}{reason}");
                    return Err(TxError::other(text));
                }
                found.extend(first.map(|first| (first, format!("{REASON}{reason}"))));
                first
            }
        };
        match last.and_then(|last| last.checked_add(1)) {
            Some(next) if next <= end => address = next,
            _ => return Ok(()),
        }
    }
}

/// Rows that are judged together.
const ROWS: i64 = 1_024;

/// Failing rows that are rejected. Beyond them the rule is at fault, not its rows.
const MAX: usize = 10_000;
