//! Hands reports to subscribers and waiters.

use std::collections::{BTreeMap, VecDeque};

use ractor::RpcReplyPort;

use super::shared::answer;
use crate::actors::subscribers::{Subscriber, Subscribers};
use crate::fmt::log_line;
use crate::job::JobName;
use crate::metrics::recorder;
use crate::model::{Event, Outcome, Report, RequestError, Requester, RunId, RunStatus, Trigger};
use crate::policy::QueuedRun;
use crate::time::Moment;

/// Waits for the report of a run.
pub(super) enum Waiter {
    Caller(RpcReplyPort<Result<Report, RequestError>>),
    /// One part of a `RunAll`.
    RunAll(u64),
    /// An `AwaitRun`.
    Run(RpcReplyPort<Result<RunStatus, RequestError>>),
}

/// Emits events, logs reports and answers those who wait for them.
#[derive(Default)]
pub(super) struct Publisher {
    subscribers: Subscribers,
    run_alls: PendingRunAlls,
    /// The newest runs that messages requested: the history keeps none that did nothing.
    ended: VecDeque<Report>,
}

impl Publisher {
    pub(super) fn subscribe(&mut self, subscriber: Subscriber) {
        self.subscribers.add(subscriber);
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.subscribers.emit(event);
    }

    /// Opens the answer to a `RunAll` of this many jobs. Returns its number.
    pub(super) fn open_run_all(
        &mut self,
        reply: RpcReplyPort<Result<Vec<Report>, RequestError>>,
        missing: usize,
    ) -> u64 {
        self.run_alls.open(reply, missing)
    }

    /// Publishes the report of a run that a worker was given.
    pub(super) fn publish(&mut self, report: &Report, waiters: Vec<Waiter>) {
        recorder::run_ended(report);
        self.hand_out(report, waiters);
    }

    /// Answers queued runs that no worker will be given.
    pub(super) fn reject(
        &mut self,
        job: &JobName,
        queued: Vec<QueuedRun<Waiter>>,
        outcome: &Outcome,
        now: Moment,
    ) {
        for run in queued {
            // Even when the caller gave up: subscribers get the outcome of each requested run.
            if run.trigger == Trigger::Manual {
                let report = Report {
                    run: run.run,
                    requested_by: run.requested_by,
                    outcome: outcome.clone(),
                    ..Report::blank(job.clone(), run.scope, run.trigger, now.wall)
                };
                self.hand_out(&report, run.waiters);
            }
        }
    }

    /// Drops the answers of `RunAll`s whose callers gave up.
    pub(super) fn drop_closed(&mut self) {
        self.run_alls
            .open
            .retain(|_, run_all| !run_all.reply.is_closed());
    }

    /// Returns whether the caller of this waiter has gone away.
    pub(super) fn is_closed(&self, waiter: &Waiter) -> bool {
        match waiter {
            Waiter::Caller(reply) => reply.is_closed(),
            Waiter::Run(reply) => reply.is_closed(),
            Waiter::RunAll(number) => !self.run_alls.open.contains_key(number),
        }
    }

    fn hand_out(&mut self, report: &Report, waiters: Vec<Waiter>) {
        log(report);
        // Subscribers first: a caller may stop the housekeeper as soon as it has its answer.
        self.emit(Event::RunFinished(Box::new(report.clone())));
        for waiter in waiters {
            match waiter {
                Waiter::Caller(reply) => answer(reply, Ok(report.clone())),
                Waiter::Run(reply) => answer(reply, Ok(report.clone().into())),
                Waiter::RunAll(number) => self.run_alls.add(number, report.clone()),
            }
        }
        if report.trigger == Trigger::Manual {
            self.ended.push_front(report.clone());
            self.ended.truncate(MAX_ENDED);
        }
    }

    /// Returns the report of a run that a message requested.
    pub(super) fn ended(&self, run: RunId) -> Option<&Report> {
        self.ended.iter().find(|report| report.run == run)
    }
}

/// `RunAll`s that wait for their last report, by number.
#[derive(Default)]
struct PendingRunAlls {
    /// Waiters of a closed one may still carry its number, so numbers are not used again.
    next: u64,
    open: BTreeMap<u64, PendingRunAll>,
}

struct PendingRunAll {
    reply: RpcReplyPort<Result<Vec<Report>, RequestError>>,
    missing: usize,
    reports: BTreeMap<JobName, Report>,
}

impl PendingRunAlls {
    fn open(
        &mut self,
        reply: RpcReplyPort<Result<Vec<Report>, RequestError>>,
        missing: usize,
    ) -> u64 {
        self.next += 1;
        self.open.insert(
            self.next,
            PendingRunAll {
                reply,
                missing,
                reports: BTreeMap::new(),
            },
        );
        self.next
    }

    fn add(&mut self, number: u64, report: Report) {
        let Some(run_all) = self.open.get_mut(&number) else {
            return;
        };
        run_all.reports.insert(report.job.clone(), report);
        if run_all.reports.len() < run_all.missing {
            return;
        }
        if let Some(PendingRunAll { reply, reports, .. }) = self.open.remove(&number) {
            answer(reply, Ok(reports.into_values().collect()));
        }
    }
}

/// Logs a report: `warn` if the run failed, `debug` if it changed nothing, else `info`.
fn log(report: &Report) {
    let Report {
        run,
        job,
        trigger,
        scope,
        batches,
        ..
    } = report;
    let by = Requester::by(&report.requested_by);
    let by = by.trim_start_matches(" by ");
    let elapsed_ms = u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX);
    let rows = report.counts.total();
    let message = log_line(&report.message());
    match report.outcome {
        Outcome::Failed { .. } | Outcome::Crashed { .. } => {
            tracing::warn!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, requested_by = by, run.rows = rows, run.batches = batches, elapsed_ms, "{message}");
        }
        _ if rows == 0 && report.rejected_count == 0 => {
            tracing::debug!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, requested_by = by, elapsed_ms, "{message}");
        }
        _ => {
            tracing::info!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, requested_by = by, run.rows = rows, run.batches = batches, elapsed_ms, "{message}");
        }
    }
}

/// Reports kept for look-ups.
const MAX_ENDED: usize = 100;
