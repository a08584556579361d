//! The run that a worker is in: given, followed, told to end, cut short.

use ractor::RpcReplyPort;

use super::job_state::{JobState, WorkerSlot};
use crate::actors::run_state::{Committed, RunState};
use crate::actors::worker::WorkerMsg;
use crate::job::Scope;
use crate::model::{CurrentRun, Outcome, Report, RequestError, Trigger};
use crate::policy::QueuedRun;
use crate::time::Moment;

/// Who waits for a run.
pub(super) enum Waiter {
    Asker(RpcReplyPort<Result<Report, RequestError>>),
    /// One part of a `RunAll`.
    PendingRunAll(u64),
}

/// A run that a worker was given.
pub(super) struct Running {
    /// As far as it has come.
    pub(super) report: Report,
    /// Rows handled, of which the report names the first.
    pub(super) rows: u64,
    pub(super) since: Moment,
    pub(super) waiters: Vec<Waiter>,
    /// Whether the worker said that it took it up.
    pub(super) began: bool,
    /// When the worker was last heard of, or was given the run.
    pub(super) heard: Moment,
}

impl JobState {
    /// Gives a worker that is free the run that waits longest.
    pub(super) fn start_next(&mut self, now: Moment) {
        let WorkerSlot::Up(worker) = &self.post else {
            return;
        };
        if self.running.is_some() {
            return;
        }
        let Some(QueuedRun {
            scope,
            trigger,
            waiters,
        }) = self.queue.pop()
        else {
            return;
        };
        if trigger >= Trigger::Tick && scope == Scope::All {
            self.rejected.clear();
        }
        let report = Report::blank(self.name.clone(), scope, trigger, now.wall);
        // Copies: a worker that dies takes its own along.
        let (unsaved, rejected) = (self.unsaved.clone(), self.rejected.clone());
        let sheet = RunState::new(report.clone(), unsaved, rejected);
        // A worker that died a moment ago takes no message; its death puts the run back.
        let _ = worker.cast(WorkerMsg::Run(Box::new(sheet)));
        self.running = Some(Running {
            report,
            rows: 0,
            since: now,
            waiters,
            began: false,
            heard: now,
        });
    }

    /// Asks the worker to end its run between two batches.
    pub(super) fn end_run(&self, outcome: Outcome) {
        if let (WorkerSlot::Up(worker), Some(running)) = (&self.post, &self.running) {
            let _ = worker.cast(WorkerMsg::End(running.report.run, outcome));
        }
    }
}

impl Running {
    /// The worker took it up.
    pub(super) fn begin(&mut self, now: Moment) {
        self.began = true;
        self.heard = now;
    }

    /// The worker told of a batch.
    pub(super) fn progress(&mut self, now: Moment, batch: &Committed, max_reported_ids: u32) {
        self.heard = now;
        self.report.cutoff = Some(batch.cutoff);
        self.rows += batch.ids.len() as u64;
        self.report
            .account(&batch.counts, &batch.ids, max_reported_ids);
        self.report.leave_out(&batch.rejected);
    }

    /// The run as it is known to have ended when its worker can say no more.
    pub(super) fn cut_short(self, now: Moment, outcome: Outcome) -> (Report, Vec<Waiter>) {
        let elapsed = now.mono.saturating_sub(self.since.mono);
        (
            Report {
                outcome,
                elapsed,
                ..self.report
            },
            self.waiters,
        )
    }

    pub(super) fn status(&self) -> CurrentRun {
        let Report {
            run,
            scope,
            trigger,
            started_at,
            batches,
            counts,
            ..
        } = self.report.clone();
        CurrentRun {
            run,
            scope,
            trigger,
            started_at,
            heard_at: self.heard.wall,
            batches,
            rows: self.rows,
            counts,
        }
    }
}
