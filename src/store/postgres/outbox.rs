//! The outbox on Postgres.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::flight::Purpose;
use super::{PostgresStore, settle};
use crate::job::JobName;
use crate::model::{
    Claim, Claimed, EntryId, Outbox, OutboxCounts, OutboxEntry, ParkedEntry, ParkedPage,
    Settlement, StoreError, WhichEntries,
};
use crate::store::counted::{PROBE, capped};
use crate::store::outbox::{
    self, Part, Parts, Settle, claimed, farthest, ids_of, is_full, micros_of, span_of,
};
use crate::store::tx_error::{TxError, TxResult};

mod statements;

use statements::{
    CLAIM, CLAIM_IN_ORDER_OF_KEY, COUNTS, DISCARD, NEXT, PARKED, PULL, REDELIVER, REFUSE, RELEASE,
};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    payload: String,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    parked_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    last_error: Option<String>,
}

#[derive(QueryableByName)]
struct Next {
    #[diesel(sql_type = Nullable<BigInt>)]
    wait: Option<i64>,
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
        OutboxEntry {
            topic: self.topic,
            attempts: self.attempts.unsigned_abs(),
            ..OutboxEntry::new(
                EntryId(self.id),
                rule.clone(),
                self.key,
                self.at,
                self.payload,
            )
        }
    }
}

impl PostgresStore {
    /// The host's clock, if it gave one; the statements ask the database's otherwise.
    fn given_now(&self) -> Option<DateTime<Utc>> {
        let clock = self.clock.as_ref()?;
        Some(clock.now().trunc_subsecs(6))
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
            let mut flight = self.begin(Purpose::Sweep, what).await?;
            let done = diesel::sql_query(statement)
                .bind::<Text, _>(rule.as_str())
                .bind::<Nullable<Timestamptz>, _>(self.given_now())
                .bind::<Nullable<Array<BigInt>>, _>(ids)
                .bind::<BigInt, _>(Parts::SIZE)
                .execute(&mut *flight)
                .await;
            let part = settle(flight, done.map_err(TxError::from), what).await?;
            changed += part as u64;
            parts.changed(part);
        }
        Ok(changed)
    }
}

#[async_trait]
impl Settle for PostgresStore {
    async fn settle_at_once(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError> {
        let what = "settle entries of the outbox";
        let mut flight = self.begin(Purpose::Sweep, what).await?;
        let done: TxResult<()> = async {
            if !settlement.acknowledged.is_empty() {
                diesel::sql_query("delete from housekeeper_outbox where id = any($1)")
                    .bind::<Array<BigInt>, _>(ids_of(&settlement.acknowledged))
                    .execute(&mut *flight)
                    .await?;
            }
            let refused = &settlement.refused;
            if !refused.is_empty() {
                let attempts = refused.iter().map(|entry| i32::try_from(entry.attempts));
                let attempts = attempts.map(|attempts| attempts.unwrap_or(i32::MAX));
                // Postgres keeps no NUL.
                let errors = refused.iter().map(|entry| {
                    let error = entry.error.as_ref();
                    error.map(|error| error.replace('\0', "\u{fffd}"))
                });
                let waits = refused.iter().map(|entry| entry.again_after.map(micros_of));
                diesel::sql_query(REFUSE)
                    .bind::<Array<BigInt>, _>(refused.iter().map(|e| e.id.0).collect::<Vec<_>>())
                    .bind::<Array<Integer>, _>(attempts.collect::<Vec<_>>())
                    .bind::<Array<Nullable<Text>>, _>(errors.collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(waits.collect::<Vec<_>>())
                    .bind::<SqlUuid, _>(owner)
                    .bind::<Nullable<Timestamptz>, _>(self.given_now())
                    .execute(&mut *flight)
                    .await?;
            }
            Ok(())
        }
        .await;
        settle(flight, done, what).await
    }
}

#[async_trait]
impl Outbox for PostgresStore {
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let what = "claim entries of the outbox";
        let now = self.given_now();
        let mut flight = self.begin(Purpose::Sweep, what).await?;
        let done: TxResult<Claimed> = async {
            let statement = if claim.in_order_of_key {
                CLAIM_IN_ORDER_OF_KEY
            } else {
                CLAIM
            };
            let lines: Vec<Line> = diesel::sql_query(statement)
                .bind::<Text, _>(claim.rule.as_str())
                .bind::<Nullable<Timestamptz>, _>(now)
                .bind::<BigInt, _>(i64::from(claim.limit.get()))
                .bind::<BigInt, _>(micros_of(claim.lease))
                .bind::<SqlUuid, _>(claim.owner)
                .load(&mut *flight)
                .await?;
            let next_due = if is_full(claim, lines.len()) {
                Some(Duration::ZERO)
            } else {
                let next: Next = diesel::sql_query(NEXT)
                    .bind::<Text, _>(claim.rule.as_str())
                    .bind::<Nullable<Timestamptz>, _>(now)
                    .get_result(&mut *flight)
                    .await?;
                let [waiting, leased] = farthest(claim);
                let mut pulled = 0;
                if next.last.is_some_and(|last| last > waiting) {
                    pulled = diesel::sql_query(PULL)
                        .bind::<Text, _>(claim.rule.as_str())
                        .bind::<Nullable<Timestamptz>, _>(now)
                        .bind::<BigInt, _>(waiting)
                        .bind::<BigInt, _>(leased)
                        .execute(&mut *flight)
                        .await?;
                }
                let pulled = (pulled > 0).then_some(Duration::ZERO);
                pulled.or(next.wait.map(span_of))
            };
            let entries = lines.into_iter().map(|line| line.entry(&claim.rule));
            Ok(claimed(entries, next_due))
        }
        .await;
        settle(flight, done, what).await
    }

    async fn settle(&self, owner: Uuid, settlement: &Settlement) -> Result<(), StoreError> {
        outbox::settle(self, owner, settlement).await
    }

    async fn release(&self, rule: &JobName, owner: Uuid) -> Result<u64, StoreError> {
        let what = "release entries of the outbox";
        let mut flight = self.begin(Purpose::Sweep, what).await?;
        let done = diesel::sql_query(RELEASE)
            .bind::<Text, _>(rule.as_str())
            .bind::<SqlUuid, _>(owner)
            .bind::<Nullable<Timestamptz>, _>(self.given_now())
            .execute(&mut *flight)
            .await;
        let released = settle(flight, done.map_err(TxError::from), what).await?;
        Ok(released as u64)
    }

    async fn counts(&self, rule: &JobName) -> Result<OutboxCounts, StoreError> {
        let what = "count entries of the outbox";
        let mut flight = self.begin(Purpose::Look, what).await?;
        let counted: QueryResult<Counted> = diesel::sql_query(COUNTS)
            .bind::<Text, _>(rule.as_str())
            .bind::<Nullable<Timestamptz>, _>(self.given_now())
            .bind::<BigInt, _>(PROBE)
            .get_result(&mut *flight)
            .await;
        let counted = settle(flight, counted.map_err(TxError::from), what).await?;
        Ok(OutboxCounts::new(
            capped(counted.waiting),
            capped(counted.failing),
            capped(counted.parked),
            counted.oldest.map(span_of),
        ))
    }

    async fn parked(
        &self,
        rule: &JobName,
        page: &ParkedPage,
    ) -> Result<Vec<ParkedEntry>, StoreError> {
        let what = "list parked entries";
        let mut flight = self.begin(Purpose::Look, what).await?;
        let lines: QueryResult<Vec<Line>> = diesel::sql_query(PARKED)
            .bind::<Text, _>(rule.as_str())
            .bind::<BigInt, _>(page.after.map_or(i64::MIN, |id| id.0))
            .bind::<BigInt, _>(i64::from(page.size.get()))
            .load(&mut *flight)
            .await;
        let lines = settle(flight, lines.map_err(TxError::from), what).await?;
        let parked = lines.into_iter().map(|mut line| {
            let (at, error) = (line.parked_at.unwrap_or_default(), line.last_error.take());
            ParkedEntry::new(line.entry(rule), at, error)
        });
        Ok(parked.collect())
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
