//! The traits of a store, on SQLite.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{SqliteStore, history, pauses, tables};
use crate::job::{Job, JobName, ReplicaPause};
use crate::model::{
    HistoryPage, HistoryQuery, InstanceRuns, RunHistory, RunId, RunRecord, StoreError,
};
use crate::rule::{Rule, RuleError};
use crate::store::Store;

#[async_trait]
impl Store for SqliteStore {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.instant())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.run("check the booking schema", tables::check).await
    }

    fn job(&self, rule: Rule) -> Result<Arc<dyn Job>, RuleError> {
        Ok(Arc::new(self.rule(rule)?))
    }
}

#[async_trait]
impl RunHistory for SqliteStore {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        let runs = runs.to_vec();
        self.run_for("record runs", move |conn, caller| {
            history::record(conn, &runs, keep, caller)
        })
        .await
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let page = self.page(job, &HistoryQuery::newest(limit)).await?;
        Ok(page.runs)
    }

    async fn page(&self, job: &JobName, query: &HistoryQuery) -> Result<HistoryPage, StoreError> {
        let (job, query) = (job.clone(), query.clone());
        self.run("read past runs", move |conn| {
            history::page(conn, &job, &query)
        })
        .await
    }

    async fn note_instance(&self, instance: &str) -> Result<(), StoreError> {
        let instance = instance.to_owned();
        Self::run(self, "note the instance", move |conn| {
            history::note_instance(conn, &instance)
        })
        .await
    }

    async fn instances(&self, since: DateTime<Utc>) -> Result<Vec<InstanceRuns>, StoreError> {
        Self::run(self, "list the instances", move |conn| {
            history::instances(conn, since)
        })
        .await
    }

    async fn pause(&self, job: &JobName) -> Result<Option<ReplicaPause>, StoreError> {
        let job = job.clone();
        Self::run(self, "read the pause of a job", move |conn| {
            pauses::read(conn, &job)
        })
        .await
    }

    async fn set_pause(
        &self,
        job: &JobName,
        pause: Option<&ReplicaPause>,
    ) -> Result<bool, StoreError> {
        let (job, pause) = (job.clone(), pause.cloned());
        Self::run(
            self,
            "pause or resume a job for all replicas",
            move |conn| pauses::write(conn, &job, pause.as_ref()),
        )
        .await
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        Self::run(self, "look up a run", move |conn| history::run(conn, run)).await
    }
}
