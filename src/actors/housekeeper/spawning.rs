//! Children are spawned: all in order at the start, one by one after a crash.

use ractor::SpawnErr;

use super::job_state::JobState;
use super::publisher::Publisher;
use super::shared::Shared;
use super::state::State;
use super::worker_slot::WorkerSlot;

impl State {
    /// Spawns the workers and couriers, then the timer that wakes for them.
    pub(super) async fn spawn_all(&mut self) -> Result<(), SpawnErr> {
        for job in self.jobs.iter_mut() {
            job.try_spawn_worker(&self.shared).await?;
        }
        self.couriers.spawn_all(&self.shared).await?;
        self.try_spawn_timer().await
    }

    pub(super) async fn spawn_timer(&mut self) {
        if self.shutdown.is_none() {
            if let Err(error) = self.try_spawn_timer().await {
                self.timer_crashed(error.to_string());
            }
        }
    }

    async fn try_spawn_timer(&mut self) -> Result<(), SpawnErr> {
        let now = self.shared.now();
        let armed = self.jobs.iter();
        let armed = armed.filter_map(|job| Some((job.name.clone(), job.alarm_at(now)?)));
        self.timer.spawn(&self.shared, armed.collect()).await
    }
}

impl JobState {
    /// Spawns the worker of a degraded job for one attempt. Returns the error of an escalation.
    pub(super) async fn revive(
        &mut self,
        shared: &Shared,
        publisher: &mut Publisher,
    ) -> Option<String> {
        if matches!(self.worker, WorkerSlot::Degraded { .. }) {
            self.spawn_worker(shared, publisher).await
        } else {
            None
        }
    }

    /// Spawns the worker. A failed spawn counts as a crash. Returns the error of an escalation.
    pub(super) async fn spawn_worker(
        &mut self,
        shared: &Shared,
        publisher: &mut Publisher,
    ) -> Option<String> {
        // The workers' `pre_start` cannot fail, so this is ractor's own failure.
        let error = self.try_spawn_worker(shared).await.err()?;
        self.worker_crashed(shared, publisher, error.to_string())
    }
}
