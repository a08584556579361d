//! The search for rows that fail the host's SQL, block by block of their table.
//!
//! A loop inside the server judges the rows of a range of blocks together, halves the range where
//! they fail, and goes row by row in a block that fails alone. It needs neither a function nor a
//! table of its own, writes nothing, and runs in a transaction that only reads.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Deserialize;

use super::parts::Parts;
use super::plan::Plan;
use super::probe::{FailingRows, Probe, address};
use super::row_by_row::{MISTAKES, OF_ALL_ROWS};
use crate::model::StoreError;
use crate::rule::Rule;
use crate::store::rule::{Bind, REASON, Template};
use crate::store::tx_error::{TxError, TxResult};

/// Whether a row may have failed a statement of the rule: by the host's SQL, or by a sum that is
/// larger than its type holds.
pub(super) fn may_fail(rule: &Rule, error: &StoreError) -> bool {
    use diesel::result::DatabaseErrorKind::{CheckViolation, NotNullViolation, Unknown};
    use diesel::result::Error::DatabaseError;
    let due = rule.due.as_ref();
    let adds = due.is_some_and(|due| due.plus.is_some() || due.lifetime.is_some());
    let StoreError::Query { source, .. } = error else {
        return false;
    };
    // diesel knows no kind for most errors; domains have constraints.
    let may_be_of_row = matches!(
        source.downcast_ref(),
        Some(DatabaseError(
            Unknown | CheckViolation | NotNullViolation,
            _
        ))
    );
    may_be_of_row && (adds || rule.decides_by_sql())
}

/// The progress of a search.
#[derive(Debug, Default, Clone)]
pub(super) enum Search {
    /// All rows are to be judged.
    #[default]
    All,
    /// These rows failed in an earlier run. They may have been mended.
    Again(Arc<FailingRows>),
    /// These rows fail.
    Done(Arc<FailingRows>),
}

impl Search {
    /// The search for the next run: among the rows that fail now, if there are such.
    pub(super) fn again(&self) -> Option<Self> {
        let (Self::Again(rows) | Self::Done(rows)) = self else {
            return None;
        };
        (!rows.addresses.is_empty()).then(|| Self::Again(rows.clone()))
    }
}

/// A part of a search.
#[derive(Debug, Deserialize)]
struct Found {
    addresses: Vec<String>,
    reasons: Vec<String>,
    /// The block to go on at, if any is left.
    next: Option<u64>,
}

impl Probe {
    pub(super) fn new(parts: &Parts, oid: i64) -> Self {
        // In the order in which statements judge a row.
        let judged = format!(
            "CASE WHEN {} THEN num_nulls({}, {}, (true{}), {}) END",
            parts.only,
            parts.due.sql,
            parts.truth().sql,
            parts.related,
            parts.keeper
        );
        Self {
            judged: Template::new(&judged),
            from: parts.from.clone(),
            of: parts.of.clone(),
            oid,
        }
    }
}

/// The loop, from a block on, or over rows at known places alone. It ends early once the time
/// is over.
fn statement(probe: &Probe, among: Among<'_>, budget: Duration) -> String {
    // No row is known to fail.
    let judged = probe.judged.inline(|_| Bind::Texts(Vec::new()));
    let (table, of, oid) = (&probe.from, &probe.of, probe.oid);
    let address = address(of);
    let (block, step, blocks, range) = match among {
        Among::From(block) => (
            block,
            BLOCKS,
            format!(
                "(WITH RECURSIVE hk_parts(part) AS (SELECT {oid}::oid UNION ALL SELECT inhrelid FROM pg_inherits JOIN hk_parts ON inhparent = part) \
                 SELECT coalesce(max(pg_relation_size(part)), 0) / current_setting('block_size')::bigint FROM hk_parts)"
            ),
            format!("{of}.ctid >= hkv_low AND {of}.ctid < hkv_high"),
        ),
        Among::At(places) => (
            0,
            1,
            "1".to_owned(),
            format!(
                "{of}.ctid = ANY ('{{\"({})\"}}'::tid[])",
                places.join(")\",\"(")
            ),
        ),
    };
    let list = |codes: &[&str]| codes.join("', '");
    // A mistake in the host's own functions may be met by one row alone, and so may a subquery that
    // yields several rows.
    let of_all_rows = format!(
        "left(hkv_state, 2) IN ('{}') OR left(hkv_state, 2) IN ('{}') AND hkv_state <> '21000' \
         AND hkv_context ~ '^[^\\n]*(SELECT count\\(CASE WHEN |inline_code_block)'",
        list(OF_ALL_ROWS),
        list(MISTAKES)
    );
    format!(
        "DO $housekeeper$
        #variable_conflict use_column
        DECLARE
            hkv_block bigint := {block}; hkv_step bigint := {step}; hkv_blocks bigint := {blocks}; hkv_low tid; hkv_high tid; hkv_row record;
            hkv_addresses text[] := '{{}}'; hkv_reasons text[] := '{{}}'; hkv_state text; hkv_said text; hkv_context text;
            hkv_until timestamptz := clock_timestamp() + interval '{budget} milliseconds';
        BEGIN
            WHILE hkv_block < hkv_blocks AND cardinality(hkv_addresses) <= {MAX} AND clock_timestamp() < hkv_until LOOP
                hkv_low := format('(%s,0)', hkv_block)::tid;
                hkv_high := format('(%s,0)', hkv_block + hkv_step)::tid;
                BEGIN
                    PERFORM count({judged}) FROM {table} WHERE {range};
                    hkv_block := hkv_block + hkv_step;
                    hkv_step := least(hkv_step * 2, {BLOCKS});
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS hkv_state = RETURNED_SQLSTATE, hkv_context = PG_EXCEPTION_CONTEXT;
                    IF {of_all_rows} THEN RAISE; END IF;
                    IF hkv_step > 1 THEN
                        hkv_step := hkv_step / 2;
                    ELSE
                        FOR hkv_row IN SELECT {of}.tableoid AS hkv_oid, {of}.ctid AS hkv_tid, {address} AS hkv_address FROM {table} WHERE {range} LOOP
                            BEGIN
                                PERFORM count({judged}) FROM {table} WHERE {of}.ctid = hkv_row.hkv_tid AND {of}.tableoid = hkv_row.hkv_oid;
                            EXCEPTION WHEN OTHERS THEN
                                GET STACKED DIAGNOSTICS hkv_state = RETURNED_SQLSTATE, hkv_said = MESSAGE_TEXT, hkv_context = PG_EXCEPTION_CONTEXT;
                                IF {of_all_rows} THEN RAISE; END IF;
                                hkv_addresses := hkv_addresses || hkv_row.hkv_address;
                                hkv_reasons := hkv_reasons || left(hkv_said, {LONGEST});
                            END;
                        END LOOP;
                        hkv_block := hkv_block + 1;
                    END IF;
                END;
            END LOOP;
            PERFORM set_config('housekeeper.failing', jsonb_build_object('addresses', hkv_addresses, 'reasons', hkv_reasons,
                'next', CASE WHEN hkv_block < hkv_blocks THEN hkv_block END)::text, true);
        END $housekeeper$",
        budget = budget.as_millis()
    )
}

/// The rows that a loop judges.
#[derive(Clone, Copy)]
enum Among<'p> {
    /// Those from this block on.
    From(u64),
    /// Those at these places of any part of the table.
    At(&'p [&'p str]),
}

#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = Nullable<Text>)]
    outcome: Option<String>,
}

/// Returns the rows that fail the host's SQL, of all rows or of those that failed before. `timeout`
/// is that of a statement.
///
/// # Errors
///
/// An error that concerns no single row, or more than [`MAX`] failing rows.
pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    timeout: Duration,
    before: Option<&FailingRows>,
) -> TxResult<FailingRows> {
    let places: Option<Vec<&str>> = before.map(FailingRows::places);
    let mut all = FailingRows::default();
    let mut among = Some(places.as_deref().map_or(Among::From(0), Among::At));
    while let (Some(probe), Some(from)) = (&plan.probe, among) {
        let statement = statement(probe, from, timeout / 2);
        conn.batch_execute(&statement).await?;
        let Outcome { outcome } =
            diesel::sql_query("SELECT current_setting('housekeeper.failing', true) AS outcome")
                .get_result(conn)
                .await?;
        let found: Found =
            serde_json::from_str(outcome.as_deref().unwrap_or_default()).map_err(TxError::other)?;
        let reasons = found.reasons.into_iter();
        all.addresses.extend(found.addresses);
        all.reasons
            .extend(reasons.map(|reason| format!("{REASON}{reason}")));
        if let Some(reason) = all.reasons.get(MAX) {
            return Err(TxError::other(format!("more than {MAX} rows: {reason}")));
        }
        among = found.next.map(Among::From);
    }
    Ok(all)
}

/// Blocks that are judged together.
const BLOCKS: u64 = 64;

/// Failing rows that are rejected. Beyond them the rule is at fault, not its rows.
const MAX: usize = 10_000;

/// Characters of a reason.
const LONGEST: usize = 200;
