//! The search for rows that fail the host's SQL, block by block of their table.
//!
//! A loop inside the server judges the rows of a range of blocks together, halves the range where
//! they fail, and goes row by row in a block that fails alone. It needs neither a function nor a
//! table of its own, writes nothing, and runs in a transaction that only reads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Deserialize;

use super::codes::{MISTAKES, OF_ALL_ROWS, OF_SERVER};
use super::parts::Parts;
use super::plan::Plan;
use super::probe::{FailingRows, Probe, address};
use super::row_by_row::block;
use super::slow_rows::FIRST;
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
        if rows.again_at.is_some_and(|at| at > Instant::now()) {
            return Some(Self::Done(rows.clone()));
        }
        (!rows.addresses.is_empty()).then(|| Self::Again(rows.clone()))
    }
}

/// A part of a search.
#[derive(Debug, Deserialize)]
struct Found {
    addresses: Vec<String>,
    reasons: Vec<String>,
    /// Where to go on, if any row is left.
    next: Option<Next>,
    /// Whether a row passed.
    passed: bool,
    /// An error that may be the expression's, not the row's.
    suspect: Option<String>,
}

/// The block to go on at, how many are judged together, and the row to go on behind if they are
/// judged one by one.
#[derive(Debug, Deserialize)]
struct Next {
    block: u64,
    step: u64,
    row: Option<(String, String)>,
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

/// The loop, from a place on, of all rows or of those at known places. It ends early once the time
/// is over, or a row has used up all of it.
fn statement(probe: &Probe, places: Option<&[&str]>, next: &Next, timeout: Duration) -> String {
    // No row is known to fail.
    let judged = probe.judged.inline(|_| Bind::Texts(Vec::new()));
    let (table, of, oid) = (&probe.from, &probe.of, probe.oid);
    let address = address(of);
    let (blocks, range) = match places {
        None => (
            format!(
                "(WITH RECURSIVE hk_parts(part) AS (SELECT {oid}::oid UNION ALL SELECT inhrelid FROM pg_inherits JOIN hk_parts ON inhparent = part) \
                 SELECT coalesce(max(pg_relation_size(part)), 0) / current_setting('block_size')::bigint FROM hk_parts)"
            ),
            format!("{of}.ctid >= hkv_low AND {of}.ctid < hkv_high"),
        ),
        Some(places) => (
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
    let suspect = format!(
        "left(hkv_state, 2) IN ('{}') OR left(hkv_state, 2) IN ('{}') AND hkv_state <> '21000' \
         AND hkv_context ~ '^[^\\n]*(SELECT count\\(CASE WHEN |inline_code_block)'",
        list(OF_ALL_ROWS),
        list(MISTAKES)
    );
    let server = list(OF_SERVER);
    let (by_row, (oid_behind, tid_behind)) = match &next.row {
        Some((oid, tid)) => (true, (oid.as_str(), tid.as_str())),
        None => (false, FIRST_ROW),
    };
    block(&format!(
        "#variable_conflict use_column
        DECLARE
            hkv_block bigint := {block}; hkv_step bigint := {step}; hkv_blocks bigint := {blocks}; hkv_low tid; hkv_high tid; hkv_row record;
            hkv_by_row bool := {by_row}; hkv_oid oid := {oid_behind}; hkv_tid tid := '{tid_behind}'; hkv_slow bool := false; hkv_passed bool := false;
            hkv_addresses text[] := '{{}}'; hkv_reasons text[] := '{{}}'; hkv_state text; hkv_said text; hkv_context text; hkv_suspect text;
            hkv_until timestamptz := clock_timestamp() + interval '{budget} milliseconds';
        BEGIN
            -- An error that needs no row is the expression's.
            PERFORM count({judged}) FROM {table} WHERE false;
            WHILE hkv_block < hkv_blocks AND cardinality(hkv_addresses) <= {MAX} AND NOT hkv_slow AND clock_timestamp() < hkv_until LOOP
                hkv_low := format('(%s,0)', hkv_block)::tid;
                hkv_high := format('(%s,0)', hkv_block + hkv_step)::tid;
                IF NOT hkv_by_row THEN
                    BEGIN
                        PERFORM count({judged}) FROM {table} WHERE {range} HAVING count(*) > 0;
                        hkv_passed := hkv_passed OR FOUND;
                        hkv_block := hkv_block + hkv_step;
                        hkv_step := least(hkv_step * 2, {BLOCKS});
                    EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
                        GET STACKED DIAGNOSTICS hkv_state = RETURNED_SQLSTATE;
                        hkv_slow := hkv_state = '57014';
                        IF NOT hkv_slow AND left(hkv_state, 2) IN ('{server}') THEN RAISE; END IF;
                        hkv_by_row := hkv_step = 1;
                        hkv_step := CASE WHEN hkv_slow THEN 1 ELSE greatest(hkv_step / 2, 1) END;
                    END;
                    CONTINUE;
                END IF;
                FOR hkv_row IN SELECT {of}.tableoid AS hkv_oid, {of}.ctid AS hkv_tid, {address} AS hkv_address FROM {table}
                    WHERE {range} AND ({of}.tableoid, {of}.ctid) > (hkv_oid, hkv_tid) ORDER BY 1, 2
                LOOP
                    BEGIN
                        PERFORM count({judged}) FROM {table} WHERE {of}.ctid = hkv_row.hkv_tid AND {of}.tableoid = hkv_row.hkv_oid;
                        hkv_passed := true;
                    EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
                        GET STACKED DIAGNOSTICS hkv_state = RETURNED_SQLSTATE, hkv_said = MESSAGE_TEXT, hkv_context = PG_EXCEPTION_CONTEXT;
                        hkv_slow := hkv_state = '57014';
                        IF NOT hkv_slow AND left(hkv_state, 2) IN ('{server}') THEN RAISE; END IF;
                        IF NOT hkv_slow AND ({suspect}) THEN hkv_suspect := coalesce(hkv_suspect, hkv_said || ' [' || hkv_state || ']'); END IF;
                        hkv_addresses := hkv_addresses || hkv_row.hkv_address;
                        hkv_reasons := hkv_reasons || CASE WHEN hkv_slow THEN '{TOO_LONG}' ELSE left(hkv_said, {LONGEST}) END;
                    END;
                    hkv_oid := hkv_row.hkv_oid;
                    hkv_tid := hkv_row.hkv_tid;
                    EXIT WHEN hkv_slow OR clock_timestamp() > hkv_until;
                END LOOP;
                EXIT WHEN hkv_slow OR clock_timestamp() > hkv_until;
                hkv_block := hkv_block + 1;
                hkv_by_row := false;
                hkv_oid := {first_oid};
                hkv_tid := '{first_tid}';
            END LOOP;
            PERFORM set_config('housekeeper.failing', jsonb_build_object('addresses', hkv_addresses, 'reasons', hkv_reasons,
                'passed', hkv_passed, 'suspect', hkv_suspect, 'next', CASE WHEN hkv_block < hkv_blocks THEN
                jsonb_build_object('block', hkv_block, 'step', hkv_step, 'row', CASE WHEN hkv_by_row THEN jsonb_build_array(hkv_oid::text, hkv_tid::text) END)
                END)::text, true);
        END",
        block = next.block,
        step = next.step,
        first_oid = FIRST_ROW.0,
        first_tid = FIRST_ROW.1,
        budget = (timeout / 2).as_millis()
    ))
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
    let (mut passed, mut suspect, mut slow) = (places.is_some(), None, 0);
    let mut next = Some(Next {
        block: 0,
        step: places.as_ref().map_or(BLOCKS, |_| 1),
        row: None,
    });
    while let (Some(probe), Some(from)) = (&plan.probe, next) {
        let limit = Duration::max(timeout.min(LIMIT) / (slow + 1), timeout.min(MIN_LIMIT));
        let set = format!("SET LOCAL statement_timeout = {}", limit.as_millis());
        conn.batch_execute(&set).await?;
        let statement = statement(probe, places.as_deref(), &from, limit);
        conn.batch_execute(&statement).await?;
        let Outcome { outcome } =
            diesel::sql_query("SELECT current_setting('housekeeper.failing', true) AS outcome")
                .get_result(conn)
                .await?;
        let found: Found =
            serde_json::from_str(outcome.as_deref().unwrap_or_default()).map_err(TxError::other)?;
        if found
            .reasons
            .last()
            .is_some_and(|reason| reason == TOO_LONG)
        {
            slow += 1;
            all.again_at = Instant::now().checked_add(FIRST);
        }
        let reasons = found.reasons.into_iter();
        all.addresses.extend(found.addresses);
        all.reasons
            .extend(reasons.map(|reason| format!("{REASON}{reason}")));
        passed |= found.passed;
        suspect = suspect.or(found.suspect);
        let max = if slow > MAX_SLOW {
            MAX_SLOW as usize
        } else {
            MAX
        };
        if let Some(reason) = all.reasons.get(max) {
            return Err(TxError::other(format!("more than {max} rows: {reason}")));
        }
        next = found.next;
    }
    let set = format!("SET LOCAL statement_timeout = {}", timeout.as_millis());
    conn.batch_execute(&set).await?;
    match suspect {
        Some(said) if !passed => Err(TxError::other(said)),
        _ => Ok(all),
    }
}

/// In front of all rows.
const FIRST_ROW: (&str, &str) = ("0", "(0,0)");

/// Said of a row that uses up the time of a statement.
const TOO_LONG: &str = "it takes too long";

/// Longest time of a statement, and the one that many slow rows shorten it to.
const LIMIT: Duration = Duration::from_secs(5);
const MIN_LIMIT: Duration = Duration::from_secs(1);

/// Rows that may use up the time of a statement.
const MAX_SLOW: u32 = 30;

/// Blocks that are judged together.
const BLOCKS: u64 = 64;

/// Failing rows that are rejected. Beyond them the rule is at fault, not its rows.
const MAX: usize = 10_000;

/// Characters of a reason.
const LONGEST: usize = 200;
