//! Pauses for all replicas, which the database keeps.
//!
//! The opening read of a run finds a pause, so none costs a query. While a pause lasts there are no
//! runs, and a reader checks once a minute whether it has ended.

use chrono::SubsecRound;
use ractor::RpcReplyPort;

use super::controls::log;
use super::dispatch::take_up;
use super::job_state::JobState;
use super::pending_read::{PendingRead, ReadReply};
use super::publisher::Publisher;
use super::shared::{Shared, answer};
use super::state::State;
use crate::actors::message::PauseChange;
use crate::actors::reader::ReadRequest;
use crate::job::{JobName, ReplicaPause, Scope};
use crate::model::{Event, Pause, RequestError, Requester, Trigger};
use crate::time::Moment;

impl State {
    /// Writes a pause for all replicas, or its end.
    pub(super) async fn switch_replicas(
        &mut self,
        name: &JobName,
        pauses: bool,
        by: Option<Requester>,
        reply: RpcReplyPort<Result<bool, RequestError>>,
    ) {
        if self.shutdown.is_some() {
            return answer(reply, Err(RequestError::ShuttingDown));
        }
        let job = match self.jobs.enabled(name) {
            Ok(job) => job,
            Err(error) => return answer(reply, Err(error)),
        };
        let Some(store) = self.shared.history.clone() else {
            let job = name.clone();
            return answer(reply, Err(RequestError::NoSharedHistory { job }));
        };
        let pause = pauses.then(|| {
            // The databases store microseconds.
            let since = self.shared.now().wall.trunc_subsecs(6);
            ReplicaPause::new(since, by.as_ref().map(|by| by.as_str().to_owned()))
        });
        let change = PauseChange {
            job: name.clone(),
            pause,
            by,
        };
        let timeout = job.config.read_timeout;
        let request = ReadRequest::WritePause { change, store };
        self.queue_read(name, Ok((request, timeout)), ReadReply::Pause(reply))
            .await;
    }

    /// Follows a pause for all replicas that this instance wrote or ended.
    pub(super) async fn replicas_switched(&mut self, change: PauseChange, changed: bool) {
        let now = self.shared.now();
        let Ok(job) = self.jobs.enabled(&change.job) else {
            return;
        };
        match change.pause {
            Some(pause) if changed => job.hold(now, pause, &mut self.publisher),
            // An earlier pause stays as it is.
            Some(_) => {
                let read = job.read_pause(&self.shared);
                return self.reads.push(read, &self.shared).await;
            }
            None => job.release(now, change.by, &mut self.publisher),
        }
        if self.shutdown.is_none() {
            let escalation = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
            self.escalate_if(escalation).await;
        }
    }

    /// Follows a read of the pause while it lasts. A database that did not answer keeps it.
    pub(super) async fn pause_read(
        &mut self,
        name: &JobName,
        read: Result<Option<ReplicaPause>, RequestError>,
    ) {
        let now = self.shared.now();
        let Ok(job) = self.jobs.enabled(name) else {
            return;
        };
        match read {
            Ok(Some(pause)) => job.hold(now, pause, &mut self.publisher),
            Ok(None) => job.release(now, None, &mut self.publisher),
            Err(_) => {}
        }
        if self.shutdown.is_none() {
            let escalation = take_up(job, &self.shared, &self.timer, &mut self.publisher).await;
            self.escalate_if(escalation).await;
        }
    }

    /// Follows a pause that the opening read of a run found.
    pub(super) fn pause_found(&mut self, name: &JobName, pause: ReplicaPause) {
        let now = self.shared.now();
        if let Ok(job) = self.jobs.enabled(name) {
            job.hold(now, pause, &mut self.publisher);
            if self.shutdown.is_none() {
                self.timer.arm(job, now);
            }
        }
    }
}

impl JobState {
    /// Returns the read of the pause for all replicas, to see whether it has ended.
    pub(super) fn read_pause(&self, shared: &Shared) -> PendingRead {
        let request = ReadRequest::Pause {
            job: self.job.clone(),
            history: shared.history.clone(),
        };
        let timeout = self.config.read_timeout;
        PendingRead::new(
            self.name.clone(),
            request,
            ReadReply::Recheck,
            timeout,
            shared,
        )
    }

    /// Suspends the schedule, and plans the next read of the pause.
    fn hold(&mut self, now: Moment, pause: ReplicaPause, publisher: &mut Publisher) {
        let pause = Pause {
            since: pause.since,
            by: pause.by.map(Requester::from),
            all_replicas: true,
        };
        let by = pause.by.clone();
        let is_new = self.planner.pause(pause, now);
        self.queue.keep_manual();
        if !is_new {
            return;
        }
        log(&self.name, "paused for all replicas", by.as_ref());
        publisher.emit(Event::JobPaused {
            job: self.name.clone(),
            requested_by: by,
        });
    }

    /// Resumes the schedule and queues a run, unless this instance is paused by itself.
    fn release(&mut self, now: Moment, by: Option<Requester>, publisher: &mut Publisher) {
        if !self.planner.resume_replicas(now) {
            return;
        }
        log(&self.name, "resumed for all replicas", by.as_ref());
        publisher.emit(Event::JobResumed {
            job: self.name.clone(),
            requested_by: by.clone(),
        });
        self.enqueue(Scope::All, Trigger::Tick, None, by);
    }
}
