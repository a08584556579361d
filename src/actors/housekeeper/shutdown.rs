//! Shutting down: a state of the message loop, in which requests are answered and runs may end.

use std::time::Duration;

use ractor::{ActorId, RpcReplyPort};

use super::state::{Shutdown, State};
use super::worker_slot::WorkerSlot;
use crate::actors::message::InternalMsg;
use crate::actors::worker::WorkerMsg;
use crate::model::{Event, Outcome};

impl State {
    /// Begins a shutdown, or shortens the grace of one in progress.
    pub(super) async fn shut_down(&mut self, grace: Duration, reply: RpcReplyPort<()>) {
        let ends = self.shared.now().after(grace);
        let Some(shutdown) = &mut self.shutdown else {
            return self.begin_shutdown(grace, vec![reply], None).await;
        };
        shutdown.callers.push(reply);
        if ends.mono < shutdown.ends.mono {
            shutdown.ends = ends;
            shutdown.grace = self.shared.send_after(grace, || InternalMsg::GraceEnded);
        }
    }

    /// Shuts down and fails with this error, if there is one.
    pub(super) async fn escalate_if(&mut self, error: Option<String>) {
        if error.is_some() && self.shutdown.is_none() {
            self.begin_shutdown(DEFAULT_GRACE, Vec::new(), error).await;
        }
    }

    async fn begin_shutdown(
        &mut self,
        grace: Duration,
        callers: Vec<RpcReplyPort<()>>,
        error: Option<String>,
    ) {
        tracing::info!(
            grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            "the housekeeper shuts down"
        );
        self.publisher.emit(Event::ShuttingDown);
        self.next_check = None;
        let now = self.shared.now();
        self.shutdown = Some(Shutdown {
            callers,
            ends: now.after(grace),
            grace: self.shared.send_after(grace, || InternalMsg::GraceEnded),
            error,
        });
        for job in self.jobs.iter_mut() {
            job.end_run(Outcome::ShuttingDown);
            let queued = job.queue.drain();
            self.publisher
                .reject(&job.name, queued, &Outcome::ShuttingDown, now);
            job.ensure_worker(&self.shared).await;
        }
        self.couriers.stop();
        self.stop_next();
    }

    /// Handles the end of a child during a shutdown: stops the next one.
    pub(super) async fn child_stopped(&mut self, child: ActorId, reason: &str) {
        if self.timer.is(child) {
            self.timer.clear();
        }
        self.couriers.stopped(child);
        let now = self.shared.now();
        if let Some(job) = self.jobs.of_worker(child) {
            job.worker = WorkerSlot::Vacant;
            if let Some(active) = job.active.take() {
                let (report, waiters) = if active.began {
                    active.crashed(now, reason)
                } else {
                    active.cut_short(now, Outcome::ShuttingDown)
                };
                if matches!(report.outcome, Outcome::Crashed { .. }) {
                    job.records.add(&report, &self.shared, true);
                }
                self.publisher.publish(&report, waiters);
                // Not for a worker that crashed while it saved: the next one would crash as well.
                job.ensure_worker(&self.shared).await;
            }
        }
        self.stop_next();
    }

    /// Stops the timer, then the workers in the reverse order of their start, then the housekeeper.
    pub(super) fn stop_next(&mut self) {
        if let Some(timer) = self.timer.actor() {
            return timer.stop(None);
        }
        let mut jobs = self.jobs.iter().rev();
        let Some((job, worker)) = jobs.find_map(|job| Some((job, job.worker.actor()?))) else {
            // The couriers wait for what is under way, beside the workers.
            if self.couriers.are_up() {
                return;
            }
            return self.stop();
        };
        if job.active.is_some() {
            // The end of the run brings the records that are not saved, and calls this again.
            return;
        }
        // A message, because `stop` would overtake the report of the run. Not `drain`: a kill of
        // the housekeeper kills its children, but not those that drain. A worker that gets the
        // message twice stops at the first.
        let _ = worker.cast(WorkerMsg::Stop(job.records.unsaved.clone()));
    }

    /// Kills the children that are left at the end of the grace. `post_stop` answers for them.
    pub(super) fn grace_ended(&mut self) {
        if self.shutdown.is_none() {
            return;
        }
        for job in self.jobs.iter_mut() {
            job.worker = WorkerSlot::Vacant;
        }
        self.couriers.clear();
        self.timer.clear();
        self.stop();
    }

    /// Ends the message loop, and kills the children that are left: at the end of a graceful
    /// shutdown only readers.
    fn stop(&self) {
        for child in self.shared.myself.get_cell().get_children() {
            child.kill();
        }
        // Not `stop`: messages sent before are still answered.
        let _ = self.shared.myself.drain();
    }

    /// Returns how long batches in progress may still take. A plain stop in the middle of a
    /// shutdown leaves its grace as it is.
    pub(super) fn grace_left(&self) -> Duration {
        let now = self.shared.now();
        let ends = self.shutdown.as_ref().map(|shutdown| shutdown.ends);
        ends.map(|ends| ends.mono.saturating_sub(now.mono))
            // After it, all children were killed and are only waited for.
            .filter(|left| !left.is_zero())
            .unwrap_or(DEFAULT_GRACE)
    }

    /// Answers all callers that still wait. Returns the error of an escalation.
    pub(super) fn stopped(&mut self) -> Option<String> {
        if self.shutdown.is_none() {
            self.publisher.emit(Event::ShuttingDown);
        }
        let now = self.shared.now();
        for job in self.jobs.iter_mut() {
            job.reject_all(&mut self.publisher, now);
        }
        let mut shutdown = self.shutdown.take()?;
        let error = shutdown.error.take();
        shutdown.answer();
        error
    }
}

/// Grace of a housekeeper that is stopped without a `Shutdown`.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);
