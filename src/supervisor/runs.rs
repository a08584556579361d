//! The life of a run: asked for, given to a worker, followed, answered.

use std::collections::BTreeMap;

use ractor::RpcReplyPort;

use super::desk::{Desk, Ended, Post, Running, Waiter};
use super::{State, answer};
use crate::batch::{Counts, Scope};
use crate::config::Schedule;
use crate::event::News;
use crate::history::RunRecord;
use crate::job::JobName;
use crate::queue::{Order, Queued};
use crate::refusal::Refusal;
use crate::report::{Outcome, Report, RunId, Trigger};
use crate::restart::backoff;
use crate::schedule::Moment;
use crate::worker::{RunOrder, RunResult, WorkerMsg};

/// `RunAll`s that wait for their last report.
#[derive(Default)]
pub(super) struct Gatherings {
    next: u64,
    open: BTreeMap<u64, Gathering>,
}

struct Gathering {
    reply: RpcReplyPort<Result<Vec<Report>, Refusal>>,
    missing: usize,
    reports: BTreeMap<JobName, Report>,
}

impl State {
    pub(super) async fn run_now(
        &mut self,
        job: &JobName,
        scope: Scope,
        reply: RpcReplyPort<Result<Report, Refusal>>,
    ) {
        match self.admit(job, &scope) {
            Ok(()) => {
                self.request(job, scope, Trigger::Manual, Some(Waiter::Asker(reply)))
                    .await
            }
            Err(refusal) => answer(reply, Err(refusal)),
        }
    }

    pub(super) async fn run_all(&mut self, reply: RpcReplyPort<Result<Vec<Report>, Refusal>>) {
        let jobs: Vec<JobName> = self
            .desks
            .iter()
            .filter(|(_, desk)| desk.is_on())
            .map(|(job, _)| job.clone())
            .collect();
        if self.shutdown.is_some() {
            return answer(reply, Err(Refusal::ShuttingDown));
        }
        if jobs.is_empty() {
            return answer(reply, Ok(Vec::new()));
        }
        let number = self.gatherings.open(reply, jobs.len());
        for job in jobs {
            self.request(
                &job,
                Scope::All,
                Trigger::Manual,
                Some(Waiter::Gathering(number)),
            )
            .await;
        }
    }

    pub(super) fn pause(&mut self, job: &JobName) -> Result<bool, Refusal> {
        let desk = self.desk(job)?;
        let was_paused = desk.agenda.is_paused();
        desk.agenda.pause();
        self.arm(job);
        if !was_paused {
            self.subscribers.tell(News::JobPaused { job: job.clone() });
        }
        Ok(!was_paused)
    }

    pub(super) async fn resume(&mut self, job: &JobName) -> Result<bool, Refusal> {
        let now = self.watch.now();
        let desk = self.desk(job)?;
        let was_paused = desk.agenda.is_paused();
        if was_paused {
            desk.agenda.resume(now);
            self.subscribers.tell(News::JobResumed { job: job.clone() });
            self.request(job, Scope::All, Trigger::Tick, None).await;
        }
        Ok(was_paused)
    }

    pub(super) fn cancel(&mut self, job: &JobName) -> Result<Option<RunId>, Refusal> {
        let desk = self.desk(job)?;
        let Some(run) = desk.running.as_ref().map(|running| running.report.run) else {
            return Ok(None);
        };
        desk.end_run(Outcome::Cancelled);
        Ok(Some(run))
    }

    pub(super) fn reschedule(&mut self, job: &JobName, schedule: Schedule) -> Result<(), Refusal> {
        let now = self.watch.now();
        let desk = self.desk(job)?;
        schedule
            .check("schedule")
            .map_err(|error| Refusal::Schedule {
                problem: error.to_string(),
            })?;
        desk.agenda.reschedule(schedule.clone(), now);
        self.arm(job);
        self.subscribers.tell(News::JobRescheduled {
            job: job.clone(),
            schedule,
        });
        Ok(())
    }

    /// Whether a run may be asked for.
    fn admit(&mut self, job: &JobName, scope: &Scope) -> Result<(), Refusal> {
        if self.shutdown.is_some() {
            return Err(Refusal::ShuttingDown);
        }
        let desk = self.desk(job)?;
        desk.job
            .check_scope(scope)
            .map_err(|problem| Refusal::Scope {
                job: job.clone(),
                problem,
            })
    }

    /// Queues a run, and starts it if its worker is free. A degraded job gets its attempt.
    pub(super) async fn request(
        &mut self,
        job: &JobName,
        scope: Scope,
        trigger: Trigger,
        waiter: Option<Waiter>,
    ) {
        let Some(desk) = self.desks.get_mut(job) else {
            return;
        };
        match desk.queue.push(scope, trigger, waiter) {
            Ok(Queued::Merged) if trigger == Trigger::Tick => desk.missed_ticks += 1,
            Ok(Queued::New) if trigger == Trigger::Tick && desk.running.is_some() => {
                desk.missed_ticks += 1
            }
            Ok(_) => {}
            Err(waiter) => {
                let waiting = desk.queue.len();
                if let Some(Waiter::Asker(reply)) = waiter {
                    answer(
                        reply,
                        Err(Refusal::TooManyScopes {
                            job: job.clone(),
                            waiting,
                        }),
                    );
                }
                return;
            }
        }
        if matches!(desk.post, Post::Degraded { .. }) {
            self.spawn_worker(job).await;
        }
        self.dispatch(job);
    }

    /// Gives the worker its next run, if it is free and one waits.
    pub(super) fn dispatch(&mut self, job: &JobName) {
        let now = self.watch.now();
        if self.shutdown.is_none() {
            if let Some(desk) = self.desks.get_mut(job) {
                desk.start_next(now);
            }
        }
        self.arm(job);
    }

    pub(super) fn began(&mut self, run: RunId) {
        let Some(desk) = running(&mut self.desks, run) else {
            return;
        };
        let Some(running) = &mut desk.running else {
            return;
        };
        running.began = true;
        let Report {
            run,
            job,
            scope,
            trigger,
            started_at,
            ..
        } = running.report.clone();
        self.subscribers.tell(News::RunStarted {
            run,
            job,
            scope,
            trigger,
            at: started_at,
        });
    }

    pub(super) fn committed(&mut self, run: RunId, counts: Counts, ids: Vec<String>) {
        // A worker that was given up may still tell of a batch; its run was answered with `rows_at_least`.
        let Some(desk) = running(&mut self.desks, run) else {
            return;
        };
        if let Some(running) = &mut desk.running {
            running.progress(&counts);
        }
        let job = desk.job.name();
        self.subscribers.tell(News::BatchCommitted {
            run,
            job,
            counts,
            ids,
        });
    }

    pub(super) async fn finished(&mut self, result: RunResult) {
        let now = self.watch.now();
        let instance = self.instance;
        let Some(desk) = running(&mut self.desks, result.report.run) else {
            return;
        };
        let Some(running) = desk.running.take() else {
            return;
        };
        let RunResult {
            mut report,
            unwritten,
            set_aside,
        } = result;
        desk.set_aside = set_aside;
        desk.unwritten = unwritten;

        let on_trial = desk.degraded.is_some();
        let retry = if on_trial {
            self.config.restart.cool_down
        } else {
            backoff(&self.config.retry, desk.failures, fastrand::f64())
        };
        let recovered = desk.learn(now, &mut report, retry);
        let failed = matches!(report.outcome, Outcome::Failed { .. });
        if let Some(record) = RunRecord::of(report.clone(), instance) {
            if failed && self.history.is_some() {
                desk.owe(record.clone());
            }
            desk.recall(record);
        }
        let job = report.job.clone();
        let rest = on_trial && failed;
        self.settle(report, running.waiters);
        if recovered {
            tracing::info!(job.name = %job, "{job} recovered");
            self.subscribers
                .tell(News::JobRecovered { job: job.clone() });
        }
        if rest {
            self.rest_again(&job);
        }
        self.dispatch(&job);
    }

    /// Logs a report, and hands it to everybody who is to have it.
    pub(super) fn settle(&mut self, report: Report, waiters: Vec<Waiter>) {
        log(&report);
        // Subscribers first: a waiter may stop us as soon as it has its answer.
        self.subscribers.tell(News::RunFinished(report.clone()));
        for waiter in waiters {
            match waiter {
                Waiter::Asker(reply) => answer(reply, Ok(report.clone())),
                Waiter::Gathering(number) => self.gatherings.add(number, report.clone()),
            }
        }
    }

    /// Answers orders that will not be run.
    pub(super) fn turn_away(
        &mut self,
        job: &JobName,
        orders: Vec<Order<Waiter>>,
        outcome: &Outcome,
    ) {
        let now = self.watch.now();
        for Order {
            scope,
            trigger,
            waiters,
        } in orders
        {
            if !waiters.is_empty() {
                let report = Report {
                    outcome: outcome.clone(),
                    ..Report::blank(job.clone(), scope, trigger, now.wall)
                };
                self.settle(report, waiters);
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
                self.settle(report, waiters);
            }
            self.turn_away(&job, orders, &Outcome::ShuttingDown);
        }
        self.inquiries.turn_away();
        if let Some(shutdown) = self.shutdown.take() {
            shutdown.answer();
        }
    }
}

impl Desk {
    fn start_next(&mut self, now: Moment) {
        let Post::Up(worker) = &self.post else { return };
        if self.running.is_some() {
            return;
        }
        let Some(Order {
            scope,
            trigger,
            waiters,
        }) = self.queue.pop()
        else {
            return;
        };
        if trigger >= Trigger::Tick {
            self.set_aside.clear();
        }
        let report = Report::blank(self.job.name(), scope, trigger, now.wall);
        let order = RunOrder {
            report: report.clone(),
            // A copy: a worker that dies takes its own along.
            unwritten: self.unwritten.clone(),
            set_aside: self.set_aside.clone(),
        };
        // A worker that died a moment ago takes no message; its death puts the run back.
        let _ = worker.cast(WorkerMsg::Run(Box::new(order)));
        self.running = Some(Running {
            report,
            since: now,
            waiters,
            began: false,
        });
    }

    /// Asks the worker to end its run between two batches.
    pub(super) fn end_run(&self, outcome: Outcome) {
        if let (Post::Up(worker), Some(running)) = (&self.post, &self.running) {
            let _ = worker.cast(WorkerMsg::End(running.report.run, outcome));
        }
    }

    /// Draws the conclusions from a run that ended. Returns whether the job recovered by it.
    fn learn(&mut self, now: Moment, report: &mut Report, retry: std::time::Duration) -> bool {
        if report.scope != Scope::All {
            return false;
        }
        match &mut report.outcome {
            Outcome::Failed { retry_at, .. } => {
                self.failures += 1;
                *retry_at = Some(self.agenda.failed(now, retry).wall);
            }
            Outcome::Cancelled => self.agenda.cancelled(),
            _ => self.agenda.completed(now, report.outlook.as_ref()),
        }
        let recovered = report.success() && self.degraded.take().is_some();
        if report.success() {
            self.failures = 0;
            self.last_success = Some(now);
            self.restarts.healed();
            if recovered {
                self.restarts.forgive();
            }
        }
        self.last = Some(Ended {
            report: report.clone(),
            at: now,
        });
        recovered
    }
}

impl Gatherings {
    fn open(&mut self, reply: RpcReplyPort<Result<Vec<Report>, Refusal>>, missing: usize) -> u64 {
        self.next += 1;
        self.open.insert(
            self.next,
            Gathering {
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
        if let Some(Gathering { reply, reports, .. }) = self.open.remove(&number) {
            answer(reply, Ok(reports.into_values().collect()));
        }
    }
}

/// The desk whose worker is in this run.
fn running(desks: &mut BTreeMap<JobName, Desk>, run: RunId) -> Option<&mut Desk> {
    desks.values_mut().find(|desk| {
        desk.running
            .as_ref()
            .is_some_and(|running| running.report.run == run)
    })
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
        _ if rows == 0 && report.set_aside_count == 0 => {
            tracing::debug!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, elapsed_ms, "{message}");
        }
        _ => {
            tracing::info!(job.name = %job, run.id = %run, run.trigger = %trigger, run.scope = %scope, run.rows = rows, run.batches = batches, elapsed_ms, "{message}");
        }
    }
}
