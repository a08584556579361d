//! A batch of a rule, row by row: those that the database refuses, or that it cannot write in time,
//! do not keep the others.
//!
//! The rows are written in a loop inside the server, each in a transaction of its own within ours.
//! The loop sees the code of an error, which does not come through diesel, and costs no turn over
//! the wire for each row.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Deserialize;

use super::bulk::{check_lag, empty, lock};
use super::codes::concerns_row;
use super::contention::Contention;
use super::cursor::cursor;
use super::plan::{OID, Plan, TID, Values};
use super::slow_rows::TOO_LONG;
use crate::fmt::span;
use crate::job::{Batch, RejectedRow};
use crate::store::Timeouts;
use crate::store::rule::{Bind, Template, param};
use crate::store::tx_error::{STILL_DUE, TxError, TxResult, WITHHELD};

/// Shorter waits than those of a batch: a few rows that must be waited for should not keep the
/// rest.
pub(super) fn timeouts(timeouts: Timeouts) -> Timeouts {
    let lock = (timeouts.lock / 8).clamp(Duration::from_millis(20), Duration::from_millis(200));
    Timeouts {
        lock: lock.min(timeouts.lock),
        statement: timeouts.statement.min(Duration::from_secs(10)),
        ..timeouts
    }
}

#[derive(Debug, QueryableByName)]
struct Outcome {
    #[diesel(sql_type = Nullable<Text>)]
    outcome: Option<String>,
}

/// The outcome of the rows.
#[derive(Debug, Deserialize)]
struct Outcomes {
    /// Of each row that was looked at.
    done: Vec<Done>,
    /// Time that passed before locks of others timed out, in microseconds.
    waited: u64,
}

/// The outcome of one row.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Written(Vec<u64>),
    /// The rule does not match it any more.
    Spared,
    Kept(String),
    Failed {
        state: String,
        said: String,
        detail: String,
        /// Whether a trigger or a function of the host raised it.
        within: bool,
    },
}

pub(super) async fn write(
    conn: &mut AsyncPgConnection,
    plan: &Plan,
    values: &Values<'_>,
    timeouts: Timeouts,
    contention: &Contention,
) -> TxResult<Batch> {
    let locked = lock(conn, plan, values).await?;
    let mut batch = empty(plan);
    if locked.ids.is_empty() {
        return Ok(batch);
    }
    let (slow, now) = (contention.slow_rows(), Instant::now());
    let waits: Vec<Option<Duration>> = locked.ids.iter().map(|id| slow.wait(id, now)).collect();
    let tried = |texts: &[String]| -> Vec<String> {
        let texts = texts.iter().zip(&waits);
        let tried = texts.filter(|(_, wait)| wait.is_none());
        tried.map(|(text, _)| text.clone()).collect()
    };
    let (oids, tids, ids) = (tried(&locked.oids), tried(&locked.tids), tried(&locked.ids));
    let values = Values {
        oids: &oids,
        tids: &tids,
        ids: &ids,
        limit: values.limit,
        ..Values::at(values.now, values.cutoff)
    };
    check_lag(conn, plan, &values).await?;
    // A constraint that is only checked at the commit would refuse all rows for one.
    conn.batch_execute("SET CONSTRAINTS ALL IMMEDIATE").await?;
    conn.batch_execute(&statement(plan, &values, timeouts))
        .await?;
    let Outcome { outcome } =
        diesel::sql_query("SELECT current_setting('housekeeper.outcome', true) AS outcome")
            .get_result(conn)
            .await?;
    let Outcomes { done, waited } =
        serde_json::from_str(outcome.as_deref().unwrap_or_default()).map_err(TxError::other)?;
    batch.waited = Duration::from_micros(waited);
    batch.one_by_one = true;
    // A fault of the session would have met them as well.
    let others = done.iter().any(|done| matches!(done, Done::Written(_)));
    let full = usize::try_from(values.limit).is_ok_and(|limit| locked.ids.len() == limit);
    let is_last = done.len() == tids.len() && !full;
    let mut done = done.into_iter();
    let mut looked_at = 0;
    for (id, wait) in locked.ids.iter().zip(waits) {
        let id = id.clone();
        if let Some(wait) = wait {
            looked_at += 1;
            let error = later(wait);
            batch.rejected.push(RejectedRow { id, error });
            continue;
        }
        let Some(done) = done.next() else { break };
        looked_at += 1;
        match done {
            Done::Spared => {}
            Done::Written(counts) => {
                batch.ids.push(id);
                batch.counts.add(plan.kinds[0].as_str(), 1);
                for (kind, count) in plan.kinds[1..].iter().zip(counts) {
                    batch.counts.add(kind.as_str(), count);
                }
            }
            Done::Kept(error) => batch.rejected.push(RejectedRow { id, error }),
            Done::Failed {
                state,
                said,
                detail,
                within,
            } => {
                let text = if detail.is_empty() {
                    said
                } else {
                    format!("{said} ({detail})")
                };
                // Once more at the same row, it is left so that the rows behind have their turn.
                // They fail as well if the fault is the session's.
                let is_of_row = concerns_row(&state, within, others)
                    || (!is_last
                        && concerns_row(&state, within, true)
                        && contention.ends_again(&id, &state));
                if !is_of_row {
                    return Err(TxError::other(format!("{text} [{state}] (row `{id}`)")));
                }
                let error = match state.as_str() {
                    SKIPPED => WITHHELD.to_owned(),
                    AS_BEFORE => STILL_DUE.to_owned(),
                    "57014" => TOO_LONG.to_owned(),
                    "55P03" | "40P01" => RejectedRow::LOCKED.to_owned(),
                    _ => text,
                };
                batch.rejected.push(RejectedRow { id, error });
            }
        }
    }
    if looked_at < locked.ids.len() || full {
        let last = looked_at.saturating_sub(1);
        batch.next_cursor = Some(cursor(&locked.places[last], locked.micros[last]));
    }
    Ok(batch)
}

/// The loop. It ends early once half the time is over, or a row has used up all of it.
fn statement(plan: &Plan, values: &Values<'_>, timeouts: Timeouts) -> String {
    let constant = |text: String| Bind::Text(text);
    let inline = |bind: Bind| Template::new(&param("x")).inline(|_| bind.clone());
    // Stands in the block itself, which plans it once, not for each row.
    let write = plan.write_one.inline(|name| plan.value(name, values));
    // The ids are those of the one row.
    let of_one = |template: &Template| {
        let text = template.inline(|name| match name {
            "ids" => Bind::Text(ONE.to_owned()),
            name => plan.value(name, values),
        });
        inline(constant(text.replace(&format!("'{ONE}'"), "$1")))
    };
    let mut then: Vec<String> = plan
        .then
        .iter()
        .map(|template| format!("EXECUTE {} USING hkv_row.hk_ids;", of_one(template)))
        .collect();
    let as_before = plan.as_before;
    if let Some(template) = &plan.set_back {
        then.push(format!(
            "EXECUTE {} INTO hkv_still USING hkv_row.hk_ids; \
             IF hkv_still > 0 THEN RAISE EXCEPTION USING ERRCODE = '{as_before}'; END IF;",
            of_one(template)
        ));
    }
    block(&format!(
        "#variable_conflict use_column
        DECLARE
            hkv_oids oid[] := {oids}::oid[]; hkv_tids tid[] := {tids}::tid[]; hkv_done jsonb[] := '{{}}'; hkv_row record; hkv_still bigint;
            {TID} tid; {OID} oid;
            hkv_until timestamptz := clock_timestamp() + interval '{budget} milliseconds'; hkv_state text; hkv_said text; hkv_detail text; hkv_context text;
            hkv_short int := {short}; hkv_began timestamptz; hkv_waited interval := interval '0';
        BEGIN
            FOR hkv_i IN 1 .. cardinality(hkv_tids) LOOP
                hkv_began := clock_timestamp();
                {TID} := hkv_tids[hkv_i];
                {OID} := hkv_oids[hkv_i];
                BEGIN
                    {write}
                    INTO STRICT hkv_row;
                    IF hkv_row.hk_to_write > cardinality(hkv_row.hk_ids) THEN
                        RAISE EXCEPTION USING ERRCODE = '{SKIPPED}';
                    ELSIF hkv_row.hk_still > 0 THEN
                        RAISE EXCEPTION USING ERRCODE = '{as_before}';
                    END IF;
                    IF cardinality(hkv_row.hk_ids) > 0 THEN
                        {then}
                        hkv_done := hkv_done || jsonb_build_object('written', hkv_row.hk_counts);
                    ELSIF cardinality(hkv_row.hk_keepers) > 0 THEN
                        hkv_done := hkv_done || jsonb_build_object('kept', hkv_row.hk_keepers[1]);
                    ELSE
                        hkv_done := hkv_done || to_jsonb('spared'::text);
                    END IF;
                EXCEPTION WHEN query_canceled OR assert_failure OR OTHERS THEN
                    GET STACKED DIAGNOSTICS hkv_state = RETURNED_SQLSTATE, hkv_said = MESSAGE_TEXT, hkv_detail = PG_EXCEPTION_DETAIL,
                        hkv_context = PG_EXCEPTION_CONTEXT;
                    -- The first line of the context is the innermost statement or function. Its words are translated, ours are not.
                    hkv_done := hkv_done || jsonb_build_object('failed', jsonb_build_object('state', hkv_state, 'said', hkv_said,
                        'detail', hkv_detail, 'within', hkv_context !~ '^[^\n]*(WITH (hk_picked|written) |inline_code_block)'));
                    EXIT WHEN hkv_state = '57014';
                    -- Where one row is locked elsewhere, others may be.
                    IF hkv_state = '55P03' THEN
                        hkv_waited := hkv_waited + (clock_timestamp() - hkv_began);
                        PERFORM set_config('lock_timeout', hkv_short::text, true);
                        hkv_short := greatest(hkv_short / 2, 1);
                    END IF;
                END;
                EXIT WHEN clock_timestamp() > hkv_until;
            END LOOP;
            PERFORM set_config('housekeeper.outcome', jsonb_build_object('done', to_jsonb(hkv_done),
                'waited', (extract(epoch from hkv_waited) * 1000000)::bigint)::text, true);
        END",
        oids = inline(Bind::Texts(values.oids.to_vec())),
        tids = inline(Bind::Texts(values.tids.to_vec())),
        budget = (timeouts.statement / 2).as_millis(),
        short = SHORT_LOCK.min(timeouts.lock).as_millis(),
        then = then.join(" "),
    ))
}

/// A block of code, quoted by a tag that it does not hold.
pub(super) fn block(code: &str) -> String {
    let mut tag = "$housekeeper$".to_owned();
    while code.contains(&tag) {
        tag.insert(1, 'a');
    }
    format!("DO {tag} {code} {tag}")
}

/// The code of a row that a trigger did not let be written, or set back.
pub(super) const SKIPPED: &str = "HKW01";

/// The code of a row that the rule itself leaves due.
pub(super) const AS_BEFORE: &str = "HKW02";

/// Said of a row whose next attempt is that far away.
fn later(wait: Duration) -> String {
    let wait = Duration::from_secs(wait.as_secs().max(1));
    format!("{TOO_LONG}; it is tried again in {}", span(wait))
}

/// Wait for a lock once a row was found locked. The waits for further ones are half as long each,
/// so that even many locked rows take little of the time of the others.
pub(super) const SHORT_LOCK: Duration = Duration::from_millis(20);

/// Stands for the one row's id until the statement is put together.
const ONE: &str = "hk one";
