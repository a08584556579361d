//! The outbox on SQLite.

use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use uuid::Uuid;

use super::SqliteStore;
use crate::job::JobName;
use crate::model::{
    Claim, Claimed, EntryId, Outbox, OutboxCounts, OutboxEntry, ParkedEntry, ParkedPage,
    Settlement, StoreError, WhichEntries,
};
use crate::store::counted::{PROBE, capped};
use crate::store::outbox::{
    self, Part, Parts, Settle, claimed, farthest, ids_of, is_full, micros_of, span_of,
};

mod statements;

use statements::{CLAIM, CLAIM_IN_ORDER_OF_KEY, COUNTS, DISCARD, PARKED, PULL, REDELIVER, REFUSE};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    id: i64,
    /// Bytes, because SQLite does not keep texts from being something else.
    #[diesel(sql_type = Binary)]
    topic: Vec<u8>,
    #[diesel(sql_type = Binary)]
    key: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Binary)]
    payload: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    parked_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    last_error: Option<String>,
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Nullable<BigInt>)]
    due_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    waiting: i64,
    #[diesel(sql_type = BigInt)]
    failing: i64,
    #[diesel(sql_type = BigInt)]
    parked: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    oldest: Option<i64>,
}

impl Line {
    fn entry(self, rule: &JobName) -> OutboxEntry {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let at = DateTime::from_timestamp_micros(self.at).unwrap_or_default();
        OutboxEntry {
            topic: text(self.topic),
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            ..OutboxEntry::new(
                EntryId(self.id),
                rule.clone(),
                text(self.key),
                at,
                text(self.payload),
            )
        }
    }
}

impl SqliteStore {
    fn micros(&self) -> i64 {
        self.instant().timestamp_micros()
    }

    async fn change_parked(
        &self,
        what: &'static str,
        statement: &'static str,
        (rule, which): (&JobName, &WhichEntries),
    ) -> Result<u64, StoreError> {
        let mut parts = Parts::of(which);
        let mut changed = 0;
        while let Some(Part { ids }) = parts.next() {
            let (rule, now) = (rule.clone(), self.micros());
            let part = self.run(what, move |conn| {
                Ok(diesel::sql_query(statement)
                    .bind::<Text, _>(rule.as_str())
                    .bind::<BigInt, _>(now)
                    .bind::<Nullable<Text>, _>(ids.map(json))
                    .bind::<BigInt, _>(Parts::SIZE)
                    .execute(conn)?)
            });
            let part = part.await?;
            changed += part as u64;
            parts.changed(part);
        }
        Ok(changed)
    }
}

#[async_trait]
impl Settle for SqliteStore {
    async fn settle_at_once(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError> {
        let (settlement, now) = (settlement.clone(), self.micros());
        self.run("settle entries of the outbox", move |conn| {
            conn.immediate_transaction(|conn| {
                if !settlement.acknowledged.is_empty() {
                    diesel::sql_query("delete from housekeeper_outbox where id in (select value from json_each(?))")
                        .bind::<Text, _>(json(ids_of(&settlement.acknowledged)))
                        .execute(conn)?;
                }
                for refused in &settlement.refused {
                    let wait = refused.again_after.map(micros_of);
                    diesel::sql_query(REFUSE)
                        .bind::<BigInt, _>(refused.id.0)
                        .bind::<BigInt, _>(i64::from(refused.attempts))
                        .bind::<Nullable<Text>, _>(refused.error.as_deref())
                        .bind::<BigInt, _>(now.saturating_add(wait.unwrap_or(0)))
                        .bind::<Nullable<BigInt>, _>(wait.is_none().then_some(now))
                        .bind::<Text, _>(owner.to_string())
                        .execute(conn)?;
                }
                Ok(())
            })
        })
        .await
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let (claim, now) = (claim.clone(), self.micros());
        self.run_for("claim entries of the outbox", move |conn, caller| {
            // A look takes no lock on the file.
            let Next { due_at, last } = next(conn, &claim.rule, i64::MIN)?;
            let [waiting, leased] = farthest(&claim).map(|ahead| now.saturating_add(ahead));
            let was_set_back = last.is_some_and(|last| last > waiting);
            let is_early = !was_set_back && due_at.is_none_or(|due_at| due_at > now);
            if is_early || caller.strong_count() == 0 {
                return Ok(Claimed {
                    entries: Vec::new(),
                    next_due: due_at.map(|due_at| span_of(due_at.saturating_sub(now))),
                });
            }
            conn.immediate_transaction(|conn| {
                if caller.strong_count() == 0 {
                    return Ok(Claimed::default());
                }
                if was_set_back {
                    diesel::sql_query(PULL)
                        .bind::<Text, _>(claim.rule.as_str())
                        .bind::<BigInt, _>(now)
                        .bind::<BigInt, _>(waiting)
                        .bind::<BigInt, _>(leased)
                        .execute(conn)?;
                }
                let statement = if claim.in_order_of_key {
                    CLAIM_IN_ORDER_OF_KEY
                } else {
                    CLAIM
                };
                let lines: Vec<Line> = diesel::sql_query(statement)
                    .bind::<Text, _>(claim.rule.as_str())
                    .bind::<BigInt, _>(now)
                    .bind::<BigInt, _>(i64::from(claim.limit.get()))
                    .bind::<BigInt, _>(now.saturating_add(micros_of(claim.lease)))
                    .bind::<Text, _>(claim.owner.to_string())
                    .load(conn)?;
                let next_due = if is_full(&claim, lines.len()) {
                    Some(Duration::ZERO)
                } else {
                    let next = self::next(conn, &claim.rule, now)?;
                    let due_at = next.due_at;
                    due_at.map(|due_at| span_of(due_at.saturating_sub(now)))
                };
                let entries = lines.into_iter().map(|line| line.entry(&claim.rule));
                Ok(claimed(entries, next_due))
            })
        })
        .await
    }

    async fn settle(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError> {
        outbox::settle(self, owner, settlement).await
    }

    async fn release(&self, rule: &JobName, owner: Uuid) -> Result<u64, StoreError> {
        let (rule, now) = (rule.clone(), self.micros());
        let released = self.run("release entries of the outbox", move |conn| {
            Ok(diesel::sql_query(
                "update housekeeper_outbox set leased_by = null, due_at = ?2 where rule = ?1 and parked_at is null and leased_by = ?3",
            )
            .bind::<Text, _>(rule.as_str())
            .bind::<BigInt, _>(now)
            .bind::<Text, _>(owner.to_string())
            .execute(conn)?)
        });
        Ok(released.await? as u64)
    }

    async fn counts(&self, rule: &JobName) -> Result<OutboxCounts, StoreError> {
        let (rule, now) = (rule.clone(), self.micros());
        self.run("count entries of the outbox", move |conn| {
            let counted: Counted = diesel::sql_query(COUNTS)
                .bind::<Text, _>(rule.as_str())
                .bind::<BigInt, _>(PROBE)
                .get_result(conn)?;
            Ok(OutboxCounts::new(
                capped(counted.waiting),
                capped(counted.failing),
                capped(counted.parked),
                counted.oldest.map(|at| span_of(now.saturating_sub(at))),
            ))
        })
        .await
    }

    async fn parked(
        &self,
        rule: &JobName,
        page: &ParkedPage,
    ) -> Result<Vec<ParkedEntry>, StoreError> {
        let (rule, page) = (rule.clone(), *page);
        self.run("list parked entries", move |conn| {
            let lines: Vec<Line> = diesel::sql_query(PARKED)
                .bind::<Text, _>(rule.as_str())
                .bind::<BigInt, _>(page.after.map_or(i64::MIN, |id| id.0))
                .bind::<BigInt, _>(i64::from(page.size.get()))
                .load(conn)?;
            let parked = lines.into_iter().map(|mut line| {
                let at = DateTime::from_timestamp_micros(line.parked_at.unwrap_or(0));
                let error = line.last_error.take();
                ParkedEntry::new(line.entry(&rule), at.unwrap_or_default(), error)
            });
            Ok(parked.collect())
        })
        .await
    }

    async fn redeliver(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        self.change_parked("redeliver parked entries", REDELIVER, (rule, which))
            .await
    }

    async fn discard(&self, rule: &JobName, which: &WhichEntries) -> Result<u64, StoreError> {
        self.change_parked("discard parked entries", DISCARD, (rule, which))
            .await
    }
}

/// When the next and the last entries are due of those that are due after this instant.
fn next(conn: &mut SqliteConnection, rule: &JobName, after: i64) -> QueryResult<Next> {
    diesel::sql_query(
        "select (select min(due_at) from housekeeper_outbox where rule = ?1 and parked_at is null and due_at > ?2) as due_at, \
         (select max(due_at) from housekeeper_outbox where rule = ?1 and parked_at is null and due_at > ?2) as last",
    )
    .bind::<Text, _>(rule.as_str())
    .bind::<BigInt, _>(after)
    .get_result(conn)
}

fn json(ids: Vec<i64>) -> String {
    serde_json::Value::from(ids).to_string()
}
