//! The supervisor's memory of all jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use ractor::ActorId;

use super::job_state::JobState;
use crate::config::HousekeeperConfig;
use crate::job::{Job, JobName};
use crate::model::{RequestError, RunId};
use crate::time::Moment;

/// The jobs by name.
pub(super) struct Jobs(BTreeMap<JobName, JobState>);

impl Jobs {
    pub(super) fn new(jobs: Vec<Arc<dyn Job>>, config: &HousekeeperConfig, now: Moment) -> Self {
        let states = jobs.into_iter().map(|job| JobState::new(job, config, now));
        Self(states.map(|job| (job.name.clone(), job)).collect())
    }

    /// Returns a job, enabled or not.
    pub(super) fn get(&self, name: &JobName) -> Result<&JobState, RequestError> {
        self.0.get(name).ok_or_else(|| self.unknown(name))
    }

    /// Returns an enabled job.
    pub(super) fn enabled(&mut self, name: &JobName) -> Result<&mut JobState, RequestError> {
        if !self.0.contains_key(name) {
            return Err(self.unknown(name));
        }
        let job = self.0.get_mut(name).filter(|job| job.enabled);
        job.ok_or_else(|| RequestError::Disabled { job: name.clone() })
    }

    fn unknown(&self, name: &JobName) -> RequestError {
        RequestError::UnknownJob {
            job: name.clone(),
            known: self.0.keys().cloned().collect(),
        }
    }

    pub(super) fn get_mut(&mut self, name: &JobName) -> Option<&mut JobState> {
        self.0.get_mut(name)
    }

    /// Returns the job whose worker has this run.
    pub(super) fn in_run(&mut self, run: RunId) -> Option<&mut JobState> {
        let is_in = |job: &JobState| job.active.as_ref().is_some_and(|active| active.id() == run);
        self.0.values_mut().find(|job| is_in(job))
    }

    /// Returns the job of this worker.
    pub(super) fn of_worker(&mut self, child: ActorId) -> Option<&mut JobState> {
        self.0.values_mut().find(|job| job.worker.is(child))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &JobName> {
        self.0.keys()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &JobState> {
        self.0.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut JobState> {
        self.0.values_mut()
    }
}
