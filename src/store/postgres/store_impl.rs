//! The traits of a store, on Postgres.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::attempt::transact;
use super::flight::Purpose;
use super::{PostgresStore, booking_check, history, pauses};
use crate::job::{Job, JobName, ReplicaPause};
use crate::model::{
    HistoryPage, HistoryQuery, InstanceRuns, RunHistory, RunId, RunRecord, StoreError,
};
use crate::rule::{Rule, RuleError};
use crate::store::Store;

#[async_trait]
impl Store for PostgresStore {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.read_clock().await
    }

    async fn check(&self) -> Result<(), StoreError> {
        let what = "check the booking schema";
        self.check_pooler().await?;
        transact!(self, Purpose::Read, what, |flight| {
            booking_check::check(flight).await?;
        })
    }

    fn job(&self, rule: Rule) -> Result<Arc<dyn Job>, RuleError> {
        Ok(Arc::new(self.rule(rule)?))
    }
}

#[async_trait]
impl RunHistory for PostgresStore {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        let what = "record runs";
        transact!(self, Purpose::Write, what, |flight| {
            history::record(flight, runs, keep).await?;
        })
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let page = self.page(job, &HistoryQuery::newest(limit)).await?;
        Ok(page.runs)
    }

    async fn page(&self, job: &JobName, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        let what = "read past runs";
        transact!(self, Purpose::Read, what, |flight| {
            history::page(flight, job, query).await?
        })
    }

    async fn note_instance(&self, instance: &str) -> Result<(), StoreError> {
        let what = "note the instance";
        transact!(self, Purpose::Write, what, |flight| {
            history::note_instance(flight, instance).await?;
        })
    }

    async fn instances(&self, since: DateTime<Utc>) -> Result<Vec<InstanceRuns>, StoreError> {
        let what = "list the instances";
        transact!(self, Purpose::Read, what, |flight| history::instances(
            flight, since
        )
        .await?)
    }

    async fn pause(&self, job: &JobName) -> Result<Option<ReplicaPause>, StoreError> {
        Ok(self.open_run(job).await?.1)
    }

    async fn set_pause(
        &self,
        job: &JobName,
        pause: Option<&ReplicaPause>,
    ) -> Result<bool, StoreError> {
        let what = "pause or resume a job for all replicas";
        transact!(self, Purpose::Write, what, |flight| pauses::write(
            flight, job, pause
        )
        .await?)
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let what = "look up a run";
        transact!(self, Purpose::Read, what, |flight| history::run(
            flight, run
        )
        .await?)
    }
}
