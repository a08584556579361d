//! Stopping: a state of the message loop, in which what is asked is answered and what runs may end.

use std::time::Duration;

use ractor::{ActorId, RpcReplyPort};

use super::job_state::{JobState, WorkerSlot};
use super::state::{State, answer};
use crate::actors::delayed::Delayed;
use crate::actors::message::{HousekeeperMsg, InternalMsg};
use crate::actors::worker::WorkerMsg;
use crate::job::JobName;
use crate::model::{Event, HousekeeperState, Outcome};
use crate::time::Moment;

/// A shutdown in progress.
pub(super) struct Shutdown {
    askers: Vec<RpcReplyPort<()>>,
    ends: Moment,
    _grace: Delayed<HousekeeperMsg>,
    /// What our own supervisor is told, if a job was escalated.
    error: Option<String>,
}

impl State {
    pub(super) fn life(&self) -> HousekeeperState {
        if self.shutdown.is_some() {
            HousekeeperState::ShuttingDown
        } else {
            HousekeeperState::Running
        }
    }

    pub(super) async fn shut_down(&mut self, grace: Duration, reply: RpcReplyPort<()>) {
        let now = self.watch.now();
        let ends = now.after(grace);
        let mut askers = vec![reply];
        if let Some(shutdown) = self.shutdown.take() {
            askers.extend(shutdown.askers);
            if shutdown.ends.mono <= ends.mono {
                self.shutdown = Some(Shutdown { askers, ..shutdown });
                return;
            }
            let sooner = self.grace(grace);
            self.shutdown = Some(Shutdown {
                askers,
                ends,
                _grace: sooner,
                ..shutdown
            });
            return;
        }
        self.begin_to_leave(grace, askers, None).await;
    }

    /// Shuts down, and then fails with this error.
    pub(super) async fn escalate(&mut self, error: String) {
        self.begin_to_leave(DEFAULT_GRACE, Vec::new(), Some(error))
            .await;
    }

    async fn begin_to_leave(
        &mut self,
        grace: Duration,
        askers: Vec<RpcReplyPort<()>>,
        error: Option<String>,
    ) {
        tracing::info!(
            grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            "the housekeeper shuts down"
        );
        self.subscribers.tell(Event::ShuttingDown);
        self.round = None;
        self.shutdown = Some(Shutdown {
            askers,
            ends: self.watch.now().after(grace),
            _grace: self.grace(grace),
            error,
        });
        let jobs: Vec<JobName> = self.desks.keys().cloned().collect();
        for job in &jobs {
            let Some(desk) = self.desks.get_mut(job) else {
                continue;
            };
            desk.end_run(Outcome::ShuttingDown);
            let orders = desk.queue.drain();
            self.reject(job, orders, &Outcome::ShuttingDown);
            self.staff(job).await;
        }
        self.stop_next();
    }

    /// Sees to it that there is a worker to write what the history is owed.
    async fn staff(&mut self, job: &JobName) {
        let is_owed = |desk: &JobState| desk.post.worker().is_none() && !desk.unsaved.is_empty();
        if self.desks.get(job).is_some_and(is_owed) {
            // If it cannot be started, the records go with us.
            let _ = self.try_spawn_worker(job).await;
        }
    }

    /// A child left while we shut down: the next in line is told to.
    pub(super) async fn left_at_shutdown(&mut self, child: ActorId, reason: &str) {
        if self
            .alarm
            .timer
            .as_ref()
            .is_some_and(|timer| timer.get_id() == child)
        {
            self.alarm.timer = None;
        }
        let now = self.watch.now();
        let desk = self.desks.values_mut().find(|desk| desk.post.is(child));
        let unfinished = desk.and_then(|desk| {
            desk.post = WorkerSlot::Vacant;
            desk.running.take()
        });
        if let Some(running) = unfinished {
            let crashed = running.began;
            let outcome = if crashed {
                Outcome::Crashed {
                    reason: reason.to_owned(),
                    rows_at_least: running.report.counts.total(),
                }
            } else {
                Outcome::ShuttingDown
            };
            let (report, waiters) = running.cut_short(now, outcome);
            if let Some(desk) = self.desks.get_mut(&report.job).filter(|_| crashed) {
                desk.remember(&report, self.instance, self.history.is_some());
            }
            self.settle(&report, waiters);
            // Not for one that died as it wrote: it would do so again.
            self.staff(&report.job).await;
        }
        self.stop_next();
    }

    /// Stops the timer, then the workers in the reverse of the order in which they started, then
    /// ourselves.
    pub(super) fn stop_next(&mut self) {
        if let Some(timer) = &self.alarm.timer {
            return timer.stop(None);
        }
        let mut desks = self.desks.values().rev();
        let Some((desk, worker)) = desks.find_map(|desk| Some((desk, desk.post.worker()?))) else {
            return self.leave();
        };
        if desk.running.is_some() {
            // What the history is owed is on its sheet, and may come back with its end, which calls
            // here again.
            return;
        }
        // A message, because `stop` would overtake the report of the run. Not `drain`: should we be
        // killed now, ractor would take our children along, but for those that drain. One that is
        // told twice stops at the first.
        let _ = worker.cast(WorkerMsg::Leave(desk.unsaved.clone()));
    }

    /// What has not left by now is killed; `post_stop` answers for it.
    pub(super) fn grace_ended(&mut self) {
        if self.shutdown.is_none() {
            return;
        }
        for desk in self.desks.values_mut() {
            desk.post = WorkerSlot::Vacant;
        }
        self.alarm.timer = None;
        self.leave();
    }

    /// Ends the message loop. Who is left of the children is killed: at the end of a graceful
    /// shutdown only readers.
    fn leave(&self) {
        for child in self.myself.get_cell().get_children() {
            child.kill();
        }
        // Not `stop`: what was sent before is still answered.
        let _ = self.myself.drain();
    }

    /// How long batches in flight may still take. Who stops us in the middle of a shutdown does not
    /// lengthen it.
    pub(super) fn grace_left(&self) -> Duration {
        let now = self.watch.now();
        let ends = self.shutdown.as_ref().map(|shutdown| shutdown.ends);
        ends.map(|ends| ends.mono.saturating_sub(now.mono))
            // Once it is over, everybody has been killed, and is only waited for.
            .filter(|left| !left.is_zero())
            .unwrap_or(DEFAULT_GRACE)
    }

    /// The end: whoever has not been told is, and whoever waits is answered. Returns the error of
    /// an escalation.
    pub(super) fn stopped(&mut self) -> Option<String> {
        if self.shutdown.is_none() {
            self.subscribers.tell(Event::ShuttingDown);
        }
        let escalated = self.shutdown.as_mut();
        let error = escalated.and_then(|shutdown| shutdown.error.take());
        self.answer_the_rest();
        error
    }

    fn grace(&self, grace: Duration) -> Delayed<HousekeeperMsg> {
        Delayed(
            self.myself
                .send_after(grace, || InternalMsg::GraceEnded.into()),
        )
    }
}

impl Shutdown {
    pub(super) fn answer(self) {
        for asker in self.askers {
            answer(asker, ());
        }
    }
}

/// How long batches in flight may take when a housekeeper is stopped without being told how long.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);
