//! Reports on their way to everybody who is to have them.

use std::collections::BTreeMap;

use ractor::RpcReplyPort;

use super::active_run::Waiter;
use super::state::{State, answer};
use crate::job::JobName;
use crate::metrics::recorder;
use crate::model::{Event, Outcome, Report, RequestError, Trigger};
use crate::policy::QueuedRun;

/// `RunAll`s that wait for their last report.
#[derive(Default)]
pub(super) struct PendingRunAlls {
    next: u64,
    open: BTreeMap<u64, PendingRunAll>,
}

struct PendingRunAll {
    reply: RpcReplyPort<Result<Vec<Report>, RequestError>>,
    missing: usize,
    reports: BTreeMap<JobName, Report>,
}

impl State {
    /// A run that a worker was given has ended.
    pub(super) fn settle(&mut self, report: &Report, waiters: Vec<Waiter>) {
        recorder::run_ended(report);
        self.hand_out(report, waiters);
    }

    /// Logs a report, and hands it to everybody who is to have it.
    fn hand_out(&mut self, report: &Report, waiters: Vec<Waiter>) {
        log(report);
        // Subscribers first: a waiter may stop us as soon as it has its answer.
        self.subscribers
            .tell(Event::RunFinished(Box::new(report.clone())));
        for waiter in waiters {
            match waiter {
                Waiter::Asker(reply) => answer(reply, Ok(report.clone())),
                Waiter::PendingRunAll(number) => self.gatherings.add(number, report.clone()),
            }
        }
    }

    /// Answers orders that will not be run.
    pub(super) fn reject(
        &mut self,
        job: &JobName,
        orders: Vec<QueuedRun<Waiter>>,
        outcome: &Outcome,
    ) {
        let now = self.watch.now();
        for QueuedRun {
            scope,
            trigger,
            waiters,
        } in orders
        {
            // Also if whoever asked waits no more: subscribers hear what became of it.
            if trigger == Trigger::Manual {
                let report = Report {
                    outcome: outcome.clone(),
                    ..Report::blank(job.clone(), scope, trigger, now.wall)
                };
                self.hand_out(&report, waiters);
            }
        }
    }

    /// Forgets those who gave up waiting for a report. Their runs go on.
    pub(super) fn forget_the_gone(&mut self) {
        let open = &mut self.gatherings.open;
        open.retain(|_, gathering| !gathering.reply.is_closed());
        let is_gone = |waiter: &Waiter| match waiter {
            Waiter::Asker(reply) => reply.is_closed(),
            Waiter::PendingRunAll(number) => !open.contains_key(number),
        };
        for desk in self.desks.values_mut() {
            desk.queue.forget(is_gone);
            if let Some(running) = &mut desk.running {
                running.waiters.retain(|waiter| !is_gone(waiter));
            }
        }
    }

    /// Nobody waits for a report any more when this returns.
    pub(super) fn answer_the_rest(&mut self) {
        let now = self.watch.now();
        let jobs: Vec<JobName> = self.desks.keys().cloned().collect();
        for job in jobs {
            let Some(desk) = self.desks.get_mut(&job) else {
                continue;
            };
            let orders = desk.queue.drain();
            if let Some(running) = desk.running.take() {
                let (report, waiters) = running.cut_short(now, Outcome::ShuttingDown);
                self.settle(&report, waiters);
            }
            self.reject(&job, orders, &Outcome::ShuttingDown);
        }
        self.inquiries.reject();
        if let Some(shutdown) = self.shutdown.take() {
            shutdown.answer();
        }
    }
}

impl PendingRunAlls {
    pub(super) fn open(
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
        let Some(gathering) = self.open.get_mut(&number) else {
            return;
        };
        gathering.reports.insert(report.job.clone(), report);
        if gathering.reports.len() < gathering.missing {
            return;
        }
        if let Some(PendingRunAll { reply, reports, .. }) = self.open.remove(&number) {
            answer(reply, Ok(reports.into_values().collect()));
        }
    }
}

fn log(report: &Report) {
    let Report {
        run,
        job,
        trigger,
        scope,
        batches,
        ..
    } = report;
    let elapsed_ms = u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX);
    let rows = report.counts.total();
    let message = report.message();
    match report.outcome {
        Outcome::Failed { .. } | Outcome::Crashed { .. } => {
            tracing::warn!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, run.rows = rows, run.batches = batches, elapsed_ms, "{message}");
        }
        _ if rows == 0 && report.rejected_count == 0 => {
            tracing::debug!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, elapsed_ms, "{message}");
        }
        _ => {
            tracing::info!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, run.rows = rows, run.batches = batches, elapsed_ms, "{message}");
        }
    }
}
