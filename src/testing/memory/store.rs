//! The traits of a store, over rows in memory.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::MemoryStore;
use super::job::MemoryJob;
use crate::job::{Job, JobName, ReplicaPause};
use crate::model::{InstanceRuns, RunHistory, RunId, RunRecord};
use crate::rule::{Rule, RuleError};
use crate::store::{Store, StoreError};

#[async_trait]
impl Store for MemoryStore {
    async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.instant())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Accepts only rules over the tables of the built-in jobs, and reads only the age of a rule.
    fn job(&self, rule: Rule) -> Result<Arc<dyn Job>, RuleError> {
        Ok(Arc::new(MemoryJob::new(self.clone(), &rule)?))
    }
}

#[async_trait]
impl RunHistory for MemoryStore {
    async fn record(&self, runs: &[RunRecord], keep: u32) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let saved = rows.runs.len();
        RunRecord::fold_into(&mut rows.runs, runs);
        let mut new = rows.runs.split_off(saved);
        new.sort_by(|one, other| {
            let newest_first = other.report.started_at.cmp(&one.report.started_at);
            newest_first.then_with(|| other.key.cmp(&one.key))
        });
        rows.runs.splice(0..0, new);
        for run in runs {
            let mut kept = 0;
            rows.runs.retain(|earlier| {
                let of_job = earlier.report.job == run.report.job;
                kept += u32::from(of_job);
                !of_job || kept <= keep
            });
        }
        Ok(())
    }

    async fn runs(&self, job: &JobName, limit: u32) -> Result<Vec<RunRecord>, StoreError> {
        let rows = self.rows();
        let of_job = rows.runs.iter().filter(|run| run.report.job == *job);
        Ok(of_job.take(limit as usize).cloned().collect())
    }

    async fn note_instance(&self, instance: &str) -> Result<(), StoreError> {
        let now = self.instant();
        self.rows().instances.insert(instance.to_owned(), now);
        Ok(())
    }

    async fn instances(&self, since: DateTime<Utc>) -> Result<Vec<InstanceRuns>, StoreError> {
        let rows = self.rows();
        let lines = rows.runs.iter().filter_map(|run| {
            let instance = run.report.instance.clone()?;
            Some((instance, run.report.started_at, 1))
        });
        let noted = rows.instances.iter();
        let runs = lines.chain(noted.map(|(instance, at)| (instance.clone(), *at, 0)));
        Ok(InstanceRuns::of(runs.filter(|(_, at, _)| *at >= since)))
    }

    async fn pause(&self, job: &JobName) -> Result<Option<ReplicaPause>, StoreError> {
        Ok(self.rows().pauses.get(job).cloned())
    }

    async fn set_pause(
        &self,
        job: &JobName,
        pause: Option<&ReplicaPause>,
    ) -> Result<bool, StoreError> {
        let pauses = &mut self.rows().pauses;
        Ok(match pause {
            Some(_) if pauses.contains_key(job) => false,
            Some(pause) => pauses.insert(job.clone(), pause.clone()).is_none(),
            None => pauses.remove(job).is_some(),
        })
    }

    async fn run(&self, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        let rows = self.rows();
        let key = run.to_string();
        Ok(rows.runs.iter().find(|record| record.key == key).cloned())
    }
}
